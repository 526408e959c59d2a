"""One plain text file piece by piece: UTF-8, UTF-16 with a byte order mark, or an encoding that is named."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from corpus_stats.errors import CorpusError

PIECE_BYTES = 1 << 20
_HEAD_BYTES = 8192
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def text_pieces(path: Path, encoding: str | None = None) -> Iterator[str]:
    """The text of a file in pieces; line ends stay as they are, a byte order mark is left out.

    Args:
        path: a regular file.
        encoding: name of its encoding; UTF-8 (or what a byte order mark says) when it is not given.

    Raises:
        CorpusError: it cannot be read, is empty, holds no text, or is in another encoding.
    """
    try:
        with path.open("rb") as file:
            head = file.peek(_HEAD_BYTES)[:_HEAD_BYTES]
            name = _encoding_of(path, head, encoding)
            decoder, done = codecs.getincrementaldecoder(name)("strict"), 0
            while data := file.read(PIECE_BYTES):
                yield _decoded(decoder, data, False, path, name, done)
                done += len(data)
            yield _decoded(decoder, b"", True, path, name, done)
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror}); check its name and its permissions.") from error


def _encoding_of(path: Path, head: bytes, named: str | None) -> str:
    if not head:
        raise CorpusError(f"{path} is empty; name a file that holds text.")
    if named is not None:
        try:
            return codecs.lookup(named).name
        except LookupError as error:
            raise CorpusError(f"there is no encoding {named!r}; name one that Python knows, latin-1 say.") from error
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return name
    if b"\0" in head:
        raise CorpusError(f"{path} is not text (it holds zero bytes); name a text file, or convert it to one.")
    return "utf-8"


def _decoded(decoder: codecs.IncrementalDecoder, data: bytes, final: bool, path: Path, name: str, done: int) -> str:
    try:
        return decoder.decode(data, final)
    except UnicodeError as error:
        place = done + max(0, getattr(error, "start", 0))
        raise CorpusError(
            f"{path} is not {name} (near byte {place:,}); name its encoding with --encoding, or convert it."
        ) from error
