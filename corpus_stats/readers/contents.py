"""Kinds of files by their content: JSON lines, tables, token ids, text, and what only looks like data."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from corpus_stats.readers.compression import DamagedFileError, compression_of, opened, plain_name

JSON_LINES, JSON_WHOLE, JSON_OTHER, ID_LINES = "json-lines", "json", "other-json", "id-lines"
PARQUET, ARROW, CSV, TOKENS, TEXT = "parquet", "arrow", "csv", "tokens", "text"
POINTER, TOKEN_INDEX, BINARY = "git-lfs pointer", "token index", "binary"
ID_FIELDS = ("token_ids", "input_ids", "tokens", "ids")
"""Fields of a record that hold token ids where there is no text."""
HEAD_BYTES = 1 << 16
_LFS = b"version https://git-lfs.github.com/spec/v1"
_MAGIC = {
    b"PAR1": PARQUET,
    b"ARROW1": ARROW,
    b"\x93NUMPY": TOKENS,
    b"MMIDIDX\0\0": TOKEN_INDEX,
    b"PK\x03\x04": BINARY,
    b"%PDF": BINARY,
    b"SQLite format 3\0": BINARY,
}
_ARROW_STREAM = b"\xff\xff\xff\xff"
_TOKEN_SUFFIXES = (".bin", ".npy")
_TOKEN_NAMES = re.compile(r"tokenized\.\d+")  # of an infini-gram index
_TOKEN_ORDER = re.compile(r"(.*_(doc|sample|shuffle)_idx|global_indices)\.npy")  # of NeoX and OLMo
_SUFFIXES = {
    ".jsonl": JSON_LINES, ".ndjson": JSON_LINES, ".parquet": PARQUET, ".pq": PARQUET, ".arrow": ARROW,
    ".feather": ARROW, ".csv": CSV, ".tsv": CSV, ".bin": TOKENS, ".npy": TOKENS, ".idx": TOKEN_INDEX,
}  # fmt: skip
_WHOLE_JSON = re.compile(rb'\s*(\{\s*("|\})|\[\s*(\{|\]|"))')


def kind_of_file(path: Path, text_field: str = "text") -> str:
    """Kind of a file by its first bytes, decompressed; by its name where these do not tell or cannot be read.

    Args:
        path: the file.
        text_field: dotted path of the text in a record; a .json file without it is no file of records.
    """
    try:
        head, raw = _heads(path)
    except (OSError, DamagedFileError):
        return _by_name(path.name) or TEXT
    if compression_of(raw) is None and raw.startswith(_LFS):
        return POINTER
    named = _by_name(path.name)
    magic = next((kind for start, kind in _MAGIC.items() if head.startswith(start)), None)
    if magic is not None and named != TOKEN_INDEX:
        return magic
    if named in (TOKENS, PARQUET, ARROW, TOKEN_INDEX):
        return named
    if head.startswith(_ARROW_STREAM):
        return ARROW
    return _of_text(head, path.name, named, text_field)


def _heads(path: Path) -> tuple[bytes, bytes]:
    """First bytes of the content and of the file."""
    with path.open("rb") as plain:
        raw = plain.read(len(_LFS))
    with opened(path) as content:
        return content.read(HEAD_BYTES), raw


def _by_name(name: str) -> str | None:
    plain = plain_name(name)
    if _TOKEN_NAMES.fullmatch(plain):
        return TOKENS
    if _TOKEN_ORDER.fullmatch(plain):
        return TOKEN_INDEX
    return next((kind for suffix, kind in _SUFFIXES.items() if plain.endswith(suffix)), None)


def _of_text(head: bytes, name: str, named: str | None, text_field: str) -> str:
    if named == CSV:
        return CSV
    record = _first_record(head)
    if record is not None:
        return _kind_of_record(record, named, name, text_field)
    if named == JSON_LINES:
        return JSON_LINES
    if _WHOLE_JSON.match(head.removeprefix(b"\xef\xbb\xbf")) and plain_name(name).endswith(".json"):
        return _kind_of_whole(head, text_field)
    return TEXT if b"\0" not in head else BINARY


def _first_record(head: bytes) -> dict[str, Any] | None:
    """The object in the first line, where each of the first two lines holds an object or nothing."""
    lines = [line for line in head.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
    if len(head) >= HEAD_BYTES and len(lines) > 1:
        lines.pop()  # may be cut
    records = [_parsed(line) for line in lines[:2]]
    return records[0] if records and all(record is not None for record in records) else None


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _kind_of_record(record: dict[str, Any], named: str | None, name: str, text_field: str) -> str:
    if isinstance(field_of(record, text_field), str):
        return JSON_LINES
    if id_field(record) is not None:
        return ID_LINES
    if named == JSON_LINES:
        return JSON_LINES
    return JSON_OTHER if plain_name(name).endswith(".json") else TEXT


def _kind_of_whole(head: bytes, text_field: str) -> str:
    """Kind of a .json file that is one object or array over several lines."""
    key = json.dumps(text_field.split(".")[-1]).encode()
    if not re.search(re.escape(key) + rb"\s*:\s*(\"|$)", head):
        return JSON_OTHER
    is_one_long_line = b"\n" not in head and head.lstrip()[:1] == b"{"
    return JSON_LINES if is_one_long_line else JSON_WHOLE


def id_field(record: dict[str, Any]) -> str | None:
    """The field of a record that holds a list of token ids."""
    for name in ID_FIELDS:
        ids = record.get(name)
        if isinstance(ids, list) and ids and all(isinstance(i, int) and not isinstance(i, bool) for i in ids[:64]):
            return name
    return None


def field_of(record: Any, dotted: str) -> Any:
    """Value at a dotted path, or None where the path ends early."""
    for key in dotted.split("."):
        if not isinstance(record, dict):
            return None
        record = record.get(key)
    return record
