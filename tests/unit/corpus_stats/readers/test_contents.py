"""Kinds of files by their content, splits, links and globs: nothing is read as what it is not, nothing vanishes."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import random

import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
import zstandard

from corpus_stats import CorpusError, Document
from corpus_stats.readers import ID_LINES, detect_kind, open_source
from corpus_stats.readers.id_lines import IdLinesReader
from corpus_stats.readers.inspect import inspect_source
from corpus_stats.tokens.shards import write_id_rows
from corpus_stats.tokens.stream import TokenStream
from corpus_stats.tokens.tokenizer import train_tokenizer

RECORDS = [{"text": "first text\nof two lines"}, {"text": "second text é"}]
LINES = "".join(json.dumps(record) + "\n" for record in RECORDS).encode()
TEXTS = [record["text"] for record in RECORDS]


def texts_of(source, **options):
    return [document.text for document in open_source(str(source), **options)]


@pytest.mark.parametrize("name", ["train.json", "A.JSONL", "b.ndjson", "c.txt", "d"])
def test_lines_of_json_are_documents_whatever_the_file_is_called(tmp_path, name):
    (tmp_path / name).write_bytes(LINES)
    assert detect_kind(str(tmp_path)) == "jsonl" and texts_of(tmp_path) == TEXTS


@pytest.mark.parametrize(
    "content",
    [json.dumps(RECORDS), json.dumps(RECORDS, indent=1), "\ufeff" + json.dumps(RECORDS, indent=1)],
)
def test_an_array_of_objects_is_documents(tmp_path, content):
    (tmp_path / "a.json").write_text(content, encoding="utf-8")
    assert texts_of(tmp_path) == TEXTS


def test_a_long_first_line_is_still_a_line(tmp_path):
    (tmp_path / "a.json").write_bytes(json.dumps({"text": "x" * 200_000}).encode() + b"\n" + LINES)
    assert [len(text) for text in texts_of(tmp_path)] == [200_000, *map(len, TEXTS)]


PACKERS = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
    ".zstd": zstandard.ZstdCompressor().compress,
    ".gz and no name for it": gzip.compress,
}


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.txt"])
def test_compressions_are_seen_from_the_bytes(tmp_path, suffix, name):
    packed = PACKERS[suffix](LINES if name != "a.txt" else TEXTS[0].encode())
    (tmp_path / f"{name}{suffix if ' ' not in suffix else ''}").write_bytes(packed)
    assert texts_of(tmp_path) == (TEXTS if name != "a.txt" else TEXTS[:1])


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
@pytest.mark.parametrize("damage", ["cut", "empty"])
def test_cut_and_empty_archives_are_damage(tmp_path, suffix, damage):
    packed = PACKERS[suffix](LINES * 50)
    (tmp_path / f"a.jsonl{suffix}").write_bytes(b"" if damage == "empty" else packed[: len(packed) // 2])
    with pytest.raises(CorpusError, match="is damaged after line"):
        texts_of(tmp_path)
    reader = open_source(str(tmp_path), on_bad="skip")
    list(reader)
    assert reader.skipped["damaged file"] == 1


def test_tables_of_other_formats(tmp_path):
    table = pa.table({"text": TEXTS, "meta": [{"pile_set_name": "x"}, {"pile_set_name": "y"}]})
    folders = {name: tmp_path / name for name in ("feather", "stream", "pq", "csv", "tsv")}
    for folder in folders.values():
        folder.mkdir()
    with pa.ipc.new_file(folders["feather"] / "a.feather", table.schema) as writer:
        writer.write_table(table)
    with pa.ipc.new_stream(folders["stream"] / "a.arrow", table.schema) as writer:
        writer.write_table(table)
    pl.from_arrow(table).write_parquet(folders["pq"] / "a.pq")
    flat = pl.DataFrame({"text": TEXTS, "subset": ["x", "y"]})
    flat.write_csv(folders["csv"] / "a.csv")
    flat.write_csv(folders["tsv"] / "a.tsv", separator="\t")
    for name, folder in folders.items():
        options = {"subset_field": "subset"} if name in ("csv", "tsv") else {}
        found = list(open_source(str(folder), **options))
        assert [(d.text, d.subset) for d in found] == list(zip(TEXTS, "xy", strict=True)), name


def test_mixed_folders_are_refused_or_say_what_they_leave_out(tmp_path):
    (tmp_path / "sample.jsonl").write_bytes(LINES)
    (tmp_path / "more.jsonl.xz").write_bytes(lzma.compress(LINES))
    pl.DataFrame(RECORDS).write_parquet(tmp_path / "train.parquet")
    with pytest.raises(CorpusError, match="several kinds: 2 jsonl, 1 parquet; say which with kind"):
        open_source(str(tmp_path))
    reader = open_source(str(tmp_path), kind="jsonl")
    assert len(list(reader)) == 4
    assert reader.skipped == {"file left out: kind parquet": 1}
    assert reader.first_skipped["file left out: kind parquet"].startswith("train.parquet of ")
    assert len(texts_of(tmp_path, include="*.parquet")) == 2
    assert len(texts_of(tmp_path, exclude=["*.jsonl", "*.xz"])) == 2


def test_what_stands_beside_data_does_not_make_it_mixed(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(LINES)
    for name in ("README.md", "LICENSE", "SHA256SUMS.txt", "dataset_info.json", "loader.py", ".gitattributes"):
        (tmp_path / name).write_text("{}" if name.endswith("json") else "words")
    reader = open_source(str(tmp_path))
    assert len(list(reader)) == 2 and reader.skipped.total() == 6, "all six are counted"
    (tmp_path / "a text of its own.txt").write_text("words")
    with pytest.raises(CorpusError, match="1 jsonl, 1 text-folder"):
        open_source(str(tmp_path))


def test_a_pointer_of_git_lfs_is_no_text(tmp_path):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    (tmp_path / "a.txt").write_text(pointer)
    with pytest.raises(CorpusError, match=r"a\.txt of .* is a pointer of Git LFS; fetch it"):
        open_source(str(tmp_path))
    (tmp_path / "b.txt").write_text("words")
    reader = open_source(str(tmp_path))
    assert [d.name for d in reader] == ["b.txt"] and reader.skipped == {"file left out: kind git-lfs pointer": 1}


def test_linked_folders_are_read_once_and_links_that_lead_nowhere_are_named(tmp_path):
    store, source = tmp_path / "store", tmp_path / "in"
    (store / "deep").mkdir(parents=True)
    (store / "x.jsonl").write_bytes(LINES)
    (store / "deep" / "y.jsonl").write_bytes(LINES)
    source.mkdir()
    (source / "linked").symlink_to(store)
    (source / "again").symlink_to(store / "deep")
    (source / "circle").symlink_to(source)
    (source / "gone.jsonl").symlink_to(tmp_path / "absent")
    (source / "self").symlink_to(source / "self")
    reader = open_source(str(source))
    assert [d.name for d in reader][::2] == ["again/y.jsonl:1", "linked/x.jsonl:1"]
    assert reader.skipped == {
        "file left out: link to a folder that is read already": 2,
        "file left out: link that leads nowhere": 2,
    }


def test_splits_are_one_corpus_only_when_somebody_says_so(tmp_path):
    for name in ("train/00.jsonl", "train/01.jsonl", "val.jsonl", "test.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(LINES)
    with pytest.raises(CorpusError, match=r"splits test \(1 files\), train \(2 files\), validation \(1 files\)"):
        texts_of(tmp_path)
    assert len(texts_of(tmp_path, split="train")) == 4
    assert len(texts_of(tmp_path, split="all")) == 8
    reader = open_source(str(tmp_path), split="validation")
    assert len(list(reader)) == 2 and reader.skipped == {"file left out: not of the split validation": 3}


def test_subsets_by_folder_file_or_source(tmp_path):
    for name in ("books/a.one.jsonl", "books/b.jsonl", "web/c.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('{"text": "x"}\n')
    subsets = {by: [d.subset for d in open_source(str(tmp_path), subset_by=by)] for by in ("file", "folder", "source")}
    assert subsets["file"] == ["a", "b", "c"] and subsets["folder"] == ["books", "books", "web"]
    assert subsets["source"] == [tmp_path.name] * 3


def test_one_bad_cell_costs_one_row(tmp_path):
    buffers = pa.array([b"one", b"t\xffo", b"three"], pa.binary()).buffers()
    texts = pa.StringArray.from_buffers(3, buffers[1], buffers[2])
    far = pa.array([0, 2**62, 5], pa.timestamp("us"))
    meta = pa.StructArray.from_arrays([pa.array(["a", "b", "c"]), far], ["pile_set_name", "crawled"])
    pa.parquet.write_table(pa.table({"text": texts, "meta": meta}), tmp_path / "a.parquet")
    with pytest.raises(CorpusError, match=r"row a\.parquet:1 of .* is not UTF-8 at byte 1"):
        texts_of(tmp_path)
    reader = open_source(str(tmp_path), on_bad="skip")
    assert [(d.text, d.subset) for d in reader] == [("one", "a"), ("three", "c")]
    assert reader.skipped == {"invalid UTF-8": 1}


def test_names_that_are_not_utf8_cost_what_bears_them(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "x", "meta": {"pile_set_name": "\\ud800"}}\n{"text": "y"}\n')
    (tmp_path / os.fsdecode(b"caf\xe9.jsonl")).write_bytes(LINES)
    with pytest.raises(CorpusError, match=r"subset of a\.jsonl:1 .* holds half a surrogate"):
        texts_of(tmp_path)
    with pytest.raises(CorpusError, match=r"the name of .*caf\\xe9\.jsonl is not UTF-8"):
        texts_of(tmp_path, include="caf*")
    reader = open_source(str(tmp_path), on_bad="skip")
    assert list(reader) == [Document("a.jsonl:2", "a", "y")]
    assert reader.skipped == {"lone surrogate": 1, "file name is not UTF-8": 1}
    assert reader.first_skipped["file name is not UTF-8"].isascii()


def test_options_have_types(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "b.md").write_text("x")
    assert texts_of(tmp_path, suffixes=".txt") == texts_of(tmp_path, suffixes=[".txt"]) == ["x"]
    assert len(texts_of(tmp_path, suffixes=".txt,.md")) == 2
    with pytest.raises(CorpusError, match="option split = 'half' is wrong"):
        open_source(str(tmp_path), split="half")
    with pytest.raises(CorpusError, match="option text_field = 3 is wrong"):
        open_source("python", kind="jsonl", text_field=3)


def test_rows_of_token_ids_in_json_lines(tmp_path, tmp_path_factory):
    """LLM360's chunks: rows of packed documents under `token_ids`."""
    tokenizer = train_tokenizer(["one two three " * 9], 270)
    rows = [[5, 6, 0, 7, 8], [9, 10, 11, 12, 0], [0, 1, 2, 3, 4]]
    lines = [json.dumps({"token_ids": row, "source": "wiki"}) for row in rows]
    (tmp_path / "train_000.jsonl").write_text("\n".join([*lines, '{"token_ids": "no"}']) + "\n")
    assert detect_kind(str(tmp_path)) == ID_LINES
    with pytest.raises(CorpusError, match=r"train_000\.jsonl:4 of .* holds no list of token ids"):
        list(IdLinesReader(str(tmp_path)).rows())
    reader = IdLinesReader(str(tmp_path), on_bad="skip")
    told = lambda: (reader.skipped, reader.first_skipped)  # noqa: E731
    corpus = write_id_rows(reader.rows(), tokenizer, out := tmp_path_factory.mktemp("out"), left_out=told)
    stream = TokenStream(out)
    assert stream.read(0, stream.token_count).tolist() == [i for row in rows for i in row]
    found = corpus.documents.select("token_offset", "token_count", "subset").rows()
    assert found == [(0, 2, "wiki"), (3, 2, "wiki"), (5, 4, "wiki"), (11, 4, "wiki")]
    assert (corpus.separator_count, corpus.skipped) == (3, {"no token ids": 1})


def test_a_look_before_any_run(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(LINES + b'{"text": ""}\n{"body": 1}\n')
    (tmp_path / "README.md").write_text("words")
    found = inspect_source(str(tmp_path))
    assert (found.kind, found.problem, found.is_whole, found.document_count) == ("jsonl", None, True, 2)
    assert found.files == {"json-lines": (1, (tmp_path / "a.jsonl").stat().st_size), "text": (1, 5)}
    assert {reason: count for reason, (count, _) in found.skipped.items()} == {"empty document": 1, "no text field": 1}
    assert found.left_out["kind text"][0] == 1
    assert found.text_bytes == sum(len(text.encode()) for text in TEXTS)
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    assert "several kinds" in (inspect_source(str(tmp_path)).problem or "")


@pytest.mark.parametrize("packed", [False, True])
def test_tokens_are_estimated_from_the_sizes_of_files(tmp_path, packed):
    draw = random.Random(1)
    words = [f"word{i:05d}" for i in range(5000)]
    texts = [" ".join(draw.choices(words, k=360)) for _ in range(4000)]
    content = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    (tmp_path / "a.jsonl").write_bytes(zstandard.ZstdCompressor().compress(content) if packed else content)
    found = inspect_source(str(tmp_path), documents=50, count_tokens=lambda texts: sum(len(t.split()) for t in texts))
    assert not found.is_whole and found.token_count == pytest.approx(4000 * 360, rel=0.1)
