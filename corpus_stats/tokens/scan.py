"""One pass over a token stream: counts the tokens, checks every id, and finds the documents, whatever their length."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from corpus_stats.errors import CorpusError
from corpus_stats.tokens.stream import TokenStream, count_tokens

CHUNK_TOKENS = 1 << 22


class FoundDocument(NamedTuple):
    """A document of a stream: its first position, its tokens, and the sha256 of its ids as they are stored."""

    offset: int
    length: int
    sha256: bytes


@dataclass
class Scan:
    """Documents end at the separator and, where rows or lengths are given, with these.

    Memory is that of one chunk: a document that goes on is hashed as it comes and never held.

    Attributes:
        stream: the tokens.
        counts: occurrences of each id so far, [token_id].
        separator: end-of-text id; None where there is none.
        row_length: tokens of a row; rows have nothing to do with each other.
        lengths: tokens of each stretch that begins anew, [stretch], adding up to the stream; in place of row_length.
        count_empty: whether documents without a token, between two separators, are told as well.
    """

    stream: TokenStream
    counts: np.ndarray
    separator: int | None
    row_length: int | None = None
    lengths: np.ndarray | None = None
    count_empty: bool = True
    _begin: int | None = field(default=None, init=False)
    _hash: Any = field(default=None, init=False)
    _starts: np.ndarray | None = field(default=None, init=False)

    def documents(self, on_progress: Callable[[int], None] | None = None) -> Iterator[FoundDocument]:
        """Every document in stream order; stretches without a token only with `count_empty`."""
        if self.lengths is not None:
            self._starts = np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])
        self._begin = None
        for begin, ids in self.stream.chunks(CHUNK_TOKENS):
            self._count(begin, ids)
            yield from self._pieces(begin, ids)
            if on_progress is not None:
                on_progress(len(ids))
        if self._begin is not None:
            yield self._closed(self.stream.token_count)

    def _pieces(self, begin: int, ids: np.ndarray) -> Iterator[FoundDocument]:
        """Documents that end in a chunk; the last one stays open unless a separator or a stretch ends it."""
        separators = self._separators(ids)
        forced = self._forced(begin, len(ids))
        if self._begin is not None and len(forced) and forced[0] == 0:
            yield self._closed(begin)
        starts = np.unique(np.concatenate([[0], separators + 1, forced]))
        starts = starts[starts < len(ids)]
        nexts = np.append(starts[1:], len(ids))
        is_ended = np.zeros(len(ids) + 1, dtype=bool)
        is_ended[separators + 1] = True
        ends = nexts - is_ended[nexts]
        last = len(starts) - 1
        for index, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            self._go_on(begin + start, ids[start:end])
            is_open = index == last and not is_ended[len(ids)]
            if not is_open:
                yield from self._told(begin + end)

    def _separators(self, ids: np.ndarray) -> np.ndarray:
        return np.zeros(0, dtype=np.int64) if self.separator is None else np.flatnonzero(ids == self.separator)

    def _forced(self, begin: int, length: int) -> np.ndarray:
        """Places in a chunk where a row or a stretch begins."""
        if self._starts is not None:
            first, last = np.searchsorted(self._starts, [begin, begin + length])
            return self._starts[first:last] - begin
        if self.row_length is not None:
            return np.arange(-begin % self.row_length, length, self.row_length)
        return np.zeros(0, dtype=np.int64)

    def _go_on(self, offset: int, ids: np.ndarray) -> None:
        if self._begin is None:
            self._begin, self._hash = offset, hashlib.sha256()
        self._hash.update(np.ascontiguousarray(ids))

    def _told(self, end: int) -> Iterator[FoundDocument]:
        piece = self._closed(end)
        if piece.length or self.count_empty:
            yield piece

    def _closed(self, end: int) -> FoundDocument:
        assert self._begin is not None
        piece = FoundDocument(self._begin, end - self._begin, self._hash.digest())
        self._begin = None
        return piece

    def _count(self, begin: int, ids: np.ndarray) -> None:
        try:
            self.counts += count_tokens(ids, len(self.counts))
        except CorpusError as error:
            file = self.stream.shards[int(np.searchsorted(self.stream.starts, begin, side="right")) - 1].filename
            raise CorpusError(f"Among the {len(ids)} tokens from token {begin} on, in {file}: {error}") from error
