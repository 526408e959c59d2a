"""Corpora that come as token ids: raw uint16/uint32 memory maps (Pythia's layout) and `.npy` token matrices.

The files stay where they are: `tokens.json` points at them. Every id is checked once, and documents are found in the
same pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from corpus_stats.document_ledger import DOCUMENTS_FILE, DocumentLedger
from corpus_stats.errors import CorpusError
from corpus_stats.readers.base import existing_path, files_below
from corpus_stats.shard_writer import write_description
from corpus_stats.token_shards import TokenizedCorpus
from corpus_stats.token_stream import DESCRIPTION, TokenStream
from corpus_stats.tokenizer import token_byte_counts, tokenizer_sha256, vocabulary_count
from corpus_stats.unigrams import count_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_CHUNK_TOKENS = 1 << 22
_RAW_SUFFIX, _MATRIX_SUFFIX = ".bin", ".npy"


def register_token_files(
    source: str,
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    dtype: Literal["uint16", "uint32"] = "uint16",
    end_of_text_id: int | None = None,
    subset: str | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> TokenizedCorpus:
    """Makes a corpus of `.bin` files (one stream, in order of their names) or of `.npy` matrices, without copying.

    In a stream documents end at `end_of_text_id` and may span files, as in Pythia's shards; in a matrix every row is
    a document. End-of-text tokens belong to the stream and to the counts but to no document.

    Args:
        source: a file or a folder.
        tokenizer: the one the ids were made with.
        folder: where `tokens.json` and `documents.parquet` go.
        dtype: little-endian integers of `.bin` files; `.npy` files say it themselves.
        end_of_text_id: None takes the tokenizer's.
        subset: name of the one subset; None takes the name of the source.
        on_progress: called with the number of tokens of each scanned piece.

    Raises:
        CorpusError: a file is truncated or no token file, an id lies outside the vocabulary, or there is no document.
    """
    path = existing_path(source, "token")
    folder.mkdir(parents=True, exist_ok=True)
    shards, stored, row_length = _entries(path, np.dtype(dtype).newbyteorder("<"))
    stream = TokenStream(folder, {"dtype": stored.str, "shards": shards})
    size = vocabulary_count(tokenizer)
    separator = tokenizer.eos_token_id if end_of_text_id is None else end_of_text_id
    if row_length is None and separator is None:
        raise CorpusError(f"The tokenizer has no end-of-text token to split {source} at; pass end_of_text_id.")
    ledger = DocumentLedger(folder)
    counts = np.zeros(size, dtype=np.int64)
    _list_documents(ledger, _documents(stream, counts, separator, row_length, on_progress), path, subset or path.stem)
    corpus = TokenizedCorpus(
        documents_file=folder / DOCUMENTS_FILE,
        token_count=stream.token_count,
        byte_count=int(counts @ token_byte_counts(tokenizer)),
        document_count=ledger.document_count,
        skipped_document_count=ledger.skipped,
        fingerprint=ledger.fingerprint,
        dtype=stored.str,
        vocabulary_count=size,
        tokenizer_sha256=tokenizer_sha256(tokenizer),
    )
    (folder / DESCRIPTION).unlink(missing_ok=True)
    ledger.publish()
    write_description(folder, {**vars(corpus), "documents_file": DOCUMENTS_FILE}, shards)
    return corpus


def _list_documents(
    ledger: DocumentLedger, documents: Iterator[tuple[int, np.ndarray]], path: Path, subset: str
) -> None:
    """Fills the ledger; empty documents are counted."""
    try:
        for offset, ids in documents:
            if len(ids):
                ledger.add(f"{path.name}:{ledger.document_count}", subset, ids.tobytes(), offset, len(ids))
            else:
                ledger.skipped += 1
        if not ledger.document_count:
            raise CorpusError(f"{path} holds no document; check dtype and end_of_text_id.")
    except BaseException:
        ledger.discard()
        raise


def _entries(path: Path, raw_dtype: np.dtype) -> tuple[list[dict[str, Any]], np.dtype, int | None]:
    """Shard entries, their integers, and the row length of matrices (None for streams)."""
    files = files_below(path, (_RAW_SUFFIX, _MATRIX_SUFFIX))
    if not files:
        raise CorpusError(f"There is no .bin or .npy file in {path}; check the folder.")
    if len({file.suffix for file in files}) > 1:
        raise CorpusError(f"{path} holds .bin and .npy files; put them in separate folders.")
    if files[0].suffix == _RAW_SUFFIX:
        return [_raw_entry(file, raw_dtype) for file in files], raw_dtype, None
    described = [_matrix_entry(file) for file in files]
    kinds = {(dtype, length) for _, dtype, length in described}
    if len(kinds) > 1:
        raise CorpusError(f"The matrices in {path} differ in dtype or row length; register them one by one.")
    return [entry for entry, _, _ in described], *next(iter(kinds))


def _raw_entry(file: Path, dtype: np.dtype) -> dict[str, Any]:
    size = file.stat().st_size
    if not size or size % dtype.itemsize:
        raise CorpusError(
            f"{file} has {size} bytes, no multiple of {dtype.itemsize}; it is truncated or not {dtype.name}."
        )
    return {"file": str(file), "token_count": size // dtype.itemsize}


def _matrix_entry(file: Path) -> tuple[dict[str, Any], np.dtype, int]:
    matrix = load_token_matrix(file, mapped=True)
    if not matrix.flags.c_contiguous or matrix.dtype.byteorder == ">":
        raise CorpusError(f"{file} is stored column by column or big-endian; save it again with numpy.save.")
    header = file.stat().st_size - matrix.nbytes
    return {"file": str(file), "token_count": matrix.size, "header_bytes": header}, matrix.dtype, matrix.shape[1]


def load_token_matrix(file: Path, mapped: bool = False) -> np.ndarray:
    """A `.npy` matrix of token ids, [row, position]; pickled objects are refused, not run.

    Raises:
        CorpusError: the file is missing, truncated, no `.npy`, holds objects, or no matrix of integers.
    """
    try:
        matrix = np.load(file, mmap_mode="r" if mapped else None, allow_pickle=False)
    except FileNotFoundError as error:
        raise CorpusError(f"{file} does not exist; check the folder.") from error
    except (ValueError, EOFError, OSError) as error:
        raise CorpusError(f"{file} is truncated or no array of numbers ({str(error)[:120]}); get it again.") from error
    if not isinstance(matrix, np.ndarray) or matrix.ndim != 2 or matrix.dtype.kind not in "ui" or not matrix.size:
        raise CorpusError(f"{file} holds no matrix of integers [row, position]; it cannot be token ids.")
    return matrix


def _documents(
    stream: TokenStream,
    counts: np.ndarray,
    separator: int | None,
    row_length: int | None,
    on_progress: Callable[[int], None] | None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Offset and ids of every document, and on the way the token counts, [token_id]."""
    chunk = _CHUNK_TOKENS if row_length is None else max(1, _CHUNK_TOKENS // row_length) * row_length
    carried = np.zeros(0, dtype=stream.shards[0].dtype)
    for begin, ids in stream.chunks(chunk):
        try:
            counts += count_tokens(ids, len(counts))
        except CorpusError as error:
            file = stream.shards[int(np.searchsorted(stream.starts, begin, side="right")) - 1].filename
            raise CorpusError(f"Among the {len(ids)} tokens from token {begin} on, in {file}: {error}") from error
        if on_progress is not None:
            on_progress(len(ids))
        if row_length is not None:
            for first in range(0, len(ids), row_length):
                yield begin + first, ids[first : first + row_length]
            continue
        joined = np.concatenate([carried, ids])
        offset, start = begin - len(carried), 0
        for end in np.flatnonzero(joined == separator).tolist():
            yield offset + start, joined[start:end]
            start = end + 1
        carried = joined[start:].copy()
    if len(carried):
        yield stream.token_count - len(carried), carried
