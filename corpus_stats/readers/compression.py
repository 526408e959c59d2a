"""Opening files that may be compressed, so that a cut or damaged frame is an error and never a short read.

What a file is compressed with is seen from its first bytes, not from its name.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

COMPRESSED_SUFFIXES = (".zst", ".zstd", ".gz", ".bz2", ".xz")
_INPUT_BYTES = 1 << 14  # small, because a piece of input may expand a thousandfold
_WINDOW_BYTES = 1 << 31  # what `zstd --long=31`, with which the Pile is packed, needs
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz"}
_SKIPPABLE = tuple(bytes([0x50 + n, 0x2A, 0x4D, 0x18]) for n in range(16))  # a zstd file may begin with such a frame


class DamagedFileError(Exception):
    """A compressed file is cut or corrupt."""


def compression_of(head: bytes) -> str | None:
    """Compression by the first bytes of a file: 'gzip', 'zstd', 'bz2' or 'xz'; None for a plain file."""
    if head[:4] in _SKIPPABLE:
        return "zstd"
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def plain_name(name: str) -> str:
    """A file's name in lower case, without the suffix of a compression."""
    lower = name.lower()
    found = next((suffix for suffix in COMPRESSED_SUFFIXES if lower.endswith(suffix)), "")
    return lower.removesuffix(found)


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Decompressed bytes of a plain, gzip, zstd, bzip2 or xz file, as a stream.

    Raises:
        DamagedFileError: when the compressed file is cut or corrupt, or has no byte at all.
    """
    import zlib

    try:
        with path.open("rb") as raw:
            head = raw.read(6)
            raw.seek(0)
            if not head and plain_name(path.name) != path.name.lower():
                raise DamagedFileError("it has no byte, not even the header of its compression")
            yield decompressing(raw, compression_of(head))
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
        raise DamagedFileError(str(error)) from error
    except OSError as error:
        if error.errno is None:  # bz2 says "Invalid data stream" so
            raise DamagedFileError(str(error)) from error
        raise


def decompressing(raw: IO[bytes], compression: str | None) -> IO[bytes]:
    """Decompressed bytes of an open file."""
    if compression is None:
        return raw
    if compression == "zstd":
        return cast("IO[bytes]", io.BufferedReader(_ZstdFrames(raw), 1 << 20))
    unpack = {"gzip": gzip.GzipFile, "bz2": bz2.BZ2File, "xz": lzma.LZMAFile}[compression]
    given: dict[str, Any] = {"fileobj": raw} if compression == "gzip" else {"filename": raw}
    return cast("IO[bytes]", io.BufferedReader(unpack(mode="rb", **given), 1 << 20))


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
