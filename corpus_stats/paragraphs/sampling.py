"""Sampling windows of consecutive tokens: seeded, without overlap, inside documents, with distinct contents."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from corpus_stats.errors import CorpusError
from corpus_stats.paragraphs.facts import paragraph_id, paragraph_ids, unique_token_count
from corpus_stats.paragraphs.filters import FilterTally, contains_token_set

__all__ = [
    "WINDOW_SCHEMA", "paragraph_id", "paragraph_ids", "permuted", "pooled_windows", "sample_windows",
    "unique_token_count",
]  # fmt: skip

if TYPE_CHECKING:
    from corpus_stats.tokens.stream import TokenStream

WINDOW_SCHEMA = {"document_id": pl.Int64, "token_offset": pl.Int64, "subset": pl.String}
_DRAW_BATCH = 8192
_FEISTEL_ROUNDS = 6


def sample_windows(
    stream: TokenStream,
    documents: pl.DataFrame,
    length: int,
    count: int,
    seed: int,
    minimum_unique_share: float = 0.5,
    per_subset: Mapping[str, int] | None = None,
    distinct: bool = True,
    token_sets: Sequence[Sequence[int]] = (),
    tally: FilterTally | None = None,
) -> pl.DataFrame:
    """Draws windows uniformly from a grid of adjacent windows in every document (Stoehr et al. 2024, §3.1).

    The grid of a document starts at a random phase, so windows do not overlap, never cross a document, and need not
    begin where a document begins. The draw is a seeded permutation of all grid windows, walked until enough pass the
    filters: it depends on the corpus, the arguments and the seed alone.

    Args:
        stream: the corpus.
        documents: its documents, with document_id, subset, token_offset, token_count.
        length: tokens of a window, prefix and continuation together.
        count: windows to draw; not read when `per_subset` is given.
        seed: decides phases and draw.
        minimum_unique_share: a window passes when its distinct ids are **strictly more** than this share of `length`.
        per_subset: subset → windows to draw from it.
        distinct: keep one window of equal contents only.
        token_sets: a window that holds all ids of one of these is dropped (`filters.filter_token_sets`).
        tally: is told what each filter dropped of the windows that were drawn.

    Returns:
        One row per window in stream order: document_id, token_offset, subset.

    Raises:
        CorpusError: fewer windows than asked for pass, or a subset is unknown.
    """
    quotas: Iterable[tuple[str | None, int]] = [(None, count)] if per_subset is None else list(per_subset.items())
    chosen: list[pl.DataFrame] = []
    sieve = _Sieve(minimum_unique_share, token_sets, distinct, tally or FilterTally())
    for name, size in quotas:
        pool = documents if name is None else documents.filter(pl.col("subset") == name)
        chosen.append(_drawn(stream, _Grid(pool, length, seed), size, sieve, name))
    return pl.concat(chosen).sort("token_offset")


def pooled_windows(
    stream: TokenStream,
    documents: pl.DataFrame,
    length: int,
    most: int,
    seed: int,
    minimum_unique_share: float = 0.5,
    token_sets: Sequence[Sequence[int]] = (),
) -> tuple[pl.DataFrame, float]:
    """Windows of the same grid to draw strata from: equal contents stay, because each is text of the corpus.

    Args:
        stream, documents, length, seed, minimum_unique_share, token_sets: as for `sample_windows`.
        most: windows of the grid to look at; all where it has no more.

    Returns:
        The windows that pass, in stream order (document_id, token_offset, subset), and how many windows of the grid
        each of them stands for.

    Raises:
        CorpusError: no window passes.
    """
    grid = _Grid(documents, length, seed)
    sieve = _Sieve(minimum_unique_share, token_sets, False, FilterTally())
    looked, rows, offsets = 0, [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for batch_rows, batch_offsets in grid.draw():
        batch_rows, batch_offsets = batch_rows[: most - looked], batch_offsets[: most - looked]
        looked += len(batch_rows)
        taken = sieve.passing(stream.windows(batch_offsets, length), len(batch_rows) + 1)
        rows.append(batch_rows[taken])
        offsets.append(batch_offsets[taken])
        if looked >= most:
            break
    passing = _windows_at(grid, np.concatenate(rows), np.concatenate(offsets))
    if passing.is_empty():
        raise CorpusError(
            f"None of {looked} windows of {length} tokens passes the filters, so there is nothing to screen; relax the "
            "filters or add text."
        )
    return passing, grid.size / looked


def _windows_at(grid: _Grid, rows: np.ndarray, offsets: np.ndarray) -> pl.DataFrame:
    picked = grid.documents[rows]
    columns = {"document_id": picked["document_id"], "token_offset": offsets, "subset": picked["subset"]}
    return pl.DataFrame(columns, schema=WINDOW_SCHEMA).sort("token_offset")


@dataclass
class _Sieve:
    """The filters of a draw, and the contents that were drawn before."""

    minimum_unique_share: float
    token_sets: Sequence[Sequence[int]]
    distinct: bool
    tally: FilterTally
    seen: set[bytes] = field(default_factory=set)

    def passing(self, windows: np.ndarray, wanted: int) -> np.ndarray:
        """Rows of the first `wanted` windows that pass, ascending; only windows up to the last of them are counted."""
        varied = unique_token_count(windows) > self.minimum_unique_share * windows.shape[1]
        clean = ~contains_token_set(windows, self.token_sets)
        fresh = np.zeros(len(windows), dtype=bool)
        taken: list[int] = []
        for index in np.flatnonzero(varied & clean).tolist():
            fresh[index] = not self.distinct or _is_new(windows[index], self.seen)
            if fresh[index]:
                taken.append(index)
                if len(taken) == wanted:
                    break
        drawn = taken[-1] + 1 if len(taken) == wanted else len(windows)
        reached = self.tally.add("is_varied", varied[:drawn])
        if len(self.token_sets):
            reached = self.tally.add("has_no_filter_string", clean[:drawn], reached)
        if self.distinct:
            self.tally.add("is_distinct", fresh[:drawn], reached, alone=False)
        return np.array(taken, dtype=np.int64)


class _Grid:
    """All candidate windows of some documents, never enumerated: slot number → document and stream offset."""

    def __init__(self, documents: pl.DataFrame, length: int, seed: int) -> None:
        if length < 1:
            raise CorpusError(f"Windows of {length} tokens are impossible; ask for at least one token.")
        tokens = documents["token_count"].to_numpy()
        self.length = length
        self.seed = seed
        self.documents = documents
        slots = tokens // length
        self._ends = np.cumsum(slots)
        self.size = int(self._ends[-1]) if len(slots) else 0
        slack = (tokens - slots * length + 1).astype(np.uint64)
        phase = _mixed(documents["document_id"].to_numpy().astype(np.uint64), np.uint64(seed)) % slack
        self._first = documents["token_offset"].to_numpy() + phase.astype(np.int64)
        self._begins = self._ends - slots

    def draw(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields every slot once in seeded order, in batches: document rows and stream offsets."""
        for begin in range(0, self.size, _DRAW_BATCH):
            slots = permuted(np.arange(begin, min(begin + _DRAW_BATCH, self.size)), self.size, self.seed)
            rows = np.searchsorted(self._ends, slots, side="right")
            yield rows, self._first[rows] + (slots - self._begins[rows]) * self.length


def _drawn(stream: TokenStream, grid: _Grid, size: int, sieve: _Sieve, name: str | None) -> pl.DataFrame:
    rows: list[int] = []
    offsets: list[int] = []
    for batch_rows, batch_offsets in grid.draw() if size > 0 else ():
        taken = sieve.passing(stream.windows(batch_offsets, grid.length), size - len(rows))
        rows += batch_rows[taken].tolist()
        offsets += batch_offsets[taken].tolist()
        if len(rows) == size:
            break
    if len(rows) < size:
        raise CorpusError(
            f"{'The corpus' if name is None else f'The subset {name!r}'} has only {len(rows)} of the {size} windows of "
            f"{grid.length} tokens asked for; ask for fewer, relax the filters or add text."
        )
    return _windows_at(grid, np.array(rows, dtype=np.int64), np.array(offsets, dtype=np.int64))


def _is_new(window: np.ndarray, seen: set[bytes]) -> bool:
    key = hashlib.blake2b(window.astype("<u4").tobytes(), digest_size=16).digest()
    if key in seen:
        return False
    seen.add(key)
    return True


def permuted(indices: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Images of `indices` under a seeded permutation of 0 … size − 1 that is never written down, int64 [index].

    A Feistel network over the smallest even number of bits that holds `size`, walked along its cycles back into the
    range (Black and Rogaway 2002, *Ciphers with arbitrary finite domains*): constant memory for any size.
    """
    half = np.uint64(max(1, -(-(size - 1).bit_length() // 2)))
    mask = np.uint64((1 << int(half)) - 1)
    keys = _mixed(np.arange(_FEISTEL_ROUNDS, dtype=np.uint64), np.uint64(seed))
    values = np.asarray(indices).astype(np.uint64)
    pending = np.arange(len(values))
    while len(pending):
        left, right = values[pending] >> half, values[pending] & mask
        for key in keys:
            left, right = right, left ^ (_mixed(right, key) & mask)
        values[pending] = (left << half) | right
        pending = pending[values[pending] >= size]
    return values.astype(np.int64)


def _mixed(values: np.ndarray, key: np.uint64) -> np.ndarray:
    """SplitMix64's finalizer over values and a key, uint64."""
    with np.errstate(over="ignore"):
        mixed = (values + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) ^ key * np.uint64(0xD1342543DE82EF95)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))
