"""JSON lines: one document per line, as the Pile is distributed (`text`, `meta.pile_set_name`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corpus_stats.documents import Document
from corpus_stats.readers.base import RecordFileReader
from corpus_stats.readers.compression import COMPRESSED_SUFFIXES, DamagedFileError, opened

_PLAIN_SUFFIXES = (".jsonl", ".ndjson")
JSONL_SUFFIXES = tuple(plain + packed for plain in _PLAIN_SUFFIXES for packed in ("", *COMPRESSED_SUFFIXES))


class JsonlReader(RecordFileReader):
    """Lines of a JSONL file (plain, .zst or .gz), or of all such files below a folder in order of their relative path.

    Fields are dotted paths. A record without the subset field belongs to the subset named like its file.
    """

    kind = "jsonl"
    suffixes = JSONL_SUFFIXES

    def _records(self, path: Path, name: str) -> Iterator[Document]:
        number = 0
        try:
            with opened(path) as lines:
                for number, line in enumerate(lines, start=1):
                    if line.isspace():
                        continue
                    document = self._parsed(line, f"{name}:{number}", path.name.split(".")[0])
                    if document is not None:
                        yield document
        except DamagedFileError as error:
            self._bad("damaged file", f"{path} is damaged after line {number} ({error})", error)
        except OSError as error:
            self._bad("unreadable file", f"{path} cannot be read after line {number} ({error.strerror})", error)

    def _parsed(self, line: bytes, name: str, file_subset: str) -> Document | None:
        where = f"line {name} of {self.source}"
        decoded = self._decoded(line, where)
        if decoded is None:
            return None
        try:
            record = json.loads(decoded)
        except (ValueError, RecursionError) as error:
            self._bad("broken JSON", f"{where} is not JSON ({error})", error)
            return None
        text = field_of(record, self._text_field)
        if not isinstance(text, str):
            self._bad("no text field", f"{where} has no text in the field {self._text_field!r}")
            return None
        subset = field_of(record, self._subset_field)
        return Document(name, subset if isinstance(subset, str) and subset else file_subset, text)


def field_of(record: Any, dotted: str) -> Any:
    """Value at a dotted path, or None where the path ends early."""
    for key in dotted.split("."):
        if not isinstance(record, dict):
            return None
        record = record.get(key)
    return record
