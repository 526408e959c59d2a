"""Layouts of token files: what headers and indexes say, and what contradicts the tokenizer."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from corpus_stats.errors import CorpusError
from corpus_stats.readers import contents
from corpus_stats.readers.files import Listing, SourceFile, refuse_mixed_splits
from corpus_stats.tokens.widths import raw_dtype

Layout = Literal["raw", "megatron", "numpy", "numpy rows", "llm.c", "infini-gram"]
TokenWidth = Literal["uint16", "uint32", "int32", "int64", ">u2", ">u4"]
_MEGATRON_MAGIC = b"MMIDIDX\0\0"
_MEGATRON_DTYPES = {1: "<u1", 2: "<i1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2"}
_PART = re.compile(r"-\d+-of-\d+$")
_LLMC_DTYPES = {20240520: "<u2", 20240801: "<u4"}
_LLMC_HEADER_BYTES = 1024
_INFINI = re.compile(r"tokenized\.\d+$")


@dataclass
class TokenFiles:
    """Token files of one source as one stream.

    Attributes:
        layout: what they are.
        dtype: integers of all of them.
        shards: entries of `tokens.json` in stream order: file, token_count, header_bytes.
        names: path of each within the source.
        row_length: tokens of a row where the files are matrices.
        lengths: tokens of each document where an index says so, [document]; they add up to the stream.
        left_out: files that are not read, with the reason.
    """

    layout: Layout
    dtype: np.dtype
    shards: list[dict[str, Any]]
    names: list[str]
    row_length: int | None = None
    lengths: np.ndarray | None = None
    left_out: list[tuple[str, str]] = field(default_factory=list)

    @property
    def token_count(self) -> int:
        """Tokens of the stream."""
        return sum(entry["token_count"] for entry in self.shards)


def token_files(
    listing: Listing, split: str | None, dtype: TokenWidth | None, vocabulary_size: int | None = None
) -> TokenFiles:
    """The token files of a listing, by what they are.

    Args:
        listing: files of the source.
        split: the split that was asked for, or 'all'.
        dtype: integers of headerless files; None takes what the vocabulary needs.
        vocabulary_size: ids of the tokenizer; None where it is not known yet.

    Raises:
        CorpusError: there is no token file, layouts are mixed, a file is truncated, or it contradicts its index, its
            header, the dtype or the vocabulary.
    """
    chosen = [file for file in listing.files if contents.kind_of_file(file.path) == contents.TOKENS]
    if not chosen:
        raise CorpusError(f"There is no .bin or .npy file in {listing.root}; check the folder.")
    refuse_mixed_splits(Listing(listing.root, chosen), split)
    layouts = {file: _layout_of(file.path) for file in chosen}
    if len(set(layouts.values())) > 1:
        found = ", ".join(f"{name} ({layouts[file]})" for file in _one_of_each(layouts) for name in (file.name,))
        raise CorpusError(
            f"{listing.root} holds token files of several layouts: {found}; put them in separate folders, or choose "
            "with include and exclude."
        )
    found = _READERS[layouts[chosen[0]]](chosen, dtype, vocabulary_size)
    others = {file.name for file in listing.files} - {file.name for file in chosen}
    indexes = (
        {Path(name).with_suffix(".idx").as_posix() for name in found.names} if found.lengths is not None else set()
    )
    found.left_out = [*listing.left_out, *((name, "no token file") for name in sorted(others - indexes))]
    return found


def _one_of_each(layouts: dict[SourceFile, Layout]) -> Iterable[SourceFile]:
    return sorted({layout: file for file, layout in reversed(layouts.items())}.values())


def _layout_of(file: Path) -> Layout:
    with file.open("rb") as content:
        head = content.read(8)
    if head.startswith(b"\x93NUMPY"):
        return "numpy" if len(_mapped(file).shape) == 1 else "numpy rows"
    if _INFINI.search(file.name):
        return "infini-gram"
    if len(head) == 8 and struct.unpack("<i", head[:4])[0] in _LLMC_DTYPES:
        return "llm.c"
    return "megatron" if index_of(file) is not None else "raw"


def index_of(file: Path) -> Path | None:
    """The Megatron index beside a .bin file, or beside its parts (`x-00000-of-00020.bin` with `x.idx`)."""
    candidates = (file.with_suffix(".idx"), file.with_name(_PART.sub("", file.stem) + ".idx"))
    return next((path for path in candidates if path.is_file()), None)


def _raw(files: list[SourceFile], dtype: TokenWidth | None, vocabulary_size: int | None) -> TokenFiles:
    kind = raw_dtype([file.path for file in files], dtype, vocabulary_size)
    shards = [_raw_entry(file.path, kind) for file in files]
    return TokenFiles("raw", kind, shards, [file.name for file in files])


def _raw_entry(file: Path, dtype: np.dtype) -> dict[str, Any]:
    size = file.stat().st_size
    if not size or size % dtype.itemsize:
        raise CorpusError(
            f"{file} has {size} bytes, no multiple of {dtype.itemsize}; it is truncated or not {dtype.name}."
        )
    return {"file": str(file), "token_count": size // dtype.itemsize}


def _megatron(files: list[SourceFile], dtype: TokenWidth | None, _: int | None) -> TokenFiles:
    groups: dict[Path, list[SourceFile]] = {}
    for file in files:
        index = index_of(file.path)
        assert index is not None
        groups.setdefault(index, []).append(file)
    read = {index: read_megatron_index(index) for index in groups}
    kinds = {kind.str: index for index, (kind, _) in read.items()}
    if len(kinds) > 1:
        raise CorpusError(
            f"The indexes {', '.join(map(str, kinds.values()))} differ in dtype; register them one by one."
        )
    kind = np.dtype(next(iter(kinds)))
    if dtype is not None and np.dtype(dtype).newbyteorder("<") != kind:
        raise CorpusError(f"{next(iter(groups))} says {kind.name}, not {dtype}; leave dtype out.")
    shards = [_raw_entry(file.path, kind) for group in groups.values() for file in group]
    for index, group in groups.items():
        held = sum(file.path.stat().st_size for file in group) // kind.itemsize
        if held != (told := int(read[index][1].sum(dtype=np.int64))):
            raise CorpusError(
                f"{index} tells of {told} tokens, the files beside it hold {held}; parts are missing or truncated."
            )
    names = [file.name for group in groups.values() for file in group]
    return TokenFiles(
        "megatron", kind, shards, names, lengths=np.concatenate([lengths for _, lengths in read.values()])
    )


def read_megatron_index(index: Path) -> tuple[np.dtype, np.ndarray]:
    """Integers and lengths of the documents, [document], of a Megatron index: MMapIndexedDataset in
    Megatron-LM and GPT-NeoX.

    Raises:
        CorpusError: it is no such index, damaged, or its sequences do not lie one after the other.
    """
    data = np.memmap(index, dtype=np.uint8, mode="r")
    if bytes(data[:9]) != _MEGATRON_MAGIC or len(data) < 34:
        raise CorpusError(f"{index} is no Megatron index (MMIDIDX); rename it when it belongs to something else.")
    version, code, sequences, bounds = struct.unpack("<QBQQ", bytes(data[9:34]))
    expected = 34 + sequences * 12 + bounds * 8
    if version != 1 or code not in _MEGATRON_DTYPES or len(data) < expected:
        raise CorpusError(f"{index} is damaged or of a version or dtype that is not known; get it again.")
    dtype = np.dtype(_MEGATRON_DTYPES[code])
    sizes = np.frombuffer(data, "<i4", sequences, 34)
    pointers = np.frombuffer(data, "<i8", sequences, 34 + sequences * 4)
    documents = np.frombuffer(data, "<i8", bounds, 34 + sequences * 12)
    ends = np.cumsum(sizes, dtype=np.int64)
    if sequences and (pointers[0] or not np.array_equal(pointers[1:], ends[:-1] * dtype.itemsize)):
        raise CorpusError(f"The sequences of {index} do not lie one after the other; write it again without gaps.")
    if not bounds or documents[0] or documents[-1] != sequences:
        return dtype, sizes
    return dtype, np.diff(np.concatenate([[0], ends])[documents])


def _numpy(files: list[SourceFile], dtype: TokenWidth | None, _: int | None) -> TokenFiles:
    """One-dimensional arrays are a stream, matrices are rows; the header says the integers."""
    arrays = [_mapped(file.path) for file in files]
    for file, array in zip(files, arrays, strict=True):
        if array.dtype.kind not in "ui" or not array.size or array.ndim > 2:
            raise CorpusError(f"{file.path} holds no stream and no matrix of integers; it cannot be token ids.")
        if not array.flags.c_contiguous:
            raise CorpusError(f"{file.path} is stored column by column; save it again with numpy.save.")
    kinds = {(array.dtype.str, array.shape[1] if array.ndim == 2 else None) for array in arrays}
    if len(kinds) > 1:
        raise CorpusError(
            f"{files[0].path} and the files beside it differ in dtype or row length; register them apart."
        )
    kind, columns = next(iter(kinds))
    if dtype is not None and np.dtype(dtype) != np.dtype(kind):
        raise CorpusError(f"{files[0].path} says {np.dtype(kind).name}, not {dtype}; leave dtype out.")
    shards = [
        {"file": str(file.path), "token_count": array.size, "header_bytes": file.path.stat().st_size - array.nbytes}
        for file, array in zip(files, arrays, strict=True)
    ]
    names = [file.name for file in files]
    return TokenFiles("numpy rows" if columns else "numpy", np.dtype(kind), shards, names, columns)


def load_token_matrix(file: Path) -> np.ndarray:
    """A `.npy` matrix of token ids, [row, position]; pickled objects are refused, not run.

    Raises:
        CorpusError: the file is missing, truncated, no `.npy`, holds objects, or no matrix of integers.
    """
    matrix = np.array(_mapped(file))
    if matrix.ndim != 2 or matrix.dtype.kind not in "ui" or not matrix.size:
        raise CorpusError(f"{file} holds no matrix of integers [row, position]; it cannot be token ids.")
    return matrix


def _mapped(file: Path) -> np.ndarray:
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise CorpusError(f"{file} does not exist; check the folder.") from error
    except (ValueError, EOFError, OSError) as error:
        raise CorpusError(f"{file} is truncated or no array of numbers ({str(error)[:120]}); get it again.") from error
    if not isinstance(array, np.ndarray):
        raise CorpusError(f"{file} is an archive of arrays; save the one with the token ids by numpy.save.")
    return array


def _llmc(files: list[SourceFile], dtype: TokenWidth | None, _: int | None) -> TokenFiles:
    """Shards of llm.c: a header of 256 int32 (magic, version, tokens), then the tokens."""
    headers = {file: np.fromfile(file.path, "<i4", 256) for file in files}
    kinds = {_LLMC_DTYPES[int(header[0])] for header in headers.values()}
    if len(kinds) > 1:
        raise CorpusError(f"{files[0].path} and the files beside it differ in dtype; register them apart.")
    kind, shards = np.dtype(next(iter(kinds))), []
    if dtype is not None and np.dtype(dtype) != kind:
        raise CorpusError(f"{files[0].path} says {kind.name}, not {dtype}; leave dtype out.")
    for file, header in headers.items():
        told, held = int(header[2]), (file.path.stat().st_size - _LLMC_HEADER_BYTES) // kind.itemsize
        if told != held:
            raise CorpusError(f"The header of {file.path} tells of {told} tokens, it holds {held}; it is truncated.")
        shards.append({"file": str(file.path), "token_count": told, "header_bytes": _LLMC_HEADER_BYTES})
    return TokenFiles("llm.c", kind, shards, [file.name for file in files])


def _infini(files: list[SourceFile], dtype: TokenWidth | None, _: int | None) -> TokenFiles:
    """Token files of an infini-gram index: every document begins with the largest integer."""
    with files[0].path.open("rb") as content:
        begins = content.read(4)
    told = np.dtype("<u4" if begins == b"\xff" * 4 else "<u2")
    if not begins.startswith(b"\xff\xff"):
        raise CorpusError(f"{files[0].path} does not begin with the separator of infini-gram; is it compressed or cut?")
    if dtype is not None and np.dtype(dtype) != told:
        raise CorpusError(f"{files[0].path} looks like {told.name}, not {dtype}; leave dtype out.")
    shards = [_raw_entry(file.path, told) for file in files]
    return TokenFiles("infini-gram", told, shards, [file.name for file in files])


_READERS: dict[Layout, Any] = {
    "raw": _raw,
    "megatron": _megatron,
    "numpy": _numpy,
    "numpy rows": _numpy,
    "llm.c": _llmc,
    "infini-gram": _infini,
}
