"""JSON lines: one document per line, as the Pile is distributed (`text`, `meta.pile_set_name`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from corpus_stats.documents import Document
from corpus_stats.readers import contents
from corpus_stats.readers.base import RecordFileReader
from corpus_stats.readers.compression import DamagedFileError, compression_of, opened
from corpus_stats.readers.contents import field_of
from corpus_stats.readers.files import SourceFile
from corpus_stats.readers.slices import SourcePiece, line_ranges

_WHOLE_BYTES = 1 << 28
_BROKEN: Any = object()


class JsonlReader(RecordFileReader):
    """Lines of JSON files, plain or compressed, whatever their suffix; .json files that are one object or one array of
    objects are read as a whole, up to 256 MiB."""

    kind = "jsonl"
    file_kinds = frozenset({contents.JSON_LINES, contents.JSON_WHOLE})

    def _records(self, file: SourceFile) -> Iterator[Document]:
        place = 0
        try:
            for place, document in self._found(file):  # noqa: B007 (the place is for what is caught below)
                if document is not None:
                    yield document
        except DamagedFileError as error:
            self._bad("damaged file", f"{file.path} is damaged after line {place} ({error})", error)
        except OSError as error:
            self._bad("unreadable file", f"{file.path} cannot be read after line {place} ({error.strerror})", error)

    def _pieces(self, file: SourceFile, slice_bytes: int) -> Iterator[SourcePiece]:
        """Plain files of lines are cut; compressed ones can only be read from their beginning."""
        try:
            with file.path.open("rb") as content:
                is_plain = compression_of(content.read(6)) is None
            if is_plain and SourcePiece(*file).byte_count() > slice_bytes and self._is_lines(file):
                yield from line_ranges(file, slice_bytes)
                return
        except OSError:  # said when it is read
            pass
        yield SourcePiece(*file)

    def _is_lines(self, file: SourceFile) -> bool:
        return self._file_kind(file.path) != contents.JSON_WHOLE

    def _lines(self, piece: SourcePiece) -> Iterator[Document]:
        assert piece.end is not None
        number, subset = piece.first_line - 1, self._subset(piece.name)
        try:
            with piece.path.open("rb") as lines:
                lines.seek(piece.begin)
                while lines.tell() < piece.end:
                    line, number = lines.readline(), number + 1
                    found = None if line.isspace() else self._parsed(line, f"{piece.name}:{number}", subset)
                    if found is not None:
                        yield found
        except OSError as error:
            problem = f"{piece.path} cannot be read after line {number} ({error.strerror})"
            self._bad("unreadable file", problem, error)

    def _found(self, file: SourceFile) -> Iterator[tuple[int, Document | None]]:
        """Documents with the number of their line, from 1; None for lines without one."""
        subset = self._subset(file.name)
        if not self._is_lines(file):
            for number, record in enumerate(self._whole(file), start=1):
                yield number, self._document(record, f"{file.name}:{number}", subset)
            return
        with opened(file.path) as lines:
            for number, line in enumerate(lines, start=1):
                yield number, None if line.isspace() else self._parsed(line, f"{file.name}:{number}", subset)

    def _whole(self, file: SourceFile) -> list[Any]:
        with opened(file.path) as content:
            data = content.read(_WHOLE_BYTES + 1)
        if len(data) > _WHOLE_BYTES:
            self._bad("too large", f"{file.path} is one JSON value of more than 256 MiB; write one object a line")
            return []
        loaded = self._loaded(data, str(file.path))
        return loaded if isinstance(loaded, list) else [] if loaded is _BROKEN else [loaded]

    def _parsed(self, line: bytes, name: str, subset: str) -> Document | None:
        record = self._loaded(line, f"line {name} of {self.source}")
        return None if record is _BROKEN else self._document(record, name, subset)

    def _loaded(self, data: bytes, where: str) -> Any:
        """The JSON value, or `_BROKEN` after a counted skip."""
        decoded = self._decoded(data, where)
        if decoded is None:
            return _BROKEN
        try:
            return json.loads(decoded)
        except (ValueError, RecursionError) as error:
            self._bad("broken JSON", f"{where} is not JSON ({error})", error)
            return _BROKEN

    def _document(self, record: Any, name: str, file_subset: str) -> Document | None:
        text = field_of(record, self._text_field)
        if not isinstance(text, str):
            where = f"line {name} of {self.source}"
            self._bad("no text field", f"{where} has no text in the field {self._text_field!r}")
            return None
        subset = field_of(record, self._subset_field)
        return Document(name, subset if isinstance(subset, str) and subset else file_subset, text)
