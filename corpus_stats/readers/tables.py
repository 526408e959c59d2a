"""Tables: one document per row of Parquet, Arrow or CSV files, read in batches."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from corpus_stats.documents import Document
from corpus_stats.errors import CorpusError
from corpus_stats.readers import contents
from corpus_stats.readers.base import RecordFileReader
from corpus_stats.readers.compression import DamagedFileError, opened, plain_name
from corpus_stats.readers.files import SourceFile

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 256


class _ColumnReader(RecordFileReader):
    """Rows of typed tables. Only the fields in use are read and each text is decoded by itself, so that one bad cell,
    or a bad one in a field that nobody asked for, costs one row at most."""

    format_name: ClassVar[str]

    def _records(self, file: SourceFile) -> Iterator[Document]:
        import pyarrow as pa

        row, subset = 0, self._subset(file.name)
        try:
            with ExitStack() as open_files:
                for batch in self._batches(file.path, open_files):
                    for text, named in zip(*self._cells(batch), strict=True):
                        yield from self._document(text, named, f"{file.name}:{row}", subset)
                        row += 1
        except (pa.ArrowException, OSError) as error:
            problem = f"{file.path} cannot be read as {self.format_name} ({first_line(error)})"
            self._bad("damaged file", problem, error)

    def _batches(self, path: Path, open_files: ExitStack) -> Iterator[pa.RecordBatch]:
        """Batches of a file that hold at least the fields in use."""
        raise NotImplementedError

    def _cells(self, batch: pa.RecordBatch) -> tuple[list[Any], list[Any]]:
        """Texts and subsets of a batch as bytes; None where there is no string."""
        texts = bytes_of(batch, self._text_field)
        return texts, bytes_of(batch, self._subset_field)

    def _check_columns(self, schema: pa.Schema, path: Path) -> None:
        if self._text_field.split(".")[0] not in schema.names:
            raise CorpusError(
                f"{path} has no column {self._text_field!r} but {', '.join(schema.names[:8])}; pass text_field=…."
            )

    def _document(self, text: bytes | None, named: bytes | None, name: str, file_subset: str) -> Iterator[Document]:
        where = f"row {name} of {self.source}"
        if text is None:
            self._bad("no text field", f"{where} has no text in {self._text_field!r}")
            return
        decoded = self._decoded(text, where)
        subset = self._decoded(named, f"the subset of {where}") if named else file_subset
        if decoded is not None and subset is not None:
            yield Document(name, subset, decoded)

    def _file_subset(self, file_name: str) -> str:
        return Path(file_name).stem


class ParquetReader(_ColumnReader):
    """Rows of a Parquet file, or of all such files below a folder; fields are dotted paths into struct columns."""

    kind = "parquet"
    file_kinds = frozenset({contents.PARQUET})
    format_name = "Parquet"

    def _batches(self, path: Path, open_files: ExitStack) -> Iterator[pa.RecordBatch]:
        import pyarrow.parquet as pq

        file = open_files.enter_context(pq.ParquetFile(path))
        self._check_columns(file.schema_arrow, path)
        return file.iter_batches(_BATCH_ROWS, columns=[self._text_field, self._subset_field])


class ArrowReader(_ColumnReader):
    """Rows of Arrow files, of the file format (Feather) and of the stream format that data sets are cached in."""

    kind = "arrow"
    file_kinds = frozenset({contents.ARROW})
    format_name = "Arrow"

    def _batches(self, path: Path, open_files: ExitStack) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        mapped = open_files.enter_context(pa.memory_map(str(path)))
        begins = mapped.read(6)
        mapped.seek(0)
        if begins == b"ARROW1":
            file = pa.ipc.open_file(mapped)
            self._check_columns(file.schema, path)
            batches = (file.get_batch(index) for index in range(file.num_record_batches))
        else:
            stream = pa.ipc.open_stream(mapped)
            self._check_columns(stream.schema, path)
            batches = iter(stream)
        return (batch.slice(at, _BATCH_ROWS) for batch in batches for at in range(0, batch.num_rows, _BATCH_ROWS))


class CsvReader(RecordFileReader):
    """Rows of CSV files with a header, or of .tsv files with tabs; plain or compressed."""

    kind = "csv"
    file_kinds = frozenset({contents.CSV})

    def _records(self, file: SourceFile) -> Iterator[Document]:
        csv.field_size_limit(1 << 30)
        row, subset = 0, self._subset(file.name)
        try:
            with opened(file.path) as content:
                for row, record in enumerate(self._rows(content, file), start=1):
                    yield from self._document(record, f"{file.name}:{row}", subset)
        except (DamagedFileError, csv.Error) as error:
            self._bad("damaged file", f"{file.path} is damaged after row {row} ({error})", error)
        except OSError as error:
            self._bad("unreadable file", f"{file.path} cannot be read after row {row} ({error.strerror})", error)

    def _rows(self, content: Any, file: SourceFile) -> Iterator[dict[str, Any]]:
        text = io.TextIOWrapper(content, encoding="utf-8-sig", errors="surrogateescape", newline="")
        delimiter = "\t" if plain_name(file.name).endswith(".tsv") else ","
        rows = csv.DictReader(text, delimiter=delimiter, strict=True)
        if self._text_field not in (rows.fieldnames or ()):
            found = ", ".join((rows.fieldnames or ())[:8])
            raise CorpusError(f"{file.path} has no column {self._text_field!r} but {found}; pass text_field=….")
        return rows

    def _document(self, record: dict[str, Any], name: str, file_subset: str) -> Iterator[Document]:
        text = record.get(self._text_field)
        where = f"row {name} of {self.source}"
        if text is None:
            self._bad("no text field", f"{where} has no text in {self._text_field!r}")
        elif any("\udc80" <= sign <= "\udcff" for sign in text):
            self._bad("invalid UTF-8", f"{where} is not UTF-8")
        else:
            yield Document(name, record.get(self._subset_field) or file_subset, text)


def bytes_of(batch: pa.RecordBatch, dotted: str) -> list[bytes | None]:
    """Strings of a field, a dotted path into struct columns, as their bytes; None where there is no string."""
    import pyarrow as pa
    import pyarrow.compute as pc

    first, *inner = dotted.split(".")
    if first not in batch.schema.names:
        return [None] * batch.num_rows
    column = batch.column(first)
    for name in inner:
        if not pa.types.is_struct(column.type) or column.type.get_field_index(name) < 0:
            return [None] * batch.num_rows
        column = pc.struct_field(column, name)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not _is_text(column.type):
        return [None] * batch.num_rows
    found: list[bytes | None] = column.cast(pa.large_binary()).to_pylist()
    return found


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def first_line(error: Exception) -> str:
    """The part of a library's message that fits a sentence."""
    return str(error).strip().split("\n")[0][:160]
