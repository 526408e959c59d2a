"""The text every Python installation carries: standard library sources, their documentation, the licence."""

from __future__ import annotations

import io
import os
import sys
import sysconfig
import tokenize
from collections.abc import Iterator
from pathlib import Path

from corpus_stats.documents import Document
from corpus_stats.errors import CorpusError
from corpus_stats.readers.base import OnBad, Reader
from corpus_stats.readers.files import Listing, SourceFile, existing_path

_SKIPPED_FOLDERS = frozenset(
    {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__", "lib-dynload"}
)
# Written by the build or by the distribution for one machine; not part of the library.
_SKIPPED_FILES = ("_sysconfigdata", "_sysconfig_vars", "sitecustomize", "usercustomize", "EXTERNALLY-MANAGED")
_LICENCE = "LICENSE.txt"


class PythonInstallationReader(Reader):
    """`.py` and `.txt` files of the standard library plus the licence, in order of the relative path.

    The source "python" is the installation this process runs on; a path names another library folder. The subset is
    the package (first folder), "stdlib" for top-level modules, "documentation" for texts and `pydoc_data`, "licence".
    A file that does not decode is always a counted skip: nobody can repair their Python for our sake.
    """

    kind = "python-installation"

    def __init__(self, source: str = "python", on_bad: OnBad = "fail") -> None:
        library = Path(sysconfig.get_path("stdlib")) if source == "python" else existing_path(source, self.kind)
        if not (library / "os.py").is_file():
            raise CorpusError(f"There is no Python library (os.py) in {library}; give 'python' or a library folder.")
        super().__init__(str(library.resolve()), on_bad)
        self._library = library.resolve()
        self._licence = _find_licence(self._library) if source == "python" else None

    def listing(self) -> Listing:
        """Modules and texts of the library, and the licence."""
        files = {path.relative_to(self._library).as_posix(): path for path in _library_files(self._library)}
        if self._licence is not None:
            files.setdefault(_LICENCE, self._licence)
        return Listing(self._library, [SourceFile(name, files[name]) for name in sorted(files)])

    def _documents(self) -> Iterator[Document]:
        for name, path in self.listing().files:
            text = _decoded_source(path)
            if text is None:
                self._skip("undecodable file", f"{name} of {self.source} is not in the encoding it declares")
            else:
                yield Document(name, _subset(name), text)


def _library_files(library: Path) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(library):
        subfolders[:] = [name for name in subfolders if not _is_skipped(name)]
        for name in names:
            path = Path(folder, name)
            if name.endswith((".py", ".txt")) and not name.startswith(_SKIPPED_FILES) and path.is_file():
                yield path


def _is_skipped(folder: str) -> bool:
    return folder in _SKIPPED_FOLDERS or folder.startswith(("config-", "."))


def _find_licence(library: Path) -> Path | None:
    """The licence beside the library, in the prefix (Windows), or where Debian moves it."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    documentation = Path(sys.base_prefix) / "share" / "doc"
    candidates = [library / _LICENCE, Path(sys.base_prefix) / _LICENCE, Path(sys.base_prefix) / "LICENSE"]
    candidates += [documentation / package / "copyright" for package in (version, f"{version}-minimal")]
    return next((path for path in candidates if path.is_file()), None)


def _subset(name: str) -> str:
    if name == _LICENCE:
        return "licence"
    if name.endswith(".txt") or name.startswith("pydoc_data/"):
        return "documentation"
    return name.split("/")[0] if "/" in name else "stdlib"


def _decoded_source(path: Path) -> str | None:
    """Text in the encoding its first lines declare (PEP 263), or None."""
    try:
        data = path.read_bytes()
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0] if path.suffix == ".py" else "utf-8-sig"
        return data.decode(encoding)
    except (OSError, SyntaxError, UnicodeDecodeError):
        return None
