"""Corpus-level token counts: the base of rarity."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from corpus_stats.errors import CorpusError
from corpus_stats.tokens.stream import _outside, count_tokens

if TYPE_CHECKING:
    from corpus_stats.tokens.stream import TokenStream

SUBSET_PIECE_TOKENS = 1 << 22
_SUBSET_CELLS = 1 << 28  # subsets × token ids; 2 GiB of counts


def count_by_subset(
    stream: TokenStream,
    documents: pl.DataFrame,
    vocabulary_size: int,
    on_progress: Callable[[int], None] | None = None,
) -> pl.DataFrame:
    """Occurrences of each token id in each subset, in one pass: a bincount per subset over its part of each piece.

    Args:
        stream: the corpus.
        documents: all its documents in stream order, with subset, token_offset, token_count.
        vocabulary_size: ids run from 0 to vocabulary_size − 1.
        on_progress: called with the number of tokens of each counted piece.

    Returns:
        One row per subset and id that occurs: subset, token_id, token_count. Tokens between documents, such as
        end-of-text, have the subset null, so that the counts sum to the stream's token_count.

    Raises:
        CorpusError: an id lies outside the vocabulary, or there are too many subsets to count side by side.
    """
    names = documents["subset"].unique(maintain_order=True).to_list()
    if (len(names) + 1) * vocabulary_size > _SUBSET_CELLS:
        raise CorpusError(
            f"{len(names)} subsets of {vocabulary_size} token ids do not fit memory; count the corpus as a whole, or "
            "choose another subset_field."
        )
    codes = documents["subset"].replace_strict(names, list(range(1, len(names) + 1)), return_dtype=pl.Int32).to_numpy()
    starts = documents["token_offset"].to_numpy()
    ends = starts + documents["token_count"].to_numpy()
    counts = np.zeros((len(names) + 1, vocabulary_size), dtype=np.int64)
    for begin, ids in stream.chunks(SUBSET_PIECE_TOKENS):
        lowest, highest = int(ids.min()), int(ids.max())
        if lowest < 0 or highest >= vocabulary_size:
            raise _outside(lowest if lowest < 0 else highest, vocabulary_size)
        _add_piece(counts, ids, *_runs(begin, len(ids), starts, ends, codes))
        if on_progress is not None:
            on_progress(len(ids))
    return _subset_frame(counts, [None, *names])


def _runs(
    begin: int, length: int, starts: np.ndarray, ends: np.ndarray, codes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A piece as runs of one subset each: codes (0 between documents) and lengths, [run]."""
    first, last = np.searchsorted(ends, begin, side="right"), np.searchsorted(starts, begin + length, side="left")
    inside = slice(int(first), int(last))
    bounds = np.empty(2 * (int(last) - int(first)) + 2, dtype=np.int64)
    bounds[0], bounds[-1] = 0, length
    bounds[1:-1:2] = np.maximum(starts[inside] - begin, 0)
    bounds[2:-1:2] = np.minimum(ends[inside] - begin, length)
    labels = np.zeros(len(bounds) - 1, dtype=np.int32)
    labels[1::2] = codes[inside]
    return labels, np.diff(bounds)


def _add_piece(counts: np.ndarray, ids: np.ndarray, labels: np.ndarray, lengths: np.ndarray) -> None:
    """Adds a piece to counts, [subset, token_id]; the runs of a subset are laid side by side and counted at once."""
    ends = np.cumsum(lengths)
    for label in np.unique(labels[lengths > 0]).tolist():
        of_label = np.flatnonzero((labels == label) & (lengths > 0))
        runs = zip((ends - lengths)[of_label].tolist(), ends[of_label].tolist(), strict=True)
        counts[label] += count_tokens(np.concatenate([ids[first:end] for first, end in runs]), counts.shape[1])


def _subset_frame(counts: np.ndarray, names: list[str | None]) -> pl.DataFrame:
    rows, token_ids = np.nonzero(counts)
    return pl.DataFrame(
        {
            "subset": pl.Series(names, dtype=pl.String)[rows],
            "token_id": token_ids.astype(np.int32),
            "token_count": counts[rows, token_ids],
        }
    )
