"""Slices of a source over workers: the corpus of one process, byte for byte, and what an interrupted run keeps."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

import assets.corpus.sliced as sliced
import corpus_stats.tokens.slices as slices
from assets.framework.profile import load_profile
from assets.framework.stage import Scope
from corpus_stats.counts.occurrences import count_occurrences_together
from corpus_stats.readers import open_source
from corpus_stats.tokens.shards import write_token_shards
from corpus_stats.tokens.stream import TokenStream
from corpus_stats.tokens.tokenizer import train_tokenizer
from warehouse.home import Home

WORDS = ["the", "of", "and", "to", "in", "a", "is", "that", "for", "it", "was", "on"]
PROFILE = """
name = "sliced"
[corpus]
corpus_id = "sliced"
source = "{source}"
shard_tokens = 4000
on_bad = "skip"
[engine]
workers = {workers}
"""


def text(generator: np.random.Generator) -> str:
    return " ".join(generator.choice(WORDS, int(generator.integers(1, 60))).tolist()) + " – näher\n"


@pytest.fixture(scope="module")
def tokenizer():
    generator = np.random.default_rng(0)
    return train_tokenizer([text(generator) for _ in range(50)], 300)


def lines(folder: Path) -> None:
    """A large file of lines, one of all kinds of lines, one that ends without a newline, a packed one, a hidden one."""
    generator = np.random.default_rng(1)
    rows = [json.dumps({"text": text(generator), "meta": {"pile_set_name": f"s{i % 3}"}}) for i in range(400)]
    (folder / "a.jsonl").write_text("\n".join(rows) + "\n")
    bad = ["", "{broken", '{"no": 1}', '{"text": ""}', '{"text": "half \\ud800"}', *rows[:40], "   "]
    (folder / "b.jsonl").write_text("\r\n".join(bad * 3))
    (folder / "c.jsonl.gz").write_bytes(gzip.compress("\n".join(rows[40:90]).encode()))
    (folder / "d.jsonl").write_bytes(b"\xef\xbb\xbf" + "\n".join(rows[100:130]).encode() + b'\n{"text": "\xff"}\n')
    (folder / ".hidden.jsonl").write_text(rows[0])


def texts(folder: Path) -> None:
    """Many small files in folders, some of them empty or not UTF-8."""
    generator = np.random.default_rng(2)
    for number in range(60):
        file = folder / f"f{number % 4}" / f"{number:03d}.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text("" if number % 13 == 0 else text(generator) * int(generator.integers(1, 9)))
    (folder / "f1" / "bad.txt").write_bytes(b"\xff\xfe\xff")


def tables(folder: Path) -> None:
    """Parquet files."""
    import polars as pl

    generator = np.random.default_rng(3)
    for number in range(5):
        pl.DataFrame({"text": [text(generator) for _ in range(30)]}).write_parquet(folder / f"{number}.parquet")


def written(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.mark.parametrize("make", [lines, texts, tables])
@pytest.mark.parametrize("slice_bytes", [1, 900, 20_000, 1 << 30])
def test_slices_are_the_corpus_byte_for_byte(make, slice_bytes, tokenizer, tmp_path):
    """Token shards, documents.parquet and tokens.json, what was left out and its first examples included."""
    (source := tmp_path / "source").mkdir()
    make(source)
    write_token_shards(open_source(str(source), None, on_bad="skip"), tokenizer, tmp_path / "whole", 4000)
    reader = open_source(str(source), None, on_bad="skip")
    found = reader.slices(slice_bytes)
    left_out = reader.skipped, reader.first_skipped
    store = slices.SliceStore(tmp_path / "work", "<u2")
    for number in reversed(range(len(found))):
        one = slices.tokenize_slice(reader, found[number], slices.encoder(tokenizer), "<u2")
        store.put(number, one)
    slices.join_slices(store, len(found), left_out, tokenizer, tmp_path / "joined", 4000)
    assert written(tmp_path / "joined") == written(tmp_path / "whole")
    assert len(found) > 4 if slice_bytes < 20_000 else len(found) >= 1
    if make is lines and slice_bytes == 900:
        assert sum(piece.end is not None for pieces in found for piece in pieces) > 20, "large files are cut"


def test_lines_are_cut_at_lines_and_numbered_through(tmp_path):
    """Every size of a slice and of the blocks that are read, with and without a newline at the end."""
    for content in (b"", b"\n", b"a", b"a\nbb\n\nccc\n", b"a\nbb\n\nccc", b"\n\n\n", b"long line of text\n" * 20):
        (file := tmp_path / "f.jsonl").write_bytes(content)
        for size in (1, 2, 5, 30):
            for block in (1, 3, 1 << 20):
                from corpus_stats.readers import slices as cutting

                with pytest.MonkeyPatch.context() as patched:
                    patched.setattr(cutting, "COUNTED_BYTES", block)
                    pieces = list(cutting.line_ranges(cutting.SourceFile("f.jsonl", file), size))
                if pieces[0].end is None:
                    assert len(pieces) == 1
                    continue
                assert pieces[0].begin == 0 and pieces[-1].end == len(content)
                for before, after in itertools.pairwise(pieces):
                    assert before.end == after.begin and content[: after.begin].endswith(b"\n")
                assert [p.first_line for p in pieces] == [1 + content[: p.begin].count(b"\n") for p in pieces]


def scope_of(root: Path, source: Path, workers: int) -> Scope:
    profile = root / f"{workers}.toml"
    profile.write_text(PROFILE.format(source=source, workers=workers))
    return Scope(Home(root / f"home{workers}").prepare(), load_profile(str(profile)))


def tokenized(scope: Scope, source: Path, tokenizer, advance=lambda count: None) -> dict[str, bytes]:
    reader = open_source(str(source), None, on_bad="skip")
    folder = scope.corpus_folder() / "tokens"
    sliced.tokenized_in_slices(scope, reader, tokenizer, "content", folder, advance)
    return written(folder)


def test_two_workers_and_an_interrupted_run_write_what_one_process_writes(tokenizer, tmp_path, monkeypatch):
    """An interruption costs the slices that were not finished; nothing of the parts stays behind."""
    (source := tmp_path / "source").mkdir()
    lines(source)
    write_token_shards(open_source(str(source), None, on_bad="skip"), tokenizer, tmp_path / "whole", 4000)
    monkeypatch.setattr(slices, "SLICE_BYTES", 12_000)
    once, twice = scope_of(tmp_path, source, 1), scope_of(tmp_path, source, 2)
    assert tokenized(twice, source, tokenizer) == written(tmp_path / "whole")

    class StopError(Exception):
        pass

    made: list[int] = []
    real = slices.tokenize_slice
    monkeypatch.setattr(slices, "tokenize_slice", lambda *given: (made.append(1), real(*given))[1])

    def stop(_: int) -> None:
        if len(made) == 3:
            raise StopError

    with pytest.raises(StopError):
        tokenized(once, source, tokenizer, stop)
    count = len(open_source(str(source), None, on_bad="skip").slices(12_000))
    assert not (once.corpus_folder() / "tokens").exists() and count > 5
    assert tokenized(once, source, tokenizer) == written(tmp_path / "whole")
    assert len(made) == count, "slices that were finished are not made again"
    assert list(once.corpus_folder().glob("slices-*")) == []


def test_counts_of_ranges_add_up_over_workers_and_interruptions(tmp_path, monkeypatch):
    ids = np.random.default_rng(4).integers(0, 5, 6000).astype("<u2")
    (tmp_path / "t").mkdir()
    ids.tofile(tmp_path / "t" / "all.bin")
    description = {"format": "rarecall-tokens-1", "dtype": "<u2", "shards": [{"file": "all.bin", "token_count": 6000}]}
    (tmp_path / "t" / "tokens.json").write_text(json.dumps(description))
    stream = TokenStream(tmp_path / "t")
    windows = [np.lib.stride_tricks.sliding_window_view(ids, length)[::50].astype(np.int64) for length in (3, 7)]
    expected = count_occurrences_together(stream, windows)
    monkeypatch.setattr(sliced, "RANGE_TOKENS", 700)
    for workers in (1, 2):
        scope, told = scope_of(tmp_path, tmp_path, workers), [0]
        if workers == 1:
            with pytest.raises(ZeroDivisionError):
                sliced.occurrences_in_ranges(scope, stream, windows, lambda count: 1 // (0 if count == 700 else 1))
        counts = sliced.occurrences_in_ranges(scope, stream, windows, lambda count, told=told: told.append(count))
        assert all(np.array_equal(a, b) for a, b in zip(counts, expected, strict=True)) and sum(told) == 6000
        assert told[1] == (700 if workers == 1 else 0), "the range that was finished before is not scanned again"
