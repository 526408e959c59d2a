"""Slices of a source: files, or ranges of lines of a large one, that can be read apart from each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from corpus_stats.readers.files import SourceFile

COUNTED_BYTES = 1 << 20


@dataclass(frozen=True)
class SourcePiece:
    """A file, or lines of one.

    Attributes:
        name: path of the file within the source.
        path: where it lies.
        begin: first byte.
        end: the byte behind the last; None for a whole file.
        first_line: number of the first line, from 1.
    """

    name: str
    path: Path
    begin: int = 0
    end: int | None = None
    first_line: int = 1

    @property
    def file(self) -> SourceFile:
        """The file it is of."""
        return SourceFile(self.name, self.path)

    def byte_count(self) -> int:
        """Bytes on disk; 0 where the file cannot be asked, which its reading will say."""
        if self.end is not None:
            return self.end - self.begin
        try:
            return self.path.stat().st_size
        except OSError:
            return 0


def grouped(pieces: Iterable[SourcePiece], slice_bytes: int) -> list[list[SourcePiece]]:
    """Pieces in order as slices of about `slice_bytes`, whatever is asked to read them."""
    slices: list[list[SourcePiece]] = []
    held = 0
    for piece in pieces:
        size = piece.byte_count()
        if not slices or held + size > slice_bytes:
            slices.append([])
            held = 0
        slices[-1].append(piece)
        held += size
    return slices


def line_ranges(file: SourceFile, slice_bytes: int) -> Iterator[SourcePiece]:
    """Ranges of whole lines of a plain file, each of about `slice_bytes`; counts the lines on the way.

    Raises:
        OSError: the file cannot be read.
    """
    begin, first_line, place, lines = 0, 1, 0, 0
    with file.path.open("rb") as content:
        while block := content.read(max(1, min(COUNTED_BYTES, slice_bytes))):
            cut = block.find(b"\n") if place - begin >= slice_bytes else -1
            if cut >= 0:
                lines += 1
                yield SourcePiece(file.name, file.path, begin, place + cut + 1, first_line)
                begin, first_line = place + cut + 1, 1 + lines
                lines += block.count(b"\n", cut + 1)
            else:
                lines += block.count(b"\n")
            place += len(block)
    if begin < place or not begin:
        yield (
            SourcePiece(file.name, file.path, begin, place, first_line) if begin else SourcePiece(file.name, file.path)
        )
