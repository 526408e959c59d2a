"""Occurrences of known windows in a corpus: one streamed pass, rolling hashes, every hit verified."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from corpus_stats.errors import CorpusError

if TYPE_CHECKING:
    from corpus_stats.tokens.stream import TokenStream

CHUNK_TOKENS = 1 << 16  # intermediate arrays of 512 KiB stay in the cache
_TILE_ROWS = 512
_SPARSENESS_BITS = 5  # table slots per window, so that about one position in 32 passes by chance
_BASE = 0x9E3779B97F4A7C15  # odd, hence invertible modulo 2^64
_WORD_SEED = 20_240_319


def count_occurrences(
    stream: TokenStream,
    windows: np.ndarray,
    on_progress: Callable[[int], None] | None = None,
    token_range: tuple[int, int] | None = None,
) -> np.ndarray:
    """Exact number of times each window occurs in the stream.

    Overlapping occurrences count, and so do occurrences that cross document boundaries: it is the raw stream, as in a
    suffix array of the corpus (Carlini et al. 2022, §3). Hash hits are compared token by token, so a collision can
    cost time but never a count.

    Args:
        stream: the corpus.
        windows: token ids, [window, position].
        on_progress: called with the number of tokens of each scanned piece.
        token_range: counts occurrences that begin at these stream positions (first, after the last), so that the
            counts of adjacent ranges add up whoever scans them; None takes all.

    Returns:
        int64 counts, [window]; equal windows have equal counts.

    Raises:
        CorpusError: the windows are no matrix of token ids.
    """
    return count_occurrences_together(stream, [windows], on_progress, token_range)[0]


def count_occurrences_together(
    stream: TokenStream,
    window_sets: Sequence[np.ndarray],
    on_progress: Callable[[int], None] | None = None,
    token_range: tuple[int, int] | None = None,
) -> list[np.ndarray]:
    """`count_occurrences` of several sets of windows, e.g. of 100, 50 and 32 tokens, in one pass over the stream.

    Args:
        stream: the corpus.
        window_sets: token ids, [window, position] each; lengths may differ.
        on_progress: called with the number of tokens of each scanned piece.
        token_range: as for `count_occurrences`.

    Returns:
        int64 counts for each set, [window].

    Raises:
        CorpusError: a set is no matrix of token ids.
    """
    matrices = [_checked(windows) for windows in window_sets]
    filled = [matrix for matrix in matrices if len(matrix)]
    if not filled:
        return [np.zeros(0, dtype=np.int64) for _ in matrices]
    longest = max(matrix.shape[1] for matrix in filled)
    rolling = RollingHash(max(int(matrix.max()) for matrix in filled), CHUNK_TOKENS + longest)
    indexes = [WindowIndex(matrix, rolling) if len(matrix) else None for matrix in matrices]
    end = token_range[1] if token_range else stream.token_count
    for begin, ids in stream.chunks(CHUNK_TOKENS, overlap=longest - 1, token_range=token_range):
        sums = rolling.sums(ids)
        starts = min(CHUNK_TOKENS, end - begin)
        for index in indexes:
            if index is not None:
                index.scan(ids, sums, starts)
        if on_progress is not None:
            on_progress(starts)
    return [np.zeros(0, dtype=np.int64) if index is None else index.result() for index in indexes]


def find_occurrences(
    stream: TokenStream, windows: np.ndarray, on_progress: Callable[[int], None] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Every place at which a window occurs, as `count_occurrences` counts them.

    Args:
        stream: the corpus.
        windows: token ids, [window, position].
        on_progress: called with the number of tokens of each scanned piece.

    Returns:
        window and stream position, int64 [occurrence] each, by window and position; equal windows have all places.

    Raises:
        CorpusError: the windows are no matrix of token ids.
    """
    matrix, empty = _checked(windows), np.zeros(0, dtype=np.int64)
    if not len(matrix):
        return empty, empty
    length = matrix.shape[1]
    rolling = RollingHash(int(matrix.max()), CHUNK_TOKENS + length)
    index, places, numbers = WindowIndex(matrix, rolling), [empty], [empty]
    for begin, ids in stream.chunks(CHUNK_TOKENS, overlap=length - 1):
        starts = min(CHUNK_TOKENS, stream.token_count - begin)
        for positions, found in index.hits(ids, rolling.sums(ids), starts):
            places.append(positions + begin)
            numbers.append(found)
        if on_progress is not None:
            on_progress(starts)
    return _of_each_row(index.distinct_of_rows, np.concatenate(numbers), np.concatenate(places))


def _of_each_row(
    distinct_of_rows: np.ndarray, numbers: np.ndarray, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Hits of distinct windows as hits of rows, by row and place."""
    order = np.lexsort((places, numbers))
    numbers, places = numbers[order], places[order]
    first = np.searchsorted(numbers, distinct_of_rows)
    counts = np.searchsorted(numbers, distinct_of_rows, side="right") - first
    rows = np.repeat(np.arange(len(counts)), counts)
    nth = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows, places[first[rows] + nth]


def _checked(windows: np.ndarray) -> np.ndarray:
    rows = np.asarray(windows)
    if rows.ndim != 2 or rows.shape[1] == 0 or rows.dtype.kind not in "ui" or (rows.size and int(rows.min()) < 0):
        raise CorpusError(f"Windows must be token ids [window, position], not {rows.dtype} {rows.shape}; reshape them.")
    return rows.astype("<u4")


class RollingHash:
    """Hashes of all windows of a piece, of any length, from one array of prefix sums.

    The hash of ids x₀ … x₍ₙ₋₁₎ is Σ r(xᵢ)·Bⁱ modulo 2⁶⁴, r a table of random words. With prefix sums S of r(xᵢ)·Bⁱ
    over a piece, the hash of the window at p is (S[p+n] − S[p])·B⁻ᵖ: a handful of array operations whatever n is.
    """

    def __init__(self, largest_id: int, longest_piece: int) -> None:
        self._largest_id = max(largest_id, (1 << 16) - 1)
        generator = np.random.default_rng(_WORD_SEED)
        self._words = generator.integers(0, 1 << 64, self._largest_id + 2, dtype=np.uint64)
        self._powers = _powers(_BASE, longest_piece)
        self._inverse_powers = _powers(pow(_BASE, -1, 1 << 64), longest_piece)

    def sums(self, ids: np.ndarray) -> np.ndarray:
        """Prefix sums of a piece, one longer than it."""
        # Larger ids than any window holds share one word; 16-bit ids fit the table as they are.
        bounded = ids if ids.dtype.itemsize <= 2 else np.minimum(ids, self._largest_id + 1)
        sums = np.zeros(len(ids) + 1, dtype=np.uint64)
        np.multiply(self._words[bounded], self._powers[: len(ids)], out=sums[1:])
        return np.cumsum(sums, out=sums)

    def hashes(self, sums: np.ndarray, length: int, count: int) -> np.ndarray:
        """Hashes of the first `count` windows of `length` tokens."""
        return (sums[length : length + count] - sums[:count]) * self._inverse_powers[:count]

    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        """Hashes of the rows of [window, position]."""
        hashes = np.empty(len(rows), dtype=np.uint64)
        for begin in range(0, len(rows), _TILE_ROWS):
            terms = self._words[rows[begin : begin + _TILE_ROWS]]
            terms *= self._powers[: rows.shape[1]]
            terms.sum(axis=1, out=hashes[begin : begin + _TILE_ROWS])
        return hashes


class WindowIndex:
    """Distinct windows sorted by hash; a table over the hash's top bits turns away almost every position at once."""

    def __init__(self, rows: np.ndarray, rolling: RollingHash) -> None:
        self._rolling = rolling
        self._length = rows.shape[1]
        hashes = rolling.of_rows(rows)
        order = np.argsort(hashes, kind="stable")
        is_first = _are_distinct(rows, hashes, order)
        self._inverse = np.empty(len(rows), dtype=np.int64)
        self._inverse[order] = np.cumsum(is_first) - 1
        self._windows = rows[order[is_first]]
        self._hashes = hashes[order[is_first]]
        self._counts = np.zeros(len(self._hashes), dtype=np.int64)
        bits = len(self._hashes).bit_length() + _SPARSENESS_BITS
        self._shift = np.uint64(64 - bits)
        per_slot = np.bincount(self._slots(self._hashes), minlength=1 << bits)
        self._table = per_slot > 0
        self._first = np.concatenate([[0], np.cumsum(per_slot)])  # a slot's windows are a run of the sorted hashes

    @property
    def distinct_of_rows(self) -> np.ndarray:
        """Number of the distinct window of each row, [window]."""
        return self._inverse

    def scan(self, ids: np.ndarray, sums: np.ndarray, starts: int) -> None:
        """Adds the occurrences that begin at the first `starts` positions of a piece of the stream, [token]."""
        for _, windows in self.hits(ids, sums, starts):
            np.add.at(self._counts, windows, 1)

    def hits(self, ids: np.ndarray, sums: np.ndarray, starts: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Places in a piece, below `starts`, where distinct windows stand, and which: positions and numbers, [hit]."""
        window_count = min(len(ids) - self._length + 1, starts)
        if window_count < 1:
            return
        hashes = self._rolling.hashes(sums, self._length, window_count)
        slots = self._slots(hashes)
        positions = np.flatnonzero(self._table[slots])
        candidates, ends = self._first[slots[positions]], self._first[slots[positions] + 1]
        while len(positions):
            hits = self._hashes[candidates] == hashes[positions]
            yield self._verified(ids, positions[hits], candidates[hits])
            candidates = candidates + 1  # the next window in the same slot
            more = candidates < ends
            positions, candidates, ends = positions[more], candidates[more], ends[more]

    def _slots(self, hashes: np.ndarray) -> np.ndarray:
        return (hashes >> self._shift).view(np.int64)  # signed, or indexing would copy

    def _verified(
        self, ids: np.ndarray, positions: np.ndarray, candidates: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The candidates whose tokens stand at the positions."""
        found = np.asarray(ids[positions[:, None] + np.arange(self._length)])
        matches = (found == self._windows[candidates]).all(axis=1)
        return positions[matches], candidates[matches]

    def result(self) -> np.ndarray:
        """Counts in the order of the rows, [window]."""
        return self._counts[self._inverse]


def _are_distinct(rows: np.ndarray, hashes: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Which rows, in hash order, differ from the row before them.

    Equal rows that a hash collision keeps apart become two entries, each of which counts all its occurrences.
    """
    is_first = np.ones(len(order), dtype=bool)
    repeated = 1 + np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
    is_first[repeated] = (rows[order[repeated]] != rows[order[repeated - 1]]).any(axis=1)
    return is_first


def _powers(base: int, count: int) -> np.ndarray:
    powers = np.full(count, base, dtype=np.uint64)
    powers[0] = 1
    return np.cumprod(powers, dtype=np.uint64)
