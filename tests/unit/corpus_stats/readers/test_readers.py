"""Readers: what they yield, in which order, and what they say about input that is broken."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import polars as pl
import pytest
import zstandard

from corpus_stats import CorpusError, Document
from corpus_stats.readers import PRETOKENIZED, detect_kind, open_source


def _library(root: Path) -> Path:
    """A library folder as Debian lays it out: third-party packages, tests and build files beside the modules."""
    files = {
        "os.py": "import abc",
        "abc.py": "# -*- coding: latin-1 -*-\n# caf\xe9",
        "json/__init__.py": "",
        "json/decoder.py": "decode",
        "json/tests/test_decode.py": "no",
        "idlelib/idle_test/test_x.py": "no",
        "idlelib/NEWS.txt": "news",
        "test/test_os.py": "no",
        "dist-packages/apt.py": "no",
        "site-packages/pip.py": "no",
        "config-3.11-x86_64-linux-gnu/makesetup.py": "no",
        "__pycache__/os.cpython-311.txt": "no",
        "_sysconfigdata__linux_x86_64-linux-gnu.py": "no",
        "sitecustomize.py": "no",
        "pydoc_data/topics.py": "topics",
        "LICENSE.txt": "PSF",
        "EXTERNALLY-MANAGED": "no",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("latin-1"))
    (root / "bad.py").write_bytes(b"x = '\xff\xfe'")
    return root


def test_python_installation_of_another_layout(tmp_path):
    reader = open_source(str(_library(tmp_path)), kind="python-installation")
    assert [(d.name, d.subset) for d in reader] == [
        ("LICENSE.txt", "licence"),
        ("abc.py", "stdlib"),
        ("idlelib/NEWS.txt", "documentation"),
        ("json/decoder.py", "json"),
        ("os.py", "stdlib"),
        ("pydoc_data/topics.py", "documentation"),
    ]
    assert reader.skipped == {"undecodable file": 1, "empty document": 1}
    assert next(d for d in reader if d.name == "abc.py").text.endswith("café")


def test_this_installation_is_large_ordered_and_repeatable():
    reader = open_source("python")
    first = [(d.name, d.subset, len(d.text)) for d in reader]
    assert sum(length for *_, length in first) > 5_000_000
    assert [name for name, *_ in first] == sorted(name for name, *_ in first)
    assert {"stdlib", "json", "documentation"} <= {subset for _, subset, _ in first}
    assert not any("site-packages" in name or "/test" in name for name, *_ in first)
    assert first == [(d.name, d.subset, len(d.text)) for d in reader]


def test_text_folder(tmp_path):
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "a.txt").write_text("eins", encoding="utf-8")
    (tmp_path / "top.md").write_text("zwei", encoding="utf-8")
    (tmp_path / ".hidden").write_text("no", encoding="utf-8")
    assert list(open_source(str(tmp_path))) == [
        Document("books/a.txt", "books", "eins"),
        Document("top.md", tmp_path.name, "zwei"),
    ]
    assert [d.name for d in open_source(str(tmp_path), suffixes=[".md"])] == ["top.md"]


def test_jsonl_keeps_the_pile_set_name(tmp_path):
    records = [{"text": "a\u00e9", "meta": {"pile_set_name": "Github"}}, {"text": "b"}, {"text": ""}]
    path = tmp_path / "part0.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in records) + "\n", encoding="utf-8")
    reader = open_source(str(path))
    assert list(reader) == [Document("part0.jsonl:1", "Github", "aé"), Document("part0.jsonl:2", "part0", "b")]
    assert reader.skipped == {"empty document": 1}


BROKEN_LINES = {
    "broken JSON": b'{"text": "cut',
    "invalid UTF-8": b'{"text": "\xff"}',
    "no text field": b'{"body": "x"}',
    "lone surrogate": b'{"text": "\\ud800"}',
}


@pytest.mark.parametrize("reason", BROKEN_LINES)
def test_broken_lines_fail_or_are_counted(tmp_path, reason):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"text": "ok"}\n' + BROKEN_LINES[reason] + b"\n" + b'{"text": "also"}\n')
    with pytest.raises(CorpusError, match=r"x\.jsonl:2"):
        list(open_source(str(path)))
    reader = open_source(str(path), on_bad="skip")
    assert [d.text for d in reader] == ["ok", "also"]
    assert reader.skipped == {reason: 1}
    assert [d.text for d in reader] == ["ok", "also"]
    assert reader.skipped == {reason: 1}, "counts start afresh with every iteration"


def test_requests_that_cannot_be_met(tmp_path):
    with pytest.raises(CorpusError, match="does not exist"):
        open_source(str(tmp_path / "absent"))
    with pytest.raises(CorpusError, match="no reader 'carrier-pigeon'"):
        open_source(str(tmp_path), kind="carrier-pigeon")
    with pytest.raises(CorpusError, match="no option 'colour'"):
        open_source("python", colour="red")
    with pytest.raises(CorpusError, match=r"no text-folder file"):
        list(open_source(str(tmp_path)))
    with pytest.raises(CorpusError, match=r"os\.py"):
        open_source(str(tmp_path), kind="python-installation")


PILE_LIKE = [{"text": f"text {i} ☕", "meta": {"pile_set_name": ["Github", "ArXiv"][i % 2]}} for i in range(700)]


def _expected(prefix: str, first: int) -> list[Document]:
    return [
        Document(f"{prefix}:{i + first}", record["meta"]["pile_set_name"], record["text"])
        for i, record in enumerate(PILE_LIKE)
    ]


def _compressed(data: bytes, suffix: str) -> bytes:
    """Two frames, as concatenated archives have them, with checksums."""
    half = len(data) // 2
    if suffix == ".gz":
        return gzip.compress(data[:half]) + gzip.compress(data[half:])
    compressor = zstandard.ZstdCompressor(write_checksum=True)
    return compressor.compress(data[:half]) + compressor.compress(data[half:])


@pytest.mark.parametrize("suffix", ["", ".zst", ".gz"])
def test_jsonl_whether_compressed_or_not(tmp_path, suffix):
    data = "".join(json.dumps(record) + "\n" for record in PILE_LIKE).encode()
    path = tmp_path / f"00.jsonl{suffix}"
    path.write_bytes(_compressed(data, suffix) if suffix else data)
    reader = open_source(str(tmp_path))
    assert reader.kind == "jsonl"
    assert list(reader) == list(reader) == _expected(path.name, 1)


@pytest.mark.parametrize("suffix", [".zst", ".gz"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "cut at the start"])
def test_damaged_archives_are_never_short_reads(tmp_path, suffix, damage):
    data = "".join(json.dumps(record) + "\n" for record in PILE_LIKE).encode()
    packed = bytearray(_compressed(data, suffix))
    if damage == "flipped":
        packed[len(packed) // 2 + 60] ^= 0xFF
    else:
        packed = packed[: 7 if damage.endswith("start") else -5]
    (tmp_path / f"a.jsonl{suffix}").write_bytes(packed)
    (tmp_path / "b.jsonl").write_text('{"text": "next file"}\n')
    with pytest.raises(CorpusError, match=r"a\.jsonl"):
        list(open_source(str(tmp_path)))
    reader = open_source(str(tmp_path), on_bad="skip")
    assert list(reader)[-1].text == "next file"
    assert sum(reader.skipped.values()) >= 1
    assert "damaged file" in reader.skipped


def test_parquet(tmp_path):
    pl.DataFrame(PILE_LIKE).write_parquet(tmp_path / "0.parquet", row_group_size=100)
    reader = open_source(str(tmp_path))
    assert reader.kind == "parquet"
    assert list(reader) == list(reader) == _expected("0.parquet", 0)
    pl.DataFrame({"content": ["x", None], "lang": ["de", None]}).write_parquet(tmp_path / "1.parquet")
    with pytest.raises(CorpusError, match=r"no column 'text' but content, lang"):
        list(reader)
    other = {"text_field": "content", "subset_field": "lang"}
    with pytest.raises(CorpusError, match=r"row 1\.parquet:1"):
        list(open_source(str(tmp_path / "1.parquet"), **other))
    skipping = open_source(str(tmp_path / "1.parquet"), on_bad="skip", **other)
    assert list(skipping) == [Document("1.parquet:0", "de", "x")]
    assert skipping.skipped == {"no text field": 1}


def test_cut_parquet(tmp_path):
    path = tmp_path / "0.parquet"
    pl.DataFrame(PILE_LIKE).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorpusError, match="cannot be read as Parquet"):
        list(open_source(str(path)))
    reader = open_source(str(path), on_bad="skip")
    assert list(reader) == []
    assert reader.skipped == {"damaged file": 1}


def test_saved_hugging_face_data_set(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    single, both = str(tmp_path / "single"), str(tmp_path / "both")
    data = datasets.Dataset.from_list(PILE_LIKE)
    data.save_to_disk(single)
    datasets.DatasetDict({"train": data, "test": data.select([0])}).save_to_disk(both)
    assert open_source(single).kind == open_source(both).kind == "huggingface"
    assert list(open_source(single)) == list(open_source(both)) == _expected("train", 0)
    assert [d.name for d in open_source(both, split="test")] == ["test:0"]
    with pytest.raises(CorpusError, match="no split 'validation' but train, test"):
        list(open_source(both, split="validation"))
    with pytest.raises(CorpusError, match="record 0"):
        list(open_source(single, text_field="body"))


def test_missing_extra_explains_itself(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(CorpusError, match=r"install rarecall\[datasets\]"):
        list(open_source("some/name", kind="huggingface"))


def test_token_files_are_not_text(tmp_path):
    (tmp_path / "tokens.bin").write_bytes(b"\0\1" * 9)
    assert detect_kind(str(tmp_path)) == PRETOKENIZED
    with pytest.raises(CorpusError, match="token ids"):
        open_source(str(tmp_path))


def test_files_that_are_not_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\x89PNG\xff")
    (tmp_path / "b.txt").write_bytes("\ufefffine".encode())
    with pytest.raises(CorpusError, match=r"a\.txt is not UTF-8 at byte 0"):
        list(open_source(str(tmp_path)))
    reader = open_source(str(tmp_path), on_bad="skip")
    assert [d.text for d in reader] == ["fine"]
    assert reader.skipped == {"invalid UTF-8": 1}


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_files_that_cannot_be_read(tmp_path, monkeypatch, name):
    (tmp_path / name).write_text("{}")
    (tmp_path / name.replace("a.", "b.")).write_text('{"text": "fine"}\n' if name == "a.jsonl" else "fine")

    def refusing(method):
        def wrapped(self, *arguments, **options):
            if self.name == name:
                raise PermissionError(13, "Permission denied")
            return method(self, *arguments, **options)

        return wrapped

    monkeypatch.setattr(Path, "read_bytes", refusing(Path.read_bytes))
    monkeypatch.setattr(Path, "open", refusing(Path.open))
    with pytest.raises(CorpusError, match="Permission denied"):
        list(open_source(str(tmp_path)))
    reader = open_source(str(tmp_path), on_bad="skip")
    assert len(list(reader)) == 1
    assert reader.skipped == {"unreadable file": 1}
