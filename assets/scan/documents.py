"""Documents to be scanned: a file, a folder of files, or standard input; tokenized once, in a folder that goes away."""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assets.framework.errors import RequestError
from warehouse.files import file_sha256, process_mark

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from corpus_stats.tokens.placed import PlacedTokens
    from warehouse.home import Home

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class ScanText:
    """One text to scan: its name, the file it lies in, and its encoding where somebody said it."""

    name: str
    path: str
    encoding: str | None = None

    def content(self) -> str:
        """Hash of the file's bytes."""
        return file_sha256(Path(self.path))


def scratch_folder(home: Home) -> tempfile.TemporaryDirectory[str]:
    """A folder in the home that goes when it is closed; `rarecall gc` finds it should the process be killed."""
    return tempfile.TemporaryDirectory(dir=home.root, prefix=".scan-", suffix=f".{process_mark()}.tmp")


def document_files(source: str, scratch: Path, encoding: str | None = None) -> list[ScanText]:
    """The texts behind a path, in order of their names; standard input is written into `scratch` first.

    Raises:
        RequestError: there is nothing, or nothing but folders and links that lead nowhere.
    """
    from corpus_stats.readers.files import list_files

    if source == STANDARD_INPUT:
        kept = scratch / "standard-input"
        with kept.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        return [ScanText("standard input", str(kept), encoding)]
    path = Path(source).expanduser()
    if not path.exists():
        raise RequestError(f"there is no file or folder {source}; check the path, or pass - for standard input.")
    files = list_files(path.resolve()).files
    if not files:
        raise RequestError(f"the folder {source} holds no file; name one that holds text.")
    return [ScanText(name, str(file), encoding) for name, file in files]


def placed(document: ScanText, encode: Tokenizer, folder: Path) -> PlacedTokens:
    """Tokens of a document with their places.

    Raises:
        RequestError: it is no text, empty, or in another encoding.
    """
    from corpus_stats.errors import CorpusError
    from corpus_stats.readers.plain_text import text_pieces
    from corpus_stats.tokens.placed import place_tokens

    try:
        return place_tokens(text_pieces(Path(document.path), document.encoding), encode, folder)
    except CorpusError as error:
        said = str(error).replace(document.path, document.name)
        raise RequestError(said if document.name in said else f"{document.name}: {said}") from error
