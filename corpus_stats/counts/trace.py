"""Longest stretches of given texts that occur verbatim in a corpus, with their counts and places.

Two streamed passes over the corpus: the first finds how far from each token on a text goes on verbatim somewhere, the
second counts the stretches that no longer one holds. What OLMoTrace asks of an infini-gram index (Liu et al. 2025),
from the token stream itself and without an index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from corpus_stats.counts.occurrences import RollingHash, WindowIndex
from corpus_stats.errors import CorpusError

if TYPE_CHECKING:
    from corpus_stats.tokens.stream import TokenStream

TRACE_CHUNK_TOKENS = 1 << 16
_NOWHERE = -(1 << 62)
_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "row": pl.UInt32,
    "query_offset": pl.Int64,
    "token_count": pl.Int64,
    "occurrence_count": pl.Int64,
    "token_offsets": pl.List(pl.Int64),
}


def longest_stretches(
    stream: TokenStream,
    queries: Sequence[np.ndarray],
    minimum_tokens: int = 8,
    most_places: int = 5,
    on_progress: Callable[[int], None] | None = None,
    own_places: Sequence[int | None] | None = None,
) -> pl.DataFrame:
    """Every stretch of the queries that occurs in the stream and lies in no longer one of the same query that does.

    Occurrences that cross documents count, as in a suffix array of the corpus. Every hit is compared token by token.

    Args:
        stream: the corpus.
        queries: token ids, [token] each.
        minimum_tokens: shorter stretches are of no interest.
        most_places: stream positions that are told of each.
        on_progress: called with the tokens of each scanned piece; the corpus is scanned twice.
        own_places: stream position at which each query stands itself, [query]; that one place does not count, so that
            what is left is what the query shares with the rest. None where it stands nowhere, or all places count.

    Returns:
        One row per stretch, by query and place: row (index of the query), query_offset, token_count,
        occurrence_count, token_offsets (of the first occurrences).

    Raises:
        CorpusError: a query is no array of token ids, fewer than two tokens are asked for, or there are not as many
            own places as queries.
    """
    if minimum_tokens < 2:
        raise CorpusError(f"Stretches of {minimum_tokens} tokens are everywhere; ask for at least two.")
    text = _Text.of(queries, minimum_tokens, own_places)
    if text is None:
        return pl.DataFrame(schema=_SCHEMA)
    begins, ends = _maximal(_reach(stream, text, on_progress), text)
    counts, places = _counted(stream, text, begins, ends - begins, most_places, on_progress)
    rows = text.rows_of(begins)
    columns = (rows, begins - text.starts[rows], ends - begins, counts, places)
    return pl.DataFrame(dict(zip(_SCHEMA, columns, strict=True)), schema=_SCHEMA)


@dataclass(frozen=True)
class _Text:
    """All queries one after the other, with a gap between two, and the places where a window of `length` fits.

    Attributes:
        ids: tokens, -1 in gaps, int64 [place].
        starts: place of each query's first token, [query].
        windows: places of windows that lie in one query, [window].
        length: tokens of a window.
        longest: tokens of the longest query.
        own: stream position of each query minus its place here, [query]; _NOWHERE where all positions count.
    """

    ids: np.ndarray
    starts: np.ndarray
    windows: np.ndarray
    length: int
    longest: int
    own: np.ndarray

    @classmethod
    def of(
        cls, queries: Sequence[np.ndarray], length: int, own_places: Sequence[int | None] | None = None
    ) -> _Text | None:
        """None where no query is long enough."""
        if own_places is not None and len(own_places) != len(queries):
            raise CorpusError(f"{len(own_places)} own places of {len(queries)} texts; give one of each, or None.")
        arrays = [_checked(query) for query in queries]
        if not any(len(array) >= length for array in arrays):
            return None
        starts = np.cumsum([0, *(len(array) + 1 for array in arrays)])[:-1]
        ids = np.concatenate([np.append(array, -1) for array in arrays])
        inside = [np.arange(start, start + len(a) - length + 1) for start, a in zip(starts, arrays, strict=True)]
        known = zip(own_places or [None] * len(arrays), starts.tolist(), strict=True)
        own = np.array([_NOWHERE if place is None else place - start for place, start in known], dtype=np.int64)
        return cls(ids, starts, np.concatenate(inside), length, max(map(len, arrays)), own)

    def rows_of(self, places: np.ndarray) -> np.ndarray:
        """The query that places belong to."""
        return np.searchsorted(self.starts, places, side="right") - 1

    def is_own(self, positions: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Whether what stands at places is found where its query itself stands in the stream."""
        return positions - places == self.own[self.rows_of(places)]

    def rolling(self) -> RollingHash:
        """Hashes of pieces of the corpus and of stretches of the text."""
        return RollingHash(int(self.ids.max()), self.chunk + self.longest)

    @property
    def chunk(self) -> int:
        """Tokens of a piece; longer than the longest query, because each piece is read with so many behind it."""
        return max(TRACE_CHUNK_TOKENS, 4 * self.longest)

    def rows(self, places: np.ndarray) -> np.ndarray:
        """Windows at places, [window, position]."""
        return self.ids[places[:, None] + np.arange(self.length)].astype("<u4")


def _checked(query: np.ndarray) -> np.ndarray:
    ids = np.asarray(query)
    if ids.ndim != 1 or (ids.size and (ids.dtype.kind not in "ui" or int(ids.min()) < 0)):
        raise CorpusError(f"A text to trace must be token ids [token], not {ids.dtype} {ids.shape}; reshape it.")
    return ids.astype(np.int64)


def _pieces(
    stream: TokenStream, text: _Text, rolling: RollingHash, on_progress: Callable[[int], None] | None
) -> Iterator[tuple[int, np.ndarray, np.ndarray, int]]:
    """First position, ids with what follows, prefix sums, and the number of starts of each piece."""
    for begin, ids in stream.chunks(text.chunk, overlap=text.longest - 1):
        starts = min(text.chunk, stream.token_count - begin)
        yield begin, ids, rolling.sums(ids), starts
        if on_progress is not None:
            on_progress(starts)


def _reach(stream: TokenStream, text: _Text, on_progress: Callable[[int], None] | None) -> np.ndarray:
    """Place behind the longest stretch that begins at each place and occurs in the corpus, [place]; itself for none.

    Hits of one diagonal (place in the corpus minus place in the text) that follow each other are one stretch.
    """
    rolling = text.rolling()
    index = WindowIndex(text.rows(text.windows), rolling)
    order = np.argsort(index.distinct_of_rows, kind="stable")
    bounds = np.searchsorted(index.distinct_of_rows[order], np.arange(index.distinct_of_rows.max() + 2))
    reach = np.arange(len(text.ids))
    for begin, ids, sums, _ in _pieces(stream, text, rolling, on_progress):
        for positions, windows in _gathered(index, ids, sums, len(ids)):
            spread = np.repeat(np.arange(len(windows)), bounds[windows + 1] - bounds[windows])
            nth = np.arange(len(spread)) - np.searchsorted(spread, spread)
            places = text.windows[order[bounds[windows[spread]] + nth]]
            counted = ~text.is_own(positions[spread] + begin, places)
            _extend(reach, positions[spread][counted], places[counted], text.length)
    return np.maximum.accumulate(reach)


def _gathered(
    index: WindowIndex, ids: np.ndarray, sums: np.ndarray, starts: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All hits of a piece together, because the windows of one stretch may be found in different rounds."""
    found = list(index.hits(ids, sums, starts))
    if found and sum(len(positions) for positions, _ in found):
        yield np.concatenate([p for p, _ in found]), np.concatenate([w for _, w in found])


def _extend(reach: np.ndarray, positions: np.ndarray, places: np.ndarray, length: int) -> None:
    """Takes runs of hits on one diagonal as stretches."""
    if not len(positions):
        return
    diagonals = positions - places
    order = np.lexsort((positions, diagonals))
    positions, places, diagonals = positions[order], places[order], diagonals[order]
    is_start = np.ones(len(order), dtype=bool)
    is_start[1:] = (np.diff(diagonals) != 0) | (np.diff(positions) != 1)
    starts = np.flatnonzero(is_start)
    runs = np.diff(np.append(starts, len(order)))
    np.maximum.at(reach, places[starts], places[starts] + runs + length - 1)


def _maximal(reach: np.ndarray, text: _Text) -> tuple[np.ndarray, np.ndarray]:
    """First place of the stretches that no longer one holds, and the place behind each, [stretch]."""
    goes_further = np.diff(reach, prepend=-1) > 0
    begins = np.flatnonzero(goes_further & (reach - np.arange(len(reach)) >= text.length))
    return begins, reach[begins]


def _counted(
    stream: TokenStream,
    text: _Text,
    begins: np.ndarray,
    lengths: np.ndarray,
    most_places: int,
    on_progress: Callable[[int], None] | None,
) -> tuple[np.ndarray, list[list[int]]]:
    """Occurrences of stretches, [stretch], and the first places of each: by their first window, then as a whole."""
    counts, places = np.zeros(len(begins), dtype=np.int64), [list[int]() for _ in begins]
    if not len(begins):
        return counts, places
    rolling = text.rolling()
    index = WindowIndex(text.rows(begins), rolling)
    for begin, ids, sums, starts in _pieces(stream, text, rolling, on_progress):
        for positions, windows in _gathered(index, ids, sums, starts):
            for stretch in np.flatnonzero(np.isin(index.distinct_of_rows, windows)).tolist():
                here = np.sort(positions[windows == index.distinct_of_rows[stretch]])
                whole = _whole(ids, here, text.ids[begins[stretch] : begins[stretch] + lengths[stretch]])
                whole = whole[~text.is_own(whole + begin, np.full(len(whole), begins[stretch]))]
                counts[stretch] += len(whole)
                missing = most_places - len(places[stretch])
                places[stretch] += (whole[: max(missing, 0)] + begin).tolist()
    return counts, places


def _whole(ids: np.ndarray, positions: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Positions at which all of `wanted` stands; tokens are compared from the last on, where stretches differ first."""
    left = positions[positions + len(wanted) <= len(ids)]
    for place in range(len(wanted) - 1, -1, -1):
        if not len(left):
            break
        left = left[ids[left + place] == wanted[place]]
    return left
