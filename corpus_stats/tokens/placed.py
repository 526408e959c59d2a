"""Tokens of one document with their places in its text: character and line of each, on disk, read by memory map.

The text is tokenized piece by piece where it can be cut without changing a token, so that memory does not grow with it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from corpus_stats.errors import CorpusError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PIECE_CHARACTERS = 500_000
AROUND = 200  # characters on both sides of a cut that must be tokenized alike with and without it
_CUT = re.compile(r"(?<=\S)\n(?=\S)")
_FILES = {"ids": "<u4", "ends": "<i8", "lines": "<i4", "text": "<u4"}


class PlacedTokens:
    """A document as `place_tokens` wrote it.

    Attributes:
        ids: token ids, [token].
        ends: character of the text behind each token, [token]; a token begins where the one before it ends, so that
            white space which a tokenizer leaves out of its offsets belongs to the token behind it. A character that
            takes several tokens belongs to the first of them.
        lines: line of the text each token begins in, from 1, [token].
        character_count: characters of the text.
        sha256: of the text as UTF-8.
    """

    def __init__(self, folder: Path) -> None:
        self.ids, self.ends, self.lines, self._text = (_mapped(folder / name, kind) for name, kind in _FILES.items())
        self.character_count = len(self._text)
        self.sha256 = (folder / "sha256").read_text()

    def __len__(self) -> int:
        return len(self.ids)

    def character(self, token: int) -> int:
        """First character of a token, or of what follows the last one."""
        return int(self.ends[token - 1]) if token else 0

    def text(self, first: int, stop: int) -> str:
        """Text of the tokens first … stop - 1."""
        return self.characters(self.character(first), self.character(stop))

    def characters(self, first: int, stop: int) -> str:
        """Text between two characters."""
        return self._text[first:stop].tobytes().decode("utf-32-le", errors="surrogatepass")


def place_tokens(pieces: Iterable[str], encode: Tokenizer, folder: Path) -> PlacedTokens:
    """Tokenize a text, without special tokens, and write ids and places into a folder.

    Args:
        pieces: the text, cut anywhere.
        encode: a tokenizer that neither truncates nor pads (`encoder`).
        folder: made when absent.

    Raises:
        CorpusError: there is no text but white space.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        writer = _Writer({name: stack.enter_context((folder / name).open("wb")) for name in _FILES})
        for piece in _whole_pieces(pieces, encode):
            writer.write(piece, encode)
    if writer.is_blank:
        raise CorpusError("there is no text but white space in it; name a file that holds text.")
    (folder / "sha256").write_text(writer.sha.hexdigest())
    return PlacedTokens(folder)


def _whole_pieces(pieces: Iterable[str], encode: Tokenizer) -> Iterable[str]:
    """The same text in pieces that can be tokenized on their own."""
    held = ""
    for piece in pieces:
        held += piece
        while len(held) > 2 * PIECE_CHARACTERS and (at := _cut(held, encode)):
            yield held[:at]
            held = held[at:]
    if held:
        yield held


def _cut(text: str, encode: Tokenizer) -> int | None:
    """A place behind a newline where cutting changes no token nearby; None where there is none."""
    for number, found in enumerate(_CUT.finditer(text, PIECE_CHARACTERS)):
        left, right = text[found.end() - AROUND : found.end()], text[found.end() : found.end() + AROUND]
        apart = _ids(encode, left) + _ids(encode, right)
        if apart == _ids(encode, left + right):
            return found.end()
        if number == 20:  # such a tokenizer looks at the beginning of its text; it gets the whole
            break
    return None


def _ids(encode: Tokenizer, text: str) -> list[int]:
    return encode.encode(text, add_special_tokens=False).ids


class _Writer:
    """Appends pieces of the text and their tokens to the files."""

    def __init__(self, files: dict[str, IO[bytes]]) -> None:
        self.files, self.sha = files, hashlib.sha256()
        self.characters, self.newlines, self.is_blank = 0, 0, True

    def write(self, piece: str, encode: Tokenizer) -> None:
        """Append one piece."""
        found = encode.encode(piece, add_special_tokens=False)
        ends = np.array([end for _, end in found.offsets], dtype=np.int64)
        ends = np.maximum.accumulate(ends) if len(ends) else ends
        if len(ends):
            ends[-1] = len(piece)  # white space at the very end belongs to the last token
        breaks = np.flatnonzero(np.frombuffer(piece.encode("utf-32-le", "surrogatepass"), "<u4") == ord("\n"))
        begins = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
        self._append("ids", np.array(found.ids))
        self._append("ends", self.characters + ends)
        self._append("lines", 1 + self.newlines + np.searchsorted(breaks, begins, side="left"))
        self.files["text"].write(piece.encode("utf-32-le", "surrogatepass"))
        self.sha.update(piece.encode("utf-8", "surrogatepass"))
        self.characters += len(piece)
        self.newlines += len(breaks)
        self.is_blank &= not piece.strip()

    def _append(self, name: str, values: np.ndarray) -> None:
        self.files[name].write(values.astype(_FILES[name]).tobytes())


def _mapped(path: Path, kind: str) -> np.ndarray:
    dtype = np.dtype(kind)
    if not path.stat().st_size:  # nothing can be mapped of an empty file
        return np.zeros(0, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r")
