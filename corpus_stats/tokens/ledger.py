"""The documents of a tokenized corpus: rows go to `documents.parquet` as they come, so memory stays flat."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

DOCUMENTS_FILE = "documents.parquet"
DOCUMENT_SCHEMA = {
    "document_id": pl.Int64,
    "name": pl.String,
    "subset": pl.String,
    "token_offset": pl.Int64,
    "token_count": pl.Int64,
    "sha256": pl.String,
}
_FLUSH_ROWS = 10_000


class DocumentLedger:
    """Collects rows of DOCUMENT_SCHEMA and the running fingerprint: sha256 over names and contents, in order."""

    def __init__(self, folder: Path) -> None:
        self.document_count = 0
        self.byte_count = 0
        self.skipped: Counter[str] = Counter()
        self.first_skipped: dict[str, str] = {}
        self._partial = folder / f".{DOCUMENTS_FILE}.partial"
        self._target = folder / DOCUMENTS_FILE
        self._columns: dict[str, list[Any]] = {name: [] for name in DOCUMENT_SCHEMA}
        self._fingerprint = hashlib.sha256()
        self._writer: Any = None

    @property
    def fingerprint(self) -> str:
        """sha256 over the names and contents so far."""
        return self._fingerprint.hexdigest()

    def add(self, name: str, subset: str, content: bytes, token_offset: int, token_count: int) -> None:
        """Adds the next document; `content` is what its hash is taken of."""
        self.byte_count += len(content)
        self.add_hashed(name, subset, hashlib.sha256(content).digest(), token_offset, token_count)

    def add_hashed(self, name: str, subset: str, sha256: bytes, token_offset: int, token_count: int) -> None:
        """Adds the next document by the hash of its content."""
        row = (self.document_count, name, subset, token_offset, token_count, sha256.hex())
        for column, value in zip(self._columns.values(), row, strict=True):
            column.append(value)
        self.document_count += 1
        self._fingerprint.update(name.encode("utf-8") + b"\0" + sha256)
        if len(self._columns["name"]) == _FLUSH_ROWS:
            self._flush()

    def skip(self, reason: str, what: str) -> None:
        """Counts a document that is left out; the first one of each reason is kept as an example."""
        self.skipped[reason] += 1
        self.first_skipped.setdefault(reason, what)

    def publish(self) -> Path:
        """Completes the file and gives it its name."""
        self._flush()
        self._writer.close()
        self._partial.replace(self._target)
        return self._target

    def discard(self) -> None:
        """Removes what was written."""
        if self._writer is not None:
            self._writer.close()
        self._partial.unlink(missing_ok=True)

    def _flush(self) -> None:
        import pyarrow.parquet as pq

        table = pl.DataFrame(self._columns, schema=DOCUMENT_SCHEMA).to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._partial, table.schema, compression="zstd")
        self._writer.write_table(table)
        for column in self._columns.values():
            column.clear()
