"""JSON lines of token ids, as LLM360 publishes them: one row of ids per line (`token_ids`), documents packed in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from corpus_stats.documents import Document
from corpus_stats.readers import contents
from corpus_stats.readers.base import OnBad, Split, SubsetBy
from corpus_stats.readers.files import SourceFile, shown
from corpus_stats.readers.jsonl import JsonlReader


class IdRow(NamedTuple):
    """A row of token ids: the name of its line, its subset, and the ids, int64 [token]."""

    name: str
    subset: str
    ids: np.ndarray


class IdLinesReader(JsonlReader):
    """Lines of JSON files that hold token ids in one of `contents.ID_FIELDS`; iterate over `rows`."""

    kind = "token-lines"
    file_kinds = frozenset({contents.ID_LINES})

    def __init__(
        self,
        source: str,
        on_bad: OnBad = "fail",
        subset_field: str = "source",
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        split: Split | None = None,
        subset_by: SubsetBy = "file",
    ) -> None:
        super().__init__(source, on_bad, "text", subset_field, include, exclude, split, subset_by)

    def rows(self) -> Iterator[IdRow]:
        """Every row of ids in order; what is left out is counted in `skipped`.

        Raises:
            CorpusError: a line is broken and `on_bad` is "fail".
        """
        self.skipped.clear()
        self.first_skipped.clear()
        found: Any = self._documents()
        yield from found

    def _records(self, file: SourceFile) -> Iterator[Document]:
        rows: Any = super()._records(file)
        yield from rows

    def _document(self, record: Any, name: str, file_subset: str) -> Any:
        field = contents.id_field(record) if isinstance(record, dict) else None
        ids = record[field] if field is not None else []
        array = _as_ids(ids)
        if array is None or not array.size:
            self._bad("no token ids", f"line {shown(name)} of {self.source} holds no list of token ids")
            return None
        subset = contents.field_of(record, self._subset_field)
        return IdRow(name, subset if isinstance(subset, str) and subset else file_subset, array)


def _as_ids(ids: list[Any]) -> np.ndarray | None:
    if not all(type(i) is int for i in ids):
        return None
    try:
        return np.array(ids, dtype=np.int64)
    except OverflowError:
        return None
