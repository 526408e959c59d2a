"""The promise of every reader: streaming, re-iterable, one document at a time, every skip counted by reason."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from corpus_stats.documents import Document
from corpus_stats.errors import CorpusError

OnBad = Literal["fail", "skip"]


class Reader(ABC):
    """Iterable over the documents of a source, in a fixed order; memory is bounded by the longest document.

    Attributes:
        kind: name of the reader.
        source: where the documents come from, resolved.
        skipped: documents left out by the latest iteration, counted by reason. Empty documents hold nothing that
            could be lost and are always counted here; broken ones only with `on_bad="skip"`, else they raise.
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
        for document in self._documents():
            if not document.text:
                self._skip("empty document", f"{document.name} of {self.source} is empty")
            elif not _is_encodable(document.text):
                self._bad("lone surrogate", f"{document.name} of {self.source} holds half a surrogate pair")
            else:
                yield document

    @abstractmethod
    def _documents(self) -> Iterator[Document]:
        """Yields every document of the source in order; broken ones go through `_bad`."""

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


class RecordFileReader(Reader):
    """A file of records, or all such files below a folder in order of their relative path.

    Fields are dotted paths. A record without the subset field belongs to the subset named like its file.
    """

    suffixes: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        source: str,
        on_bad: OnBad = "fail",
        text_field: str = "text",
        subset_field: str = "meta.pile_set_name",
    ) -> None:
        self._root = existing_path(source, self.kind)
        super().__init__(str(self._root), on_bad)
        self._text_field = text_field
        self._subset_field = subset_field

    def _documents(self) -> Iterator[Document]:
        files = files_below(self._root, self.suffixes)
        if not files:
            raise CorpusError(f"There is no {' or '.join(self.suffixes)} file in {self.source}; check the folder.")
        base = self._root if self._root.is_dir() else self._root.parent
        for path in files:
            yield from self._records(path, path.relative_to(base).as_posix())

    @abstractmethod
    def _records(self, path: Path, name: str) -> Iterator[Document]:
        """Documents of one file; `name` is its path within the source."""


def existing_path(source: str, kind: str) -> Path:
    """Resolved path of a source.

    Raises:
        CorpusError: there is nothing at `source`.
    """
    path = Path(source).expanduser()
    if not path.exists():
        raise CorpusError(f"The {kind} source {source} does not exist; check the path.")
    return path.resolve()


def files_below(root: Path, suffixes: tuple[str, ...] | None = None) -> list[Path]:
    """Regular files of a file or folder in posix order of their relative path, hidden ones left out.

    Args:
        root: a file (returned alone) or a folder.
        suffixes: endings such as ".jsonl"; None takes every file.
    """
    if root.is_file():
        return [root]
    found = []
    for path in root.rglob("*"):
        relative = path.relative_to(root)
        if any(part.startswith(".") for part in relative.parts) or not path.is_file():
            continue
        if suffixes is None or path.name.endswith(suffixes):
            found.append((relative.as_posix(), path))
    return [path for _, path in sorted(found)]


def _is_encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
