"""Token ids of the filters that a profile asks for."""

from __future__ import annotations

from assets.corpus.tokenizers import load_corpus_tokenizer
from assets.framework.stage import Scope


def filter_sets(scope: Scope) -> list[list[int]]:
    """Token ids of every filter of the profile."""
    settings = scope.profile.paragraphs
    sets = [list(ids) for ids in settings.filter_token_sets]
    if settings.filter_words:
        from corpus_stats.paragraphs.filters import filter_strings, filter_token_sets

        tokenizer = load_corpus_tokenizer(scope)
        sets += filter_token_sets(tokenizer, filter_strings(settings.filter_words))
    return sets
