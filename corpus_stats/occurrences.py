"""How often known windows occur in a corpus: one streamed pass, rolling hashes, every hit verified."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from corpus_stats.errors import CorpusError

if TYPE_CHECKING:
    from corpus_stats.token_stream import TokenStream

_CHUNK_TOKENS = 1 << 16  # intermediate arrays of 512 KiB stay in the cache
_FILTER_BITS = 22
_BASE = 0x9E3779B97F4A7C15  # odd, hence invertible modulo 2^64
_TOKEN_SEED = 20_240_319


def count_occurrences(
    stream: TokenStream, windows: np.ndarray, on_progress: Callable[[int], None] | None = None
) -> np.ndarray:
    """Exact number of times each window occurs in the stream.

    Overlapping occurrences count, and so do occurrences that cross document boundaries: it is the raw stream, as in a
    suffix array of the corpus (Carlini et al. 2022, §3). Hash hits are compared token by token, so a collision can
    cost time but never a count.

    Args:
        stream: the corpus.
        windows: token ids, [window, position].
        on_progress: called with the number of tokens of each scanned piece.

    Returns:
        int64 counts, [window]; equal windows have equal counts.

    Raises:
        CorpusError: the windows are no matrix of token ids.
    """
    rows = np.asarray(windows)
    if rows.ndim != 2 or rows.shape[1] == 0 or rows.dtype.kind not in "ui" or (rows.size and int(rows.min()) < 0):
        raise CorpusError(f"Windows must be token ids [window, position], not {rows.dtype} {rows.shape}; reshape them.")
    if not len(rows):
        return np.zeros(0, dtype=np.int64)
    keys = np.ascontiguousarray(rows.astype("<u4")).view(np.dtype((np.void, 4 * rows.shape[1]))).reshape(-1)
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    index = _WindowIndex(rows[first].astype(np.uint32))
    for _, ids in stream.chunks(_CHUNK_TOKENS, overlap=rows.shape[1] - 1):
        index.scan(ids)
        if on_progress is not None:
            on_progress(min(len(ids), _CHUNK_TOKENS))
    return index.counts[inverse.reshape(-1)]


class _WindowIndex:
    """Distinct windows by hash, with a bit table in front that turns away almost every position of the corpus.

    The hash of ids x₀ … x₍ₙ₋₁₎ is Σ r(xᵢ)·Bⁱ modulo 2⁶⁴, r a table of random words. With prefix sums S of r(xᵢ)·Bⁱ
    over a piece, the hash of the window at p is (S[p+n] − S[p])·B⁻ᵖ: a handful of array operations whatever n is.
    """

    def __init__(self, distinct: np.ndarray) -> None:
        self.counts = np.zeros(len(distinct), dtype=np.int64)
        self._length = distinct.shape[1]
        self._largest_id = max(int(distinct.max()), 1 << 16)
        self._words = np.random.default_rng(_TOKEN_SEED).integers(0, 1 << 64, self._largest_id + 2, dtype=np.uint64)
        self._powers = _powers(_BASE, _CHUNK_TOKENS + self._length)
        self._inverse_powers = _powers(pow(_BASE, -1, 1 << 64), _CHUNK_TOKENS + self._length)
        hashes = (self._words[distinct] * self._powers[: self._length]).sum(axis=1, dtype=np.uint64)
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]
        self._windows = distinct[self._order]
        per_slot = np.bincount(_slots(hashes), minlength=1 << _FILTER_BITS)
        self._table = per_slot > 0
        self._first = np.concatenate(
            [[0], np.cumsum(per_slot)]
        )  # slots are the hashes' top bits: runs of sorted hashes

    def scan(self, ids: np.ndarray) -> None:
        """Adds the occurrences in one piece of the stream, [token]."""
        window_count = len(ids) - self._length + 1
        if window_count < 1:
            return
        hashes = self._rolling(ids, window_count)
        slots = _slots(hashes)
        positions = np.flatnonzero(self._table[slots])
        candidates, ends = self._first[slots[positions]], self._first[slots[positions] + 1]
        while len(positions):
            hits = self._hashes[candidates] == hashes[positions]
            self._verify(ids, positions[hits], candidates[hits])
            candidates = candidates + 1  # the next window in the same slot
            more = candidates < ends
            positions, candidates, ends = positions[more], candidates[more], ends[more]

    def _verify(self, ids: np.ndarray, positions: np.ndarray, candidates: np.ndarray) -> None:
        """Counts the candidates whose tokens stand at the positions."""
        found = np.asarray(ids[positions[:, None] + np.arange(self._length)])
        matches = (found == self._windows[candidates]).all(axis=1)
        np.add.at(self.counts, self._order[candidates[matches]], 1)

    def _rolling(self, ids: np.ndarray, window_count: int) -> np.ndarray:
        # Ids no window holds share one word; 16-bit ids fit the table as they are.
        bounded = ids if ids.dtype.itemsize <= 2 else np.minimum(ids, self._largest_id + 1)
        terms = np.zeros(len(ids) + 1, dtype=np.uint64)
        np.multiply(self._words[bounded], self._powers[: len(ids)], out=terms[1:])
        np.cumsum(terms, out=terms)
        return (terms[self._length :] - terms[:window_count]) * self._inverse_powers[:window_count]


def _powers(base: int, count: int) -> np.ndarray:
    powers = np.full(count, base, dtype=np.uint64)
    powers[0] = 1
    return np.cumprod(powers, dtype=np.uint64)


def _slots(hashes: np.ndarray) -> np.ndarray:
    return (hashes >> np.uint64(64 - _FILTER_BITS)).view(np.int64)  # signed, or indexing would copy
