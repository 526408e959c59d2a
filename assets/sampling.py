"""Which windows are candidates for paragraphs: drawn from the corpus, or taken from an imported release."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from assets.corpora import kind_of
from assets.profile import Profile
from assets.released import RELEASED, released_windows
from assets.stage import Scope


def candidates(scope: Scope, stream: Any, tally: Any) -> tuple[pl.DataFrame, np.ndarray]:
    """Windows that pass the profile's filters, all of different contents.

    Args:
        scope: home and profile.
        stream: `TokenStream` of the corpus.
        tally: `FilterTally` that is told what each filter dropped.

    Returns:
        document_id, token_offset, subset, continuation_origin, released_count (null where no release says how often
        the paragraph occurs), and the token ids, [window, position].
    """
    if kind_of(scope.profile) == RELEASED:
        return _released(scope, tally)
    windows = _drawn(scope, stream, tally).with_columns(
        continuation_origin=pl.lit("corpus"), released_count=pl.lit(None, dtype=pl.Int64)
    )
    return windows, stream.windows(windows["token_offset"].to_numpy(), scope.profile.paragraphs.length)


def _drawn(scope: Scope, stream: Any, tally: Any) -> pl.DataFrame:
    from corpus_stats.sampling import sample_windows

    settings = scope.profile.paragraphs
    return sample_windows(
        stream, scope.read("documents"), settings.length, _candidate_count(scope.profile), settings.seed,
        minimum_unique_share=settings.minimum_unique_share, per_subset=settings.per_subset,
        token_sets=_token_sets(scope), tally=tally,
    )  # fmt: skip


def _candidate_count(profile: Profile) -> int:
    """Twice the ladder, because near duplicates and repeated windows fall out; else what was asked for."""
    if profile.training is None:
        return profile.paragraphs.count
    return 2 * (sum(profile.training.rungs.values()) + profile.training.held_out)


def _token_sets(scope: Scope) -> list[list[int]]:
    """Token ids of every filter of the profile."""
    settings = scope.profile.paragraphs
    sets = [list(ids) for ids in settings.filter_token_sets]
    if settings.filter_words:
        from corpus_stats.filters import filter_strings, filter_token_sets
        from corpus_stats.tokenizer import load_tokenizer

        tokenizer = load_tokenizer(scope.read("tokenizers")["source"][0])
        sets += filter_token_sets(tokenizer, filter_strings(settings.filter_words))
    return sets


def _released(scope: Scope, tally: Any) -> tuple[pl.DataFrame, np.ndarray]:
    from corpus_stats.filters import contains_token_set
    from corpus_stats.paragraph_facts import paragraph_ids, unique_token_count
    from corpus_stats.tokenizer import load_tokenizer

    settings = scope.profile.paragraphs
    separator = load_tokenizer(scope.read("tokenizers")["source"][0]).eos_token_id
    facts, ids = released_windows(scope, scope.read("documents"), separator)
    kept = tally.add("is_varied", unique_token_count(ids) > settings.minimum_unique_share * settings.length)
    token_sets = _token_sets(scope)
    if token_sets:
        kept = tally.add("has_no_filter_string", ~contains_token_set(ids, token_sets), kept)
    rows = np.flatnonzero(kept)
    _, first = np.unique(np.array(paragraph_ids(ids[rows]), dtype=str), return_index=True)
    distinct = np.zeros(len(ids), dtype=bool)
    distinct[rows[first]] = True
    kept = tally.add("is_distinct", distinct, kept, alone=False)
    if int(kept.sum()) > settings.count:
        chosen = np.random.default_rng(settings.seed).permutation(np.flatnonzero(kept))[: settings.count]
        kept = tally.add("is_drawn", np.isin(np.arange(len(ids)), chosen), kept, alone=False)
    return facts.filter(pl.Series(kept)), ids[kept]
