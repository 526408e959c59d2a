"""Readers: what they yield, in which order, and what they say about input that is broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpus_stats import CorpusError, Document
from corpus_stats.readers import open_source


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
    with pytest.raises(CorpusError, match=r"no text file"):
        list(open_source(str(tmp_path)))
    with pytest.raises(CorpusError, match=r"os\.py"):
        open_source(str(tmp_path), kind="python-installation")
