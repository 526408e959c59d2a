"""A folder of plain text files, or one such file: one document per file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from corpus_stats.documents import Document
from corpus_stats.readers import contents
from corpus_stats.readers.base import FileReader, OnBad, Split, SubsetBy
from corpus_stats.readers.compression import DamagedFileError, opened
from corpus_stats.readers.files import SourceFile


class TextFolderReader(FileReader):
    """Every regular, not hidden file below the folder, decompressed, in order of its path within it.

    The subset is the first folder below the source; files directly in it belong to the subset named like the source.
    Whoever says that a folder holds text means all files of it; only pointers of Git LFS, which stand for a file that
    is not there, are left out.
    """

    kind = "text-folder"
    file_kinds = frozenset(
        {
            contents.TEXT,
            contents.BINARY,  # not text, which the decoding will say by name
            contents.JSON_LINES,
            contents.JSON_WHOLE,
            contents.JSON_OTHER,
            contents.ID_LINES,
            contents.CSV,
        }
    )

    def __init__(
        self,
        source: str,
        on_bad: OnBad = "fail",
        suffixes: Sequence[str] | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        split: Split | None = None,
        subset_by: SubsetBy = "folder",
    ) -> None:
        endings = tuple(f"*{suffix}" for suffix in suffixes or ())
        super().__init__(source, on_bad, (*include, *endings), exclude, split or "all", subset_by)

    def _records(self, file: SourceFile) -> Iterator[Document]:
        try:
            with opened(file.path) as content:
                data = content.read()
        except DamagedFileError as error:
            self._bad("damaged file", f"{file.path} is damaged ({error})", error)
            return
        except OSError as error:
            self._bad("unreadable file", f"{file.path} cannot be read ({error.strerror})", error)
            return
        text = self._decoded(data, str(file.path))
        if text is not None:
            yield Document(file.name, self._subset(file.name), text)
