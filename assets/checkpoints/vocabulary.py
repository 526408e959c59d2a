"""Vocabulary of a checkpoint beside that of its corpus: the same ids, what begins a text, which tokens are no text."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.corpus.text import is_text, reader_of
from assets.corpus.tokenizers import load_corpus_tokenizer, tokenizer_place
from assets.framework.stage import Scope

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SAMPLE_PARAGRAPHS = 500
SAMPLE_DOCUMENTS = 100
SAMPLE_CHARACTERS = 5000
"""Of the beginning of each document: text as it was before anybody tokenized it."""


def load_tokenizer_of(source: str, revision: str | None) -> PreTrainedTokenizerFast:
    """The tokenizer beside a checkpoint's weights."""
    from corpus_stats.tokens.tokenizer import load_tokenizer
    from probes.checkpoints.hub import resolve_folder

    return load_tokenizer(str(resolve_folder(source, revision)))


def why_another_tokenizer(scope: Scope, name: str, theirs: PreTrainedTokenizerFast) -> str | None:
    """One sentence where a checkpoint's tokenizer gives the corpus' text other ids; None where they agree.

    Asked on the tokens that occur in the corpus and a sample of its text, as far as they are there; while the corpus
    has a tokenizer and nothing else, on all that this tokenizer knows. Without one there is nothing to compare.
    """
    from corpus_stats.tokens.agreement import first_disagreement

    ours = _corpus_tokenizer(scope)
    if ours is None:
        return None
    found = first_disagreement(ours, theirs, _token_ids(scope, ours), _texts(scope))
    if found is None:
        return None
    return (
        f"checkpoint {name} comes with another tokenizer than corpus {scope.profile.corpus_id}: {found.sentence()}; "
        "tokenize the corpus with the checkpoint's own (corpus.tokenizer in the profile)."
    )


def _corpus_tokenizer(scope: Scope) -> PreTrainedTokenizerFast | None:
    """The one that the profile names, else the corpus'; None when that is yet to be made."""
    from corpus_stats.tokens.tokenizer import load_tokenizer

    if scope.profile.corpus.tokenizer is not None:
        return load_tokenizer(tokenizer_place(scope, scope.profile.corpus.tokenizer))
    return None if scope.content("tokenizers") is None else load_corpus_tokenizer(scope)


def _token_ids(scope: Scope, ours: PreTrainedTokenizerFast) -> list[int]:
    """Ids that occur in the corpus; before it is counted, all that stand for text."""
    if scope.content("unigrams") is None:
        return sorted(ours.backend_tokenizer.get_vocab(with_added_tokens=False).values())
    seen = scope.read("unigrams", ["token_id", "token_count"]).filter(pl.col("token_count") > 0)
    return [int(token_id) for token_id in seen["token_id"].sort()]


def _texts(scope: Scope) -> list[str]:
    """Paragraphs drawn from the corpus, and the beginnings of its documents where they are here."""
    texts: list[str] = []
    if scope.content("paragraphs") is not None:
        drawn = scope.read("paragraphs", ["text"])["text"]
        texts += drawn.gather_every(max(1, len(drawn) // SAMPLE_PARAGRAPHS)).to_list()
    source = scope.profile.corpus.source
    if source == "python" or (Path(source).expanduser().exists() and is_text(scope.profile)):
        documents = islice(iter(reader_of(scope.profile)), SAMPLE_DOCUMENTS)
        texts += [document.text[:SAMPLE_CHARACTERS] for document in documents]
    return texts


def vocabulary_row(
    scope: Scope, architecture: str, row_count: int, tokenizer: PreTrainedTokenizerFast
) -> dict[str, Any]:
    """The row of the table vocabularies.

    Raises:
        ProbeError: the profile asks for a beginning that the checkpoint does not have.
    """
    from corpus_stats.tokens.tokenizer import beginning_added, special_ids
    from probes.checkpoints.beginning import beginning_asked_for, beginning_of_suite

    bos_id, asked = tokenizer.bos_token_id, scope.profile.probes.beginning_of_sequence
    suite = beginning_of_suite(architecture, beginning_added(tokenizer), bos_id, tokenizer.bos_token)
    beginning_id, reason = beginning_asked_for(asked, row_count, bos_id, suite)
    known = {i for i in tokenizer.backend_tokenizer.get_vocab(with_added_tokens=True).values() if i < row_count}
    undrawn = set(range(row_count)) - known | {i for i in special_ids(tokenizer) if i < row_count}
    return {
        "row_count": row_count,
        "known_count": len(known),
        "beginning_id": beginning_id,
        "beginning_reason": reason,
        "undrawn_ids": sorted(undrawn),
    }
