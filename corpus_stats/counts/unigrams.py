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
DENSE_CELLS = 1 << 26  # subsets × token ids; 512 MiB of counts side by side, beyond only those above 0 are kept
FOLDED_ROWS = 1 << 24
_MANY_LABELS = 64  # subsets in a piece from which sorting its tokens costs less than a bincount for each
_MOST_ROWS = 1 << 28  # 4 GiB


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
    codes = documents["subset"].replace_strict(names, list(range(1, len(names) + 1)), return_dtype=pl.Int32).to_numpy()
    starts = documents["token_offset"].to_numpy()
    ends = starts + documents["token_count"].to_numpy()
    is_dense = (len(names) + 1) * vocabulary_size <= DENSE_CELLS
    counts = _Counts(len(names) + 1, vocabulary_size) if is_dense else _SparseCounts(vocabulary_size)
    for begin, ids in stream.chunks(SUBSET_PIECE_TOKENS):
        lowest, highest = int(ids.min()), int(ids.max())
        if lowest < 0 or highest >= vocabulary_size:
            raise _outside(lowest if lowest < 0 else highest, vocabulary_size)
        _add_piece(counts, ids, *_runs(begin, len(ids), starts, ends, codes), vocabulary_size)
        if on_progress is not None:
            on_progress(len(ids))
    return _subset_frame(*counts.rows(), [None, *names])


class _Counts:
    """Counts of every subset and id side by side, [subset, token_id]."""

    def __init__(self, subset_count: int, vocabulary_size: int) -> None:
        self._counts = np.zeros((subset_count, vocabulary_size), dtype=np.int64)

    def add(self, subset: int, counts: np.ndarray) -> None:
        """Adds the counts of a subset, [token_id]."""
        self._counts[subset] += counts

    def rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Subset, id and count of everything above 0, in order of subset and id."""
        subsets, ids = np.nonzero(self._counts)
        return subsets, ids, self._counts[subsets, ids]


class _SparseCounts:
    """Counts above 0 alone, for thousands of subsets: keys subset × vocabulary + id, folded now and then."""

    def __init__(self, vocabulary_size: int) -> None:
        self._size, self._waiting = vocabulary_size, 0
        self._keys, self._counts = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]

    def add(self, subset: int, counts: np.ndarray) -> None:
        """Adds the counts of a subset, [token_id]."""
        ids = np.flatnonzero(counts)
        self.add_keys(ids + subset * self._size, counts[ids])

    def add_keys(self, keys: np.ndarray, counts: np.ndarray) -> None:
        """Adds counts by subset × vocabulary + id, [key]."""
        self._keys.append(keys)
        self._counts.append(counts)
        self._waiting += len(keys)
        if self._waiting > FOLDED_ROWS:
            self._fold()

    def rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Subset, id and count of everything above 0, in order of subset and id."""
        self._fold()
        return self._keys[0] // self._size, self._keys[0] % self._size, self._counts[0]

    def _fold(self) -> None:
        keys, counts = np.concatenate(self._keys), np.concatenate(self._counts)
        order = np.argsort(keys, kind="stable")
        keys, counts = keys[order], counts[order]
        first = np.flatnonzero(np.diff(keys, prepend=-1))
        self._keys, self._waiting = [keys[first]], 0
        self._counts = [np.add.reduceat(counts, first) if len(first) else counts]
        if len(first) > _MOST_ROWS:
            raise CorpusError(
                f"More than {_MOST_ROWS} counts of a subset and an id do not fit memory; count the corpus as a whole "
                "(unigrams.by_subset = false), or make fewer subsets with subset_by or subset_field."
            )


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


def _add_piece(
    counts: _Counts | _SparseCounts, ids: np.ndarray, labels: np.ndarray, lengths: np.ndarray, vocabulary_size: int
) -> None:
    """Adds a piece to counts; the runs of a subset are laid side by side and counted at once."""
    ends = np.cumsum(lengths)
    inside = np.flatnonzero(lengths > 0)
    by_label = inside[np.argsort(labels[inside], kind="stable")]
    bounds = np.flatnonzero(np.diff(labels[by_label], prepend=-1))
    if len(bounds) > _MANY_LABELS and isinstance(counts, _SparseCounts):
        keys = np.repeat(labels.astype(np.int64) * vocabulary_size, lengths) + ids
        counts.add_keys(*np.unique(keys, return_counts=True))
        return
    for of_label in np.split(by_label, bounds[1:]):
        if len(of_label):
            runs = zip((ends - lengths)[of_label].tolist(), ends[of_label].tolist(), strict=True)
            joined = np.concatenate([ids[first:end] for first, end in runs])
            counts.add(int(labels[of_label[0]]), count_tokens(joined, vocabulary_size))


def _subset_frame(
    subsets: np.ndarray, token_ids: np.ndarray, counts: np.ndarray, names: list[str | None]
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "subset": pl.Series(names, dtype=pl.String)[subsets],
            "token_id": token_ids.astype(np.int32),
            "token_count": counts,
        }
    )
