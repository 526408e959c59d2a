"""The promise of every reader: streaming, re-iterable, one document at a time, every skip counted by reason."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from corpus_stats.documents import Document
from corpus_stats.errors import CorpusError
from corpus_stats.readers import contents
from corpus_stats.readers.files import (
    FileChoice,
    Listing,
    SourceFile,
    existing_path,
    list_files,
    refuse_mixed_splits,
    shown,
)
from corpus_stats.readers.slices import SourcePiece, grouped

OnBad = Literal["fail", "skip"]
SubsetBy = Literal["file", "folder", "source"]
Split = Literal["train", "validation", "test", "all"]


class Reader(ABC):
    """Iterable over the documents of a source, in a fixed order; memory is bounded by the longest document.

    Attributes:
        kind: name of the reader.
        source: where the documents come from, resolved.
        skipped: documents left out by the latest iteration, counted by reason, and files that are not read. Empty
            documents hold nothing that could be lost and are always counted here; broken ones only with
            `on_bad="skip"`, else they raise.
        first_skipped: by reason, what was wrong with the first of them and where.
    """

    kind: ClassVar[str]

    def __init__(self, source: str, on_bad: OnBad = "fail") -> None:
        if on_bad not in ("fail", "skip"):
            raise CorpusError(f"on_bad is {on_bad!r}; choose 'fail' or 'skip'.")
        self.source = str(source)
        self.on_bad = on_bad
        self.skipped: Counter[str] = Counter()
        self.first_skipped: dict[str, str] = {}

    def __iter__(self) -> Iterator[Document]:
        """Yields the documents and counts what is left out, afresh on every call.

        Raises:
            CorpusError: a document is broken and `on_bad` is "fail".
        """
        self.skipped, self.first_skipped = Counter(), {}
        yield from self._accepted(self._documents())

    def _accepted(self, documents: Iterable[Document]) -> Iterator[Document]:
        """Documents that can be stored; the others go through `_skip` and `_bad`."""
        for document in documents:
            if not document.text:
                self._skip("empty document", f"{document.name} of {self.source} is empty")
            elif not is_encodable(document.text):
                self._bad("lone surrogate", f"{document.name} of {self.source} holds half a surrogate pair")
            elif not is_encodable(document.subset):
                self._bad("lone surrogate", f"the subset of {document.name} of {self.source} holds half a surrogate")
            else:
                yield document

    @abstractmethod
    def _documents(self) -> Iterator[Document]:
        """Yields every document of the source in order; broken ones go through `_bad`."""

    def listing(self) -> Listing:
        """Files that may be read: the evidence about the source. None for what is no path."""
        return Listing(Path(self.source))

    def _bad(self, reason: str, what: str, cause: Exception | None = None) -> None:
        """Counts a broken document or raises, as the user chose."""
        if self.on_bad == "fail":
            raise CorpusError(f"{what}; repair it or pass on_bad='skip' to count it and go on.") from cause
        self._skip(reason, what)

    def _skip(self, reason: str, what: str) -> None:
        self.skipped[reason] += 1
        self.first_skipped.setdefault(reason, what)

    def _decoded(self, data: bytes, where: str) -> str | None:
        """`data` as UTF-8 text without byte order mark, or None after a counted skip."""
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self._bad("invalid UTF-8", f"{where} is not UTF-8 at byte {error.start}", error)
            return None


class FileReader(Reader):
    """A file, or the files of one kind below a folder in order of their path within it."""

    file_kinds: ClassVar[frozenset[str]]
    """Kinds of `contents` that it reads; files of others are left out and named."""

    def __init__(
        self,
        source: str,
        on_bad: OnBad = "fail",
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        split: Split | None = None,
        subset_by: SubsetBy = "file",
    ) -> None:
        self._root = existing_path(source, self.kind)
        super().__init__(str(self._root), on_bad)
        self._selection = FileChoice(tuple(include), tuple(exclude), split)
        self._subset_by = subset_by

    def listing(self) -> Listing:
        """Files that the globs and the split choose, whatever they hold."""
        return list_files(self._root, self._selection)

    def chosen(self) -> Listing:
        """Files that are read: of the right kind, with names that can be stored. The rest is left out.

        Raises:
            CorpusError: nothing is left, the files name several splits, or a name is not UTF-8 and `on_bad` is "fail".
        """
        listing = self.listing()
        kinds = {name: self._file_kind(path) for name, path in listing.files}
        wrong = {} if self._root.is_file() else {n: f"kind {k}" for n, k in kinds.items() if k not in self.file_kinds}
        listing = listing.leave_out(wrong)
        if not listing.files:
            found = ", ".join(f"{count} {kind}" for kind, count in Counter(kinds.values()).most_common())
            raise CorpusError(
                f"There is no {self.kind} file in {self.source}{f' but {found}' if found else ''}; check the folder, "
                "include, exclude and split."
            )
        refuse_mixed_splits(listing, self._selection.split)
        return listing

    def _file_kind(self, path: Path) -> str:
        return contents.kind_of_file(path)

    def slices(self, slice_bytes: int) -> list[list[SourcePiece]]:
        """The source in slices of about `slice_bytes` on disk; their documents one after the other are all of them.

        Files that are not read are counted in `skipped`, afresh.

        Raises:
            CorpusError: as when it is read.
        """
        self.skipped, self.first_skipped = Counter(), {}
        files = self._counted_files()
        return grouped((piece for file in files for piece in self._pieces(file, slice_bytes)), slice_bytes)

    def read_slice(self, pieces: Sequence[SourcePiece]) -> Iterator[Document]:
        """Documents of one slice; `skipped` then counts what is left out of it.

        Raises:
            CorpusError: a document is broken and `on_bad` is "fail".
        """
        self.skipped, self.first_skipped = Counter(), {}
        yield from self._accepted(document for piece in pieces for document in self._of_piece(piece))

    def _documents(self) -> Iterator[Document]:
        for file in self._counted_files():
            yield from self._of_piece(SourcePiece(*file))

    def _counted_files(self) -> list[SourceFile]:
        """Files that are read; the others are counted."""
        listing = self.chosen()
        for name, reason in listing.left_out:
            self._skip(f"file left out: {reason}", f"{shown(name)} of {self.source}")
        return list(listing.files)

    def _of_piece(self, piece: SourcePiece) -> Iterator[Document]:
        if not is_encodable(piece.name):
            self._bad("file name is not UTF-8", f"the name of {shown(piece.path)} is not UTF-8")
        elif piece.end is None:
            yield from self._records(piece.file)
        else:
            yield from self._lines(piece)

    def _pieces(self, file: SourceFile, slice_bytes: int) -> Iterator[SourcePiece]:
        """The file in pieces; whole where its format cannot be cut."""
        yield SourcePiece(*file)

    def _lines(self, piece: SourcePiece) -> Iterator[Document]:
        """Documents of some lines of a file, of readers that cut files."""
        raise NotImplementedError

    @abstractmethod
    def _records(self, file: SourceFile) -> Iterator[Document]:
        """Documents of one file."""

    def _subset(self, name: str) -> str:
        """Subset of a file whose documents name none."""
        base = self._root.name if self._root.is_dir() else self._root.parent.name
        if self._subset_by == "folder":
            return name.split("/")[0] if "/" in name else base
        return base if self._subset_by == "source" else self._file_subset(name.rpartition("/")[2])

    def _file_subset(self, file_name: str) -> str:
        return file_name.split(".")[0]


class RecordFileReader(FileReader):
    """Files of records. Fields are dotted paths.

    A record without the subset field belongs to the subset named like its file, its folder or its source, as
    `subset_by` says.
    """

    def __init__(
        self,
        source: str,
        on_bad: OnBad = "fail",
        text_field: str = "text",
        subset_field: str = "meta.pile_set_name",
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        split: Split | None = None,
        subset_by: SubsetBy = "file",
    ) -> None:
        super().__init__(source, on_bad, include, exclude, split, subset_by)
        self._text_field = text_field
        self._subset_field = subset_field

    def _file_kind(self, path: Path) -> str:
        return contents.kind_of_file(path, self._text_field)


def is_encodable(text: str) -> bool:
    """Whether a text can be written as UTF-8: it holds no half of a surrogate pair."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
