"""Integers of headerless token files: how wide they are, and whether that contradicts the tokenizer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from corpus_stats.errors import CorpusError

_SAMPLE_BYTES = 1 << 18
_OTHERS = ("<u2", "<u4", ">u2", ">u4")
_FEWEST = 32  # integers from which a pattern is taken for one
_NAMES = {"<u2": "uint16", "<u4": "uint32", "<i4": "int32", "<i8": "int64"}


def token_dtype(vocabulary_size: int) -> str:
    """Numpy name of the least integers that hold every id of a vocabulary."""
    return "<u2" if vocabulary_size <= 1 << 16 else "<u4"


def raw_dtype(files: list[Path], asked: str | None, vocabulary_size: int | None) -> np.dtype:
    """Integers of headerless files: those that were asked for, else those that the vocabulary needs.

    Args:
        files: all of one source.
        asked: 'uint16', 'uint32', 'int32', 'int64', or '>u2' and '>u4' for big-endian ones.
        vocabulary_size: ids of the tokenizer; None checks nothing.

    Raises:
        CorpusError: what the files hold contradicts that, with the width that fits.
    """
    needed = "<u2" if vocabulary_size is None else token_dtype(vocabulary_size)
    chosen = np.dtype(asked or needed).newbyteorder(">" if (asked or "").startswith(">") else "<")
    if vocabulary_size is None:
        return chosen
    for file in (files[0], files[-1]):
        sample = _sample(file)
        if asked is None and len(sample) % chosen.itemsize:
            continue  # half a token, which is said elsewhere
        if not _fits(sample, chosen, vocabulary_size) or _is_widened(sample, chosen, vocabulary_size):
            _refuse(file, sample, chosen, vocabulary_size)
    return chosen


def _sample(file: Path) -> bytes:
    """The first and the last part of a file, both from an even place."""
    size = file.stat().st_size
    with file.open("rb") as content:
        first = content.read(_SAMPLE_BYTES)
        if size <= 2 * _SAMPLE_BYTES:
            return first + content.read()
        content.seek((size - _SAMPLE_BYTES) // 8 * 8)
        return first + content.read(_SAMPLE_BYTES)


def _ids(sample: bytes, dtype: np.dtype) -> np.ndarray:
    return np.frombuffer(sample, dtype, len(sample) // dtype.itemsize)


def _fits(sample: bytes, dtype: np.dtype, vocabulary_size: int) -> bool:
    ids = _ids(sample, dtype)
    return not ids.size or (int(ids.min()) >= 0 and int(ids.max()) < vocabulary_size)


def _is_widened(sample: bytes, dtype: np.dtype, vocabulary_size: int) -> bool:
    """Whether 16-bit integers are in truth halves of wider ones: every second is what the high half of an id of this
    vocabulary can be, 0 for most, and the others are not."""
    ids = _ids(sample, dtype)
    if dtype.itemsize != 2 or len(ids) < 2 * _FEWEST:
        return False
    highest = ids[: len(ids) // 2 * 2].reshape(-1, 2).max(axis=0)
    is_high = highest <= (vocabulary_size - 1) >> 16
    return bool(is_high[0] != is_high[1])


def _refuse(file: Path, sample: bytes, dtype: np.dtype, vocabulary_size: int) -> None:
    fitting = [
        name
        for name in _OTHERS
        if name != dtype.str
        and len(sample) % np.dtype(name).itemsize == 0
        and _fits(sample, np.dtype(name), vocabulary_size)
        and not _is_widened(sample, np.dtype(name), vocabulary_size)
    ]
    if vocabulary_size > 1 << 16:  # 16 bits fit any file, and cannot hold all ids
        fitting = [name for name in fitting if name.endswith("4")] or fitting
    if not fitting and not _is_widened(sample, dtype, vocabulary_size):
        return  # an id outside the vocabulary, which the scan names with its place
    names = " or ".join(f"dtype = {_NAMES.get(name, name)!r}" for name in fitting)
    largest = int(_ids(sample, dtype).max())
    raise CorpusError(
        f"{file} read as {_NAMES.get(dtype.str, dtype.str)} holds ids up to {largest}, which a vocabulary of "
        f"{vocabulary_size} does not have, or every second id is the high half of one; its integers are of another "
        f"kind: pass {names or 'the dtype it was written with'}."
    )
