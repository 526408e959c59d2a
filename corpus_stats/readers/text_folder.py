"""A folder of plain text files, or one such file: one document per file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from corpus_stats.documents import Document
from corpus_stats.errors import CorpusError
from corpus_stats.readers.base import OnBad, Reader, existing_path, files_below


class TextFolderReader(Reader):
    """Every regular, not hidden file below the folder, in order of its relative path.

    The subset is the first folder below the source; files directly in it belong to the subset named like the source.
    """

    kind = "text-folder"

    def __init__(self, source: str, on_bad: OnBad = "fail", suffixes: Sequence[str] | None = None) -> None:
        self._root = existing_path(source, self.kind)
        super().__init__(str(self._root), on_bad)
        self._suffixes = None if suffixes is None else tuple(suffixes)

    def _documents(self) -> Iterator[Document]:
        files = files_below(self._root, self._suffixes)
        if not files:
            raise CorpusError(f"There is no text file in {self.source}; check the folder and the suffixes.")
        base = self._root if self._root.is_dir() else self._root.parent
        for path in files:
            relative = path.relative_to(base)
            text = self._text(path)
            if text is not None:
                subset = relative.parts[0] if len(relative.parts) > 1 else base.name
                yield Document(relative.as_posix(), subset, text)

    def _text(self, path: Path) -> str | None:
        try:
            return self._decoded(path.read_bytes(), str(path))
        except OSError as error:
            self._bad("unreadable file", f"{path} cannot be read ({error.strerror})", error)
            return None
