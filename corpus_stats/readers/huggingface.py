"""Hugging Face data sets: from the hub by name, streamed, or saved in a local folder. Needs the extra `datasets`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corpus_stats.documents import Document
from corpus_stats.errors import CorpusError
from corpus_stats.readers.base import OnBad, Reader
from corpus_stats.readers.files import Listing, list_files
from corpus_stats.readers.tables import bytes_of, first_line

_BATCH_ROWS = 256
_SAVED_MARKS = (
    ("dataset_dict.json",),
    ("dataset_info.json", "state.json"),
)  # dataset_info.json lies beside others, too


class HuggingFaceReader(Reader):
    """Records of one split, in the data set's own order.

    The source is a folder written by `save_to_disk` or a hub name; from the hub records are streamed and no code that
    comes with the data set is run.
    """

    kind = "huggingface"

    def __init__(
        self,
        source: str,
        on_bad: OnBad = "fail",
        split: str = "train",
        name: str | None = None,
        revision: str | None = None,
        text_field: str = "text",
        subset_field: str = "meta.pile_set_name",
    ) -> None:
        folder = Path(source).expanduser()
        self._folder = folder.resolve() if folder.is_dir() else None
        super().__init__(str(self._folder or source), on_bad)
        self._split, self._name, self._revision = split, name, revision
        self._text_field, self._subset_field = text_field, subset_field

    def listing(self) -> Listing:
        """Files of a saved data set; none of a hub name, whose commit is the evidence."""
        return super().listing() if self._folder is None else list_files(self._folder)

    def _documents(self) -> Iterator[Document]:
        row = 0
        for table in self._records().with_format("arrow").iter(batch_size=_BATCH_ROWS):
            for batch in table.combine_chunks().to_batches():
                fields = ", ".join(batch.schema.names[:8])
                cells = zip(bytes_of(batch, self._text_field), bytes_of(batch, self._subset_field), strict=True)
                for text, named in cells:
                    yield from self._document(text, named, row, fields)
                    row += 1

    def _document(self, text: bytes | None, named: bytes | None, row: int, fields: str) -> Iterator[Document]:
        where = f"record {row} of {self.source}"
        if text is None:
            self._bad("no text field", f"{where} has no text in {self._text_field!r} but {fields}")
            return
        decoded = self._decoded(text, where)
        subset = self._decoded(named, f"the subset of {where}") if named else self._split
        if decoded is not None and subset is not None:
            yield Document(f"{self._split}:{row}", subset, decoded)

    def _records(self) -> Any:
        try:
            import datasets
        except ImportError as error:
            raise CorpusError(
                f"Reading the data set {self.source} needs the library datasets; install rarecall[datasets]."
            ) from error
        try:
            if self._folder is None:
                return datasets.load_dataset(
                    self.source, self._name, split=self._split, revision=self._revision, streaming=True
                )
            saved = datasets.load_from_disk(str(self._folder))
        except Exception as error:  # the library raises a dozen types for a missing or foreign data set
            raise CorpusError(
                f"The data set {self.source} cannot be opened ({first_line(error)}); check its name, or give a folder "
                "written by save_to_disk."
            ) from error
        if isinstance(saved, datasets.Dataset):
            return saved
        if self._split not in saved:
            raise CorpusError(f"{self.source} has no split {self._split!r} but {', '.join(saved)}; pass split=….")
        return saved[self._split]


def is_saved_data_set(folder: Path) -> bool:
    """Whether a folder looks like the output of `save_to_disk`."""
    return any(all((folder / mark).is_file() for mark in marks) for marks in _SAVED_MARKS)
