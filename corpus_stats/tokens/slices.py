"""Tokenizing in slices: each is a pure function of its part of the source, and together they are one corpus.

The corpus is that of `write_token_shards`, byte for byte, whatever the number of slices, workers and interruptions.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from corpus_stats.errors import CorpusError
from corpus_stats.readers.base import FileReader
from corpus_stats.readers.slices import SourcePiece
from corpus_stats.tokens.ledger import DocumentLedger
from corpus_stats.tokens.shard_writer import ShardWriter
from corpus_stats.tokens.shards import TokenizedCorpus, corpus_in_making, document_batches, encoded, publish_corpus
from corpus_stats.tokens.tokenizer import encoder, tokenizer_sha256, vocabulary_count

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

SLICE_BYTES = 1 << 26
_ROWS = {"name": pl.String, "subset": pl.String, "token_count": pl.Int64, "sha256": pl.Binary, "byte_count": pl.Int64}


@dataclass(frozen=True)
class TokenSlice:
    """Tokens and documents of a slice.

    Attributes:
        ids: tokens of all its documents, [token].
        documents: name, subset, token_count, sha256 of the text (32 bytes) and byte_count of each.
        left_out: reason, number and first example of what was left out.
    """

    ids: np.ndarray
    documents: pl.DataFrame
    left_out: list[tuple[str, int, str]]


def tokenize_slice(reader: FileReader, pieces: Sequence[SourcePiece], encode: Tokenizer, dtype: str) -> TokenSlice:
    """Reads and tokenizes one slice.

    Args:
        reader: of the source; its counters are used.
        pieces: the slice, one of `reader.slices`.
        encode: the tokenizer (`encoder`).
        dtype: integers of the ids.

    Raises:
        CorpusError: a document is broken and the reader says "fail".
    """
    import hashlib

    rows: list[tuple[str, str, int, bytes, int]] = []
    arrays = [np.zeros(0, dtype=dtype)]
    for batch in document_batches(reader.read_slice(pieces), _refuse_empty):
        for document, ids in zip(batch, encoded(encode, batch), strict=True):
            content = document.text.encode("utf-8")
            rows.append((document.name, document.subset, len(ids), hashlib.sha256(content).digest(), len(content)))
            arrays.append(ids.astype(dtype))
    documents = pl.DataFrame(rows, schema=_ROWS, orient="row")
    left_out = [(reason, count, reader.first_skipped[reason]) for reason, count in reader.skipped.items()]
    return TokenSlice(np.concatenate(arrays), documents, left_out)


def _refuse_empty(reason: str, what: str) -> None:
    raise CorpusError(f"A reader gave an {reason}: {what}; it should have counted it.")


class SliceStore:
    """Finished slices in a folder: what an interrupted run left is kept by the next."""

    def __init__(self, folder: Path, dtype: str) -> None:
        self.folder, self.dtype = folder, np.dtype(dtype)
        folder.mkdir(parents=True, exist_ok=True)

    def _file(self, number: int, ending: str) -> Path:
        return self.folder / f"slice-{number:06d}.{ending}"

    def is_done(self, number: int) -> bool:
        """Whether a slice is there as a whole; its note is written last."""
        try:
            note = json.loads(self._file(number, "json").read_text(encoding="utf-8"))
            size = self._file(number, "bin").stat().st_size
        except (OSError, ValueError):
            return False
        return bool(size == note["token_count"] * self.dtype.itemsize and self._file(number, "parquet").is_file())

    def put(self, number: int, found: TokenSlice) -> None:
        """Keeps a slice."""
        partial = self._file(number, "partial")
        with partial.open("wb") as out:
            found.ids.astype(self.dtype).tofile(out)
        partial.replace(self._file(number, "bin"))
        found.documents.write_parquet(partial)
        partial.replace(self._file(number, "parquet"))
        note = {"token_count": len(found.ids), "left_out": found.left_out}
        partial.write_text(json.dumps(note), encoding="utf-8")
        partial.replace(self._file(number, "json"))

    def get(self, number: int) -> TokenSlice:
        """A finished slice."""
        note: dict[str, Any] = json.loads(self._file(number, "json").read_text(encoding="utf-8"))
        ids = np.fromfile(self._file(number, "bin"), dtype=self.dtype)
        documents = pl.read_parquet(self._file(number, "parquet"), memory_map=False)
        return TokenSlice(ids, documents, [(reason, count, first) for reason, count, first in note["left_out"]])


def join_slices(
    store: SliceStore,
    count: int,
    left_out: tuple[Counter[str], dict[str, str]],
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    shard_tokens: int = 50_000_000,
) -> TokenizedCorpus:
    """The corpus of finished slices, one after the other.

    Args:
        store: holds the slices 0 … count - 1.
        count: how many there are.
        left_out: counts and first examples of files that no slice reads.
        tokenizer: the one the slices were made with.
        folder: made when absent; an older corpus in it is replaced.
        shard_tokens: tokens per shard.

    Raises:
        CorpusError: there is no text at all.
    """
    skipped, first_skipped = Counter(left_out[0]), dict(left_out[1])
    with corpus_in_making(folder, store.dtype.str, shard_tokens) as (writer, ledger):
        for number in range(count):
            _append(store.get(number), writer, ledger, skipped, first_skipped)
    ledger.skipped.update(skipped)
    ledger.first_skipped |= first_skipped
    return publish_corpus(folder, writer, ledger, vocabulary_count(tokenizer), tokenizer_sha256(tokenizer))


def _append(
    found: TokenSlice, writer: ShardWriter, ledger: DocumentLedger, skipped: Counter[str], first_skipped: dict[str, str]
) -> None:
    offset = writer.token_count
    for name, subset, length, sha256, _ in found.documents.iter_rows():
        ledger.add_hashed(name, subset, sha256, offset, length)
        offset += length
    ledger.byte_count += int(found.documents["byte_count"].sum())
    writer.write(found.ids)
    for reason, number, first in found.left_out:
        skipped[reason] += number
        first_skipped.setdefault(reason, first)


__all__ = ["SLICE_BYTES", "SliceStore", "TokenSlice", "encoder", "join_slices", "tokenize_slice"]
