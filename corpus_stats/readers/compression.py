"""Opening files that may be compressed, so that a cut or damaged frame is an error and never a short read."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

COMPRESSED_SUFFIXES = (".zst", ".gz")
_INPUT_BYTES = 1 << 14  # small, because a piece of input may expand a thousandfold
_WINDOW_BYTES = 1 << 31  # what `zstd --long=31`, with which the Pile is packed, needs


class DamagedFileError(Exception):
    """A compressed file is cut or corrupt."""


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Decompressed bytes of a plain, .gz or .zst file, as a stream.

    Raises:
        DamagedFileError: while reading, when the compressed file is cut or corrupt.
    """
    import zlib

    try:
        if path.name.endswith(".zst"):
            with path.open("rb") as raw:
                yield cast("IO[bytes]", io.BufferedReader(_ZstdFrames(raw), 1 << 20))
        elif path.name.endswith(".gz"):
            with gzip.open(path, "rb") as stream:
                yield cast("IO[bytes]", stream)
        else:
            with path.open("rb") as plain:
                yield plain
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DamagedFileError(str(error)) from error


class _ZstdFrames(io.RawIOBase):
    """One zstd frame after the other. zstandard's own stream reader takes a cut frame for the end of the file."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._frame: Any = None
        self._input = b""
        self._output = b""

    def readable(self) -> bool:
        """A RawIOBase must say so."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills the buffer; 0 at the end of the last whole frame."""
        while not self._output:
            self._input = self._input or self._raw.read(_INPUT_BYTES)
            if not self._input:
                if self._frame is not None:
                    raise DamagedFileError("the last zstd frame is cut")
                return 0
            self._output = self._decompressed()
        taken = min(len(buffer), len(self._output))
        buffer[:taken] = self._output[:taken]
        self._output = self._output[taken:]
        return taken

    def _decompressed(self) -> bytes:
        import zstandard

        if self._frame is None:
            self._frame = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES).decompressobj()
        try:
            output = self._frame.decompress(self._input)
        except zstandard.ZstdError as error:
            raise DamagedFileError(str(error)) from error
        self._input = b""
        if self._frame.eof:
            self._input, self._frame = self._frame.unused_data, None
        return output
