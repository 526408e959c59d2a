"""Corpora that come as token ids: raw uint16/uint32 memory maps (Pythia's layout) and `.npy` token matrices.

The files stay where they are: `tokens.json` points at them. Every id is checked once, and documents are found in the
same pass. Nothing is taken out of the stream: end-of-text tokens between documents are counted as separators.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from corpus_stats.errors import CorpusError
from corpus_stats.readers.files import existing_path, list_files
from corpus_stats.tokens.ledger import DOCUMENTS_FILE, DocumentLedger
from corpus_stats.tokens.shard_writer import write_description
from corpus_stats.tokens.shards import TokenizedCorpus
from corpus_stats.tokens.stream import DESCRIPTION, TokenStream, count_tokens
from corpus_stats.tokens.tokenizer import token_byte_counts, tokenizer_sha256, vocabulary_count

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHUNK_TOKENS = 1 << 22
_RAW_SUFFIX, _MATRIX_SUFFIX = ".bin", ".npy"


def register_token_files(
    source: str,
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    dtype: Literal["uint16", "uint32"] = "uint16",
    end_of_text_id: int | None = None,
    subset: str | None = None,
    row_length: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> TokenizedCorpus:
    """Makes a corpus of `.bin` files (one stream, in order of their names) or of `.npy` matrices, without copying.

    Documents end at `end_of_text_id`; in a stream they may span files, as in Megatron's and Pythia's shards. The rows
    of a matrix, and with `row_length` those of a stream (Pythia's shuffled training sequences of 2049 tokens), have
    nothing to do with each other: documents also end with their row. End-of-text tokens belong to the stream and to
    the counts but to no document.

    Args:
        source: a file or a folder.
        tokenizer: the one the ids were made with.
        folder: where `tokens.json` and `documents.parquet` go.
        dtype: little-endian integers of `.bin` files; `.npy` files say it themselves.
        end_of_text_id: None takes the tokenizer's.
        subset: name of the one subset; None takes the name of the source.
        row_length: tokens of a row of `.bin` files; None takes them as one stream. Matrices say it themselves.
        on_progress: called with the number of tokens of each scanned piece.

    Raises:
        CorpusError: a file is truncated or no token file, an id lies outside the vocabulary, or there is no document.
    """
    path = existing_path(source, "token")
    folder.mkdir(parents=True, exist_ok=True)
    shards, stored, columns = _entries(path, np.dtype(dtype).newbyteorder("<"))
    stream = TokenStream(folder, {"dtype": stored.str, "shards": shards})
    separator = tokenizer.eos_token_id if end_of_text_id is None else end_of_text_id
    _require_rows(path, stream.token_count, columns or row_length, separator)
    if separator is not None and not 0 <= separator < vocabulary_count(tokenizer):
        raise CorpusError(f"The end-of-text id {separator} lies outside the tokenizer's vocabulary; pass another.")
    scan = Scan(stream, np.zeros(vocabulary_count(tokenizer), dtype=np.int64), separator, columns or row_length)
    ledger = DocumentLedger(folder)
    _list_documents(ledger, scan.documents(on_progress), path, subset or path.stem)
    corpus = TokenizedCorpus(
        documents_file=folder / DOCUMENTS_FILE,
        token_count=stream.token_count,
        byte_count=int(scan.counts @ token_byte_counts(tokenizer)),
        document_count=ledger.document_count,
        skipped_document_count=ledger.skipped.total(),
        fingerprint=ledger.fingerprint,
        dtype=stored.str,
        vocabulary_count=len(scan.counts),
        tokenizer_sha256=tokenizer_sha256(tokenizer),
        separator_count=0 if separator is None else int(scan.counts[separator]),
        skipped=dict(ledger.skipped),
        first_skipped=ledger.first_skipped,
    )
    (folder / DESCRIPTION).unlink(missing_ok=True)
    ledger.publish()
    for stale in folder.glob("tokens-*.bin"):  # of a corpus that was tokenized here before
        stale.unlink()
    write_description(folder, {**vars(corpus), "documents_file": DOCUMENTS_FILE}, shards)
    return corpus


def token_file_count(source: str, dtype: Literal["uint16", "uint32"] = "uint16") -> int:
    """Tokens in the files of a source, by their sizes and headers alone.

    Raises:
        CorpusError: there is no token file, or one is truncated.
    """
    entries, _, _ = _entries(existing_path(source, "token"), np.dtype(dtype).newbyteorder("<"))
    return sum(entry["token_count"] for entry in entries)


def _require_rows(path: Path, token_count: int, row_length: int | None, separator: int | None) -> None:
    if row_length is None and separator is None:
        raise CorpusError(f"The tokenizer has no end-of-text token to split {path} at; pass end_of_text_id.")
    if row_length is not None and (row_length < 1 or token_count % row_length):
        raise CorpusError(
            f"{path} holds {token_count} tokens, no multiple of rows of {row_length}; it is truncated, or pass the "
            "row_length it was written with."
        )


def _list_documents(
    ledger: DocumentLedger, documents: Iterator[tuple[int, np.ndarray]], path: Path, subset: str
) -> None:
    """Fills the ledger; empty documents are counted."""
    try:
        for offset, ids in documents:
            if len(ids):
                ledger.add(f"{path.name}:{ledger.document_count}", subset, ids.tobytes(), offset, len(ids))
            else:
                ledger.skip("empty document", f"no token stands before the end of text at token {offset} of {path}")
        if not ledger.document_count:
            raise CorpusError(f"{path} holds no document; check dtype and end_of_text_id.")
    except BaseException:
        ledger.discard()
        raise


def _entries(path: Path, raw_dtype: np.dtype) -> tuple[list[dict[str, Any]], np.dtype, int | None]:
    """Shard entries, their integers, and the row length of matrices (None for streams)."""
    files = [f.path for f in list_files(path).files if f.path.suffix in (_RAW_SUFFIX, _MATRIX_SUFFIX)]
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


@dataclass
class Scan:
    """One pass over a stream: counts the tokens, [token_id], checks every id, and finds the documents."""

    stream: TokenStream
    counts: np.ndarray
    separator: int | None
    row_length: int | None

    def documents(self, on_progress: Callable[[int], None] | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """Offset and ids of every document; empty ones too, but not the padding between or within rows."""
        carried = np.zeros(0, dtype=self.stream.shards[0].dtype)
        row = self.row_length
        chunk = CHUNK_TOKENS if row is None else max(1, CHUNK_TOKENS // row) * row
        for begin, ids in self.stream.chunks(chunk):
            self._count(begin, ids)
            if on_progress is not None:
                on_progress(len(ids))
            joined = ids if row is not None else np.concatenate([carried, ids])
            bounds = self._bounds(joined)
            offset = begin + len(ids) - len(joined)
            for start, end in bounds:
                if end > start or row is None:
                    yield offset + start, joined[start:end]
            if row is None:
                carried = joined[bounds[-1][1] + 1 if bounds else 0 :].copy()
        if len(carried):
            yield self.stream.token_count - len(carried), carried

    def _bounds(self, ids: np.ndarray) -> list[tuple[int, int]]:
        """First position of each document and the one after its last; in a stream only documents that ended."""
        ends = np.flatnonzero(ids == self.separator) if self.separator is not None else np.zeros(0, dtype=np.int64)
        starts = np.concatenate([[0], ends + 1])
        if self.row_length is None:
            return list(zip(starts[:-1].tolist(), ends.tolist(), strict=True))
        rows = np.arange(0, len(ids) + 1, self.row_length)
        starts = np.union1d(starts, rows[:-1])
        next_start = np.append(starts[1:], len(ids))
        ends_before = np.isin(next_start - 1, ends)
        return list(zip(starts.tolist(), (next_start - ends_before).tolist(), strict=True))

    def _count(self, begin: int, ids: np.ndarray) -> None:
        try:
            self.counts += count_tokens(ids, len(self.counts))
        except CorpusError as error:
            file = self.stream.shards[int(np.searchsorted(self.stream.starts, begin, side="right")) - 1].filename
            raise CorpusError(f"Among the {len(ids)} tokens from token {begin} on, in {file}: {error}") from error
