"""Tokenizing a corpus into shards `tokens-00000.bin …` of little-endian unsigned integers, listed in `tokens.json`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import polars as pl

from corpus_stats.documents import Document
from corpus_stats.errors import CorpusError
from corpus_stats.token_stream import DESCRIPTION, FORMAT, TokenStream
from corpus_stats.tokenizer import encoder, tokenizer_sha256, vocabulary_count

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

__all__ = ["DOCUMENT_SCHEMA", "TokenStream", "TokenizedCorpus", "write_token_shards"]

DOCUMENT_SCHEMA = {
    "document_id": pl.Int64,
    "name": pl.String,
    "subset": pl.String,
    "token_offset": pl.Int64,
    "token_count": pl.Int64,
    "sha256": pl.String,
}
_BATCH_DOCUMENTS = 512
_BATCH_CHARACTERS = 2_000_000  # an encoding takes some fifty times the text; this bounds it to about 100 MB


@dataclass(frozen=True)
class TokenizedCorpus:
    """What `write_token_shards` wrote.

    Attributes:
        documents: one row per document: document_id, name, subset, token_offset, token_count, sha256 of the text.
        token_count: tokens of all documents.
        byte_count: bytes of their text as UTF-8.
        document_count: rows of `documents`.
        skipped_document_count: documents left out, by the reader or because they hold no text.
        fingerprint: sha256 over names and contents of all documents, in order.
        dtype: numpy name of the shards' integers, "<u2" or "<u4".
        vocabulary_count: ids the tokenizer can emit.
        tokenizer_sha256: fingerprint of the tokenizer.
    """

    documents: pl.DataFrame
    token_count: int
    byte_count: int
    document_count: int
    skipped_document_count: int
    fingerprint: str
    dtype: str
    vocabulary_count: int
    tokenizer_sha256: str


def write_token_shards(
    documents: Iterable[Document],
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    shard_tokens: int = 50_000_000,
    on_progress: Callable[[int], None] | None = None,
) -> TokenizedCorpus:
    """Tokenizes documents in order into one stream of token ids, cut into shards of equal size.

    Documents may span shards. Nothing is put between them: `documents` carries the boundaries. Text is encoded in
    batches (in parallel by the tokenizers library), so memory is bounded by the batch and one row per document.
    Shards get their names and `tokens.json` is written only when all is well; before that the folder has no corpus.

    Args:
        documents: a reader or any iterable, read once.
        tokenizer: a fast tokenizer.
        folder: made when absent; an older corpus in it is replaced.
        shard_tokens: tokens per shard.
        on_progress: called with the number of documents of each finished batch.

    Raises:
        CorpusError: a document is broken (from the reader), or there is no text at all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    writer = _ShardWriter(folder, "<u2" if vocabulary_count(tokenizer) <= 1 << 16 else "<u4", shard_tokens)
    ledger = _Ledger()
    encode = encoder(tokenizer)
    try:
        for batch in _batches(documents, ledger):
            for document, ids in zip(batch, _encoded(encode, batch), strict=True):
                ledger.add(document, writer.token_count, len(ids))
                writer.write(ids)
            if on_progress is not None:
                on_progress(len(batch))
        if not writer.token_count:
            raise CorpusError("The source holds no text at all; check its path and the reader's options.")
    except BaseException:
        writer.discard()
        raise
    ledger.skipped += sum(getattr(documents, "skipped", {}).values())
    corpus = ledger.corpus(writer, tokenizer)
    writer.publish({k: v for k, v in asdict(corpus).items() if k != "documents"})
    return corpus


def _batches(documents: Iterable[Document], ledger: _Ledger) -> Iterator[list[Document]]:
    batch: list[Document] = []
    characters = 0
    for document in documents:
        if not document.text:
            ledger.skipped += 1
            continue
        if batch and characters + len(document.text) > _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
        batch.append(document)
        characters += len(document.text)
        if len(batch) == _BATCH_DOCUMENTS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _encoded(encode: Tokenizer, batch: list[Document]) -> Iterator[list[int]]:
    texts = [document.text for document in batch]
    return (encoding.ids for encoding in encode.encode_batch_fast(texts, add_special_tokens=False))


class _Ledger:
    """Columns of `documents` and the running fingerprint."""

    def __init__(self) -> None:
        self.columns: dict[str, list] = {name: [] for name in DOCUMENT_SCHEMA if name != "document_id"}
        self.byte_count = 0
        self.skipped = 0
        self._fingerprint = hashlib.sha256()

    def add(self, document: Document, token_offset: int, token_count: int) -> None:
        data = document.text.encode("utf-8")
        content = hashlib.sha256(data)
        row = (document.name, document.subset, token_offset, token_count, content.hexdigest())
        for column, value in zip(self.columns.values(), row, strict=True):
            column.append(value)
        self.byte_count += len(data)
        self._fingerprint.update(document.name.encode("utf-8") + b"\0" + content.digest())

    def corpus(self, writer: _ShardWriter, tokenizer: PreTrainedTokenizerFast) -> TokenizedCorpus:
        count = len(self.columns["name"])
        frame = pl.DataFrame({"document_id": range(count), **self.columns}, schema=DOCUMENT_SCHEMA)
        return TokenizedCorpus(
            documents=frame,
            token_count=writer.token_count,
            byte_count=self.byte_count,
            document_count=count,
            skipped_document_count=self.skipped,
            fingerprint=self._fingerprint.hexdigest(),
            dtype=writer.dtype.str,
            vocabulary_count=vocabulary_count(tokenizer),
            tokenizer_sha256=tokenizer_sha256(tokenizer),
        )


class _ShardWriter:
    """Appends ids to shards under temporary names; `publish` gives them their names."""

    def __init__(self, folder: Path, dtype: str, shard_tokens: int) -> None:
        if shard_tokens < 1:
            raise CorpusError(f"Shards of {shard_tokens} tokens are impossible; ask for at least one.")
        self.folder = folder
        self.dtype = np.dtype(dtype)
        self.token_count = 0
        self._shard_tokens = shard_tokens
        self._open: IO[bytes] | None = None
        self._counts: list[int] = []

    def write(self, ids: list[int]) -> None:
        array = np.asarray(ids, dtype=self.dtype)
        while len(array):
            if self._open is None or self._counts[-1] == self._shard_tokens:
                self._next_shard()
            taken = array[: self._shard_tokens - self._counts[-1]]
            assert self._open is not None
            self._open.write(taken.tobytes())
            self._counts[-1] += len(taken)
            self.token_count += len(taken)
            array = array[len(taken) :]

    def _next_shard(self) -> None:
        self._close()
        self._counts.append(0)
        self._open = self._partial(len(self._counts) - 1).open("wb")

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def _partial(self, index: int) -> Path:
        return self.folder / f".tokens-{index:05d}.bin.partial"

    def discard(self) -> None:
        """Removes what was written."""
        self._close()
        for index in range(len(self._counts)):
            with suppress(FileNotFoundError):
                self._partial(index).unlink()

    def publish(self, summary: dict[str, object]) -> None:
        """Replaces the corpus in the folder; without `tokens.json`, its last act, the folder has none."""
        self._close()
        (self.folder / DESCRIPTION).unlink(missing_ok=True)
        for stale in self.folder.glob("tokens-*.bin"):
            stale.unlink()
        shards = []
        for index, count in enumerate(self._counts):
            name = f"tokens-{index:05d}.bin"
            self._partial(index).replace(self.folder / name)
            shards.append({"file": name, "token_count": count})
        partial = self.folder / f".{DESCRIPTION}.partial"
        partial.write_text(
            json.dumps({"format": FORMAT, **summary, "shards": shards}, indent=1) + "\n", encoding="utf-8"
        )
        partial.replace(self.folder / DESCRIPTION)
