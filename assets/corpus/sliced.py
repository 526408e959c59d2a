"""Corpus work in slices over the engine: tokenizing and occurrence counts, with parts that an interrupted run keeps.

Slices are pure functions of their part of the source; only this process writes. The number of workers changes nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from assets.framework.profile import settings_of
from assets.framework.stage import Scope
from assets.framework.workers import engine_of
from warehouse.files import digest

if TYPE_CHECKING:
    from corpus_stats.readers.base import FileReader
    from corpus_stats.tokens.shards import TokenizedCorpus
    from corpus_stats.tokens.slices import TokenSlice
    from corpus_stats.tokens.stream import TokenStream
    from probes.workers import EngineSettings

RANGE_TOKENS = 1 << 26


def tokenized_in_slices(
    scope: Scope, reader: FileReader, tokenizer: Any, content: Any, folder: Path, advance: Callable[[int], None]
) -> TokenizedCorpus:
    """`write_token_shards` of a source of files, its slices spread over the engine.

    Args:
        scope: home and profile.
        reader: of the source.
        tokenizer: a fast tokenizer.
        content: evidence about the source; parts of another are not taken.
        folder: of the corpus.
        advance: called with the documents of each finished slice.
    """
    from corpus_stats.tokens.shards import write_token_shards
    from corpus_stats.tokens.slices import SLICE_BYTES, SliceStore, join_slices
    from corpus_stats.tokens.tokenizer import encoder, tokenizer_sha256, vocabulary_count
    from corpus_stats.tokens.widths import token_dtype

    shard_tokens = scope.profile.corpus.shard_tokens
    slices = reader.slices(SLICE_BYTES)
    left_out = reader.skipped, reader.first_skipped
    if len(slices) < 2:
        return write_token_shards(reader, tokenizer, folder, shard_tokens, advance)
    known = [content, settings_of(scope.profile.corpus), tokenizer_sha256(tokenizer), SLICE_BYTES, len(slices)]
    work, dtype = _work_folder(scope, "slices", digest(known)), token_dtype(vocabulary_count(tokenizer))
    store, engine = SliceStore(work, dtype), engine_of(scope.profile)
    missing = [number for number in range(len(slices)) if not store.is_done(number)]
    setup = partial(_Tokenizing, reader, encoder(tokenizer).to_str(), dtype, _threads(engine))
    for number, found in _spread(setup, missing, slices, engine):
        store.put(number, found)
        advance(found.documents.height)
    corpus = join_slices(store, len(slices), left_out, tokenizer, folder, shard_tokens)
    shutil.rmtree(work, ignore_errors=True)
    return corpus


def _spread(
    setup: Callable[[], Any], numbers: Sequence[int], slices: Sequence[Any], engine: EngineSettings
) -> Iterable[tuple[int, Any]]:
    """Number and result of slices as they finish."""
    from probes.workers import run_shards

    for index, found in run_shards(setup, _worked, [slices[number] for number in numbers], engine):
        yield numbers[index], found


def _worked(state: Any, piece: Any) -> Any:
    return state.work(piece)


def _threads(engine: EngineSettings) -> int | None:
    """Threads of a worker's tokenizer: its share of the cores; in this process all of them."""
    return None if engine.is_this_process else max(1, (os.cpu_count() or 1) // engine.workers)


def _work_folder(scope: Scope, what: str, key: str) -> Path:
    """Where finished parts wait; those of other inputs are of no use any more."""
    folder = scope.corpus_folder() / f"{what}-{key[:16]}"
    for stale in scope.corpus_folder().glob(f"{what}-*"):
        if stale != folder:
            shutil.rmtree(stale, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass
class _Tokenizing:
    """A worker that tokenizes slices."""

    reader: FileReader
    tokenizer: str
    dtype: str
    threads: int | None
    encode: Any = field(init=False)

    def __post_init__(self) -> None:
        if self.threads is not None:
            os.environ["RAYON_NUM_THREADS"] = str(self.threads)
        from tokenizers import Tokenizer

        self.encode = Tokenizer.from_str(self.tokenizer)

    def work(self, pieces: Any) -> TokenSlice:
        """One slice."""
        from corpus_stats.tokens.slices import tokenize_slice

        return tokenize_slice(self.reader, pieces, self.encode, self.dtype)


@dataclass
class _Counting:
    """A worker that counts windows in ranges of the token stream."""

    folder: Path
    windows: list[np.ndarray]

    def work(self, token_range: tuple[int, int]) -> list[np.ndarray]:
        """Counts of one range, [window] for each set."""
        from corpus_stats.counts.occurrences import count_occurrences_together
        from corpus_stats.tokens.stream import TokenStream

        return count_occurrences_together(TokenStream(self.folder), self.windows, token_range=token_range)


def occurrences_in_ranges(
    scope: Scope, stream: TokenStream, windows: list[np.ndarray], advance: Callable[[int], None]
) -> list[np.ndarray]:
    """`count_occurrences_together`, ranges of the stream spread over the engine; counts of ranges add up.

    Args:
        scope: home and profile.
        stream: the corpus.
        windows: token ids, [window, position] of each set.
        advance: called with the tokens of each finished range.

    Returns:
        int64 counts of each set, [window].
    """
    from corpus_stats.counts.occurrences import count_occurrences_together

    if stream.token_count <= RANGE_TOKENS:
        return count_occurrences_together(stream, windows, on_progress=advance)
    ranges = [(at, min(at + RANGE_TOKENS, stream.token_count)) for at in range(0, stream.token_count, RANGE_TOKENS)]
    hashes = [hashlib.sha256(matrix.tobytes()).hexdigest() for matrix in windows]
    known = [scope.content("corpora"), hashes, [matrix.shape for matrix in windows], RANGE_TOKENS]
    work = _work_folder(scope, "occurrences", digest(known))
    files = [work / f"range-{number:06d}.npz" for number in range(len(ranges))]
    missing = [number for number, file in enumerate(files) if not file.is_file()]
    advance(sum(end - begin for number, (begin, end) in enumerate(ranges) if number not in set(missing)))
    setup = partial(_Counting, stream.folder, windows)
    for number, counts in _spread(setup, missing, ranges, engine_of(scope.profile)):
        partly = files[number].with_suffix(".partial.npz")
        np.savez(partly, *counts)
        partly.replace(files[number])
        advance(ranges[number][1] - ranges[number][0])
    totals = [np.zeros(len(matrix), dtype=np.int64) for matrix in windows]
    for file in files:
        with np.load(file) as counts:
            for index, total in enumerate(totals):
                total += counts[f"arr_{index}"]
    shutil.rmtree(work, ignore_errors=True)
    return totals
