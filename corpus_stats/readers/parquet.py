"""Parquet files: one document per row, read in batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corpus_stats.documents import Document
from corpus_stats.errors import CorpusError
from corpus_stats.readers.base import RecordFileReader
from corpus_stats.readers.jsonl import field_of

PARQUET_SUFFIXES = (".parquet",)
_BATCH_ROWS = 256


class ParquetReader(RecordFileReader):
    """Rows of a Parquet file, or of all such files below a folder in order of their relative path.

    Fields are dotted paths into struct columns. A row without the subset field belongs to the subset named like its
    file. Only the columns in use are read, 256 rows at a time.
    """

    kind = "parquet"
    suffixes = PARQUET_SUFFIXES

    def _records(self, path: Path, name: str) -> Iterator[Document]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(path) as file:
                self._check_columns(file.schema_arrow, path)
                row = 0
                for batch in file.iter_batches(_BATCH_ROWS, columns=self._columns(file.schema_arrow)):
                    for record in batch.to_pylist():
                        yield from self._document(record, f"{name}:{row}", path.stem)
                        row += 1
        except (pa.ArrowException, OSError) as error:
            self._bad("damaged file", f"{path} cannot be read as Parquet ({first_line(error)})", error)

    def _columns(self, schema: Any) -> list[str]:
        roots = {field.split(".")[0] for field in (self._text_field, self._subset_field)}
        return [name for name in schema.names if name in roots]

    def _check_columns(self, schema: Any, path: Path) -> None:
        if self._text_field.split(".")[0] not in schema.names:
            raise CorpusError(
                f"{path} has no column {self._text_field!r} but {', '.join(schema.names[:8])}; pass text_field=…."
            )

    def _document(self, record: dict[str, Any], name: str, file_subset: str) -> Iterator[Document]:
        text = field_of(record, self._text_field)
        if not isinstance(text, str):
            self._bad("no text field", f"row {name} of {self.source} has no text in {self._text_field!r}")
            return
        subset = field_of(record, self._subset_field)
        yield Document(name, subset if isinstance(subset, str) and subset else file_subset, text)


def first_line(error: Exception) -> str:
    """The part of a library's message that fits a sentence."""
    return str(error).strip().split("\n")[0][:160]
