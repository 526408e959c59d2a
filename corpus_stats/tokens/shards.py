"""Tokenizing a corpus into shards `tokens-00000.bin …` of little-endian unsigned integers, listed in `tokens.json`."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from corpus_stats.documents import Document
from corpus_stats.errors import CorpusError
from corpus_stats.tokens.ledger import DOCUMENT_SCHEMA, DOCUMENTS_FILE, DocumentLedger
from corpus_stats.tokens.pieces import encoded_long
from corpus_stats.tokens.shard_writer import ShardWriter, write_description
from corpus_stats.tokens.stream import DESCRIPTION, TokenStream, count_tokens
from corpus_stats.tokens.tokenizer import (
    encoder,
    token_byte_counts,
    tokenizer_sha256,
    vocabulary_count,
)
from corpus_stats.tokens.widths import token_dtype

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

__all__ = [
    "DOCUMENT_SCHEMA",
    "TokenStream",
    "TokenizedCorpus",
    "open_corpus",
    "write_id_documents",
    "write_token_shards",
]

_BATCH_DOCUMENTS = 512
BATCH_CHARACTERS = 2_000_000  # an encoding takes some fifty times the text; this bounds it to about 100 MB


@dataclass(frozen=True)
class TokenizedCorpus:
    """What `write_token_shards` wrote.

    Attributes:
        documents_file: Parquet file of the documents.
        token_count: tokens of the stream.
        byte_count: bytes of their text as UTF-8.
        document_count: rows of `documents`.
        skipped_document_count: documents left out, by the reader or because they hold no text.
        fingerprint: sha256 over names and contents of all documents, in order.
        dtype: numpy name of the shards' integers, "<u2" or "<u4".
        vocabulary_count: ids the tokenizer can emit.
        tokenizer_sha256: fingerprint of the tokenizer.
        separator_count: tokens of the stream that belong to no document, such as end of text between two.
        skipped: documents left out, by reason.
        first_skipped: by reason, what was wrong with the first one and where.
    """

    documents_file: Path
    token_count: int
    byte_count: int
    document_count: int
    skipped_document_count: int
    fingerprint: str
    dtype: str
    vocabulary_count: int
    tokenizer_sha256: str
    separator_count: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    first_skipped: dict[str, str] = field(default_factory=dict)

    @property
    def documents(self) -> pl.DataFrame:
        """One row per document: document_id, name, subset, token_offset, token_count, sha256 of the text."""
        return pl.read_parquet(self.documents_file)


@contextmanager
def corpus_in_making(folder: Path, dtype: str, shard_tokens: int) -> Iterator[tuple[ShardWriter, DocumentLedger]]:
    """Shards and documents that are being written; when the block fails, nothing of them stays.

    Args:
        folder: made when absent; an older corpus in it is replaced once this one is published.
        dtype: numpy name of the integers.
        shard_tokens: tokens per shard.

    Raises:
        CorpusError: the block wrote no token.
    """
    folder.mkdir(parents=True, exist_ok=True)
    writer, ledger = ShardWriter(folder, dtype, shard_tokens), DocumentLedger(folder)
    try:
        yield writer, ledger
        if not writer.token_count:
            raise CorpusError("The source holds no text at all; check its path and the reader's options.")
    except BaseException:
        writer.discard()
        ledger.discard()
        raise


def write_token_shards(
    documents: Iterable[Document],
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    shard_tokens: int = 50_000_000,
    on_progress: Callable[[int], None] | None = None,
) -> TokenizedCorpus:
    """Tokenizes documents in order into one stream of token ids, cut into shards of equal size.

    Documents may span shards. Nothing is put between them: `documents` carries the boundaries. Text is encoded in
    batches (in parallel by the tokenizers library), and longer documents in pieces, so memory is bounded by the longest
    document's text and ids. What looks like a special token in a text is text: no document holds the end-of-text id.
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
    with corpus_in_making(folder, token_dtype(vocabulary_count(tokenizer)), shard_tokens) as (writer, ledger):
        _write_all(documents, encoder(tokenizer), writer, ledger, on_progress)
    ledger.skipped.update(getattr(documents, "skipped", {}))
    ledger.first_skipped |= getattr(documents, "first_skipped", {})
    return publish_corpus(folder, writer, ledger, vocabulary_count(tokenizer), tokenizer_sha256(tokenizer))


def write_id_documents(
    documents: Iterable[tuple[str, str, np.ndarray]],
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    shard_tokens: int = 50_000_000,
) -> TokenizedCorpus:
    """`write_token_shards` of documents that come as ids.

    Args:
        documents: name, subset and ids, [token], of each; the fingerprint is taken of the ids as little-endian uint32.
        tokenizer: the one the ids were made with.
        folder: made when absent; an older corpus in it is replaced.
        shard_tokens: tokens per shard.

    Raises:
        CorpusError: an id lies outside the tokenizer's vocabulary, or there is no document.
    """
    stretches = ((name, subset, ids, True) for name, subset, ids in documents)
    return _write_stretches(stretches, tokenizer, folder, shard_tokens)


def _write_stretches(
    stretches: Iterable[tuple[str, str, np.ndarray, bool]],
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    shard_tokens: int,
    left_out: Callable[[], tuple[Counter[str], dict[str, str]]] | None = None,
) -> TokenizedCorpus:
    """Writes ids that come as documents, and what stands between them."""
    size, separator_count = vocabulary_count(tokenizer), 0
    counts = np.zeros(size, dtype=np.int64)
    with corpus_in_making(folder, token_dtype(size), shard_tokens) as (writer, ledger):
        for name, subset, ids, is_document in stretches:
            counts += count_tokens(ids, size)
            if is_document:
                ledger.add(name, subset, ids.astype("<u4").tobytes(), writer.token_count, len(ids))
            else:
                separator_count += len(ids)
            writer.write(ids)
        if not ledger.document_count:
            raise CorpusError("The source holds no token at all; check it.")
    if left_out is not None:
        skipped, first_skipped = left_out()
        ledger.skipped.update(skipped)
        ledger.first_skipped |= first_skipped
    ledger.byte_count = int(counts @ token_byte_counts(tokenizer))
    return publish_corpus(folder, writer, ledger, size, tokenizer_sha256(tokenizer), separator_count)


def write_id_rows(
    rows: Iterable[tuple[str, str, np.ndarray]],
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    shard_tokens: int = 50_000_000,
    end_of_text_id: int | None = None,
    on_progress: Callable[[int], None] | None = None,
    left_out: Callable[[], tuple[Counter[str], dict[str, str]]] | None = None,
) -> TokenizedCorpus:
    """A corpus of rows of ids in which documents are packed: they end with their row and at end of text.

    Args:
        rows: name, subset and ids, [token], of each.
        tokenizer: the one the ids were made with.
        folder: made when absent; an older corpus in it is replaced.
        shard_tokens: tokens per shard.
        end_of_text_id: None takes the tokenizer's.
        on_progress: called with 1 for each row.
        left_out: tells at the end what was not read: counts and first examples, by reason.

    Raises:
        CorpusError: an id lies outside the tokenizer's vocabulary, or there is no row.
    """
    separator = tokenizer.eos_token_id if end_of_text_id is None else end_of_text_id
    stretches = _stretches(rows, separator, on_progress)
    return _write_stretches(stretches, tokenizer, folder, shard_tokens, left_out)


def _stretches(
    rows: Iterable[tuple[str, str, np.ndarray]], separator: int | None, on_progress: Callable[[int], None] | None
) -> Iterator[tuple[str, str, np.ndarray, bool]]:
    """Documents of packed rows, and the separators between them, in order: name, subset, ids, whether it is one."""
    for name, subset, ids in rows:
        ends = np.flatnonzero(ids == separator) if separator is not None else np.zeros(0, dtype=np.int64)
        begin = 0
        for number, end in enumerate([*ends.tolist(), len(ids)]):
            if end > begin:
                yield f"{name}.{number}" if len(ends) else name, subset, ids[begin:end], True
            yield name, subset, ids[end : end + 1], False
            begin = end + 1
        if on_progress is not None:
            on_progress(1)


def publish_corpus(
    folder: Path,
    writer: ShardWriter,
    ledger: DocumentLedger,
    vocabulary_size: int,
    tokenizer_hash: str,
    separator_count: int = 0,
) -> TokenizedCorpus:
    """Replaces the corpus in the folder by what was written; `tokens.json` goes first and comes last."""
    (folder / DESCRIPTION).unlink(missing_ok=True)
    shards = writer.publish()
    corpus = TokenizedCorpus(
        documents_file=ledger.publish(),
        token_count=writer.token_count,
        byte_count=ledger.byte_count,
        document_count=ledger.document_count,
        skipped_document_count=ledger.skipped.total(),
        fingerprint=ledger.fingerprint,
        dtype=writer.dtype.str,
        vocabulary_count=vocabulary_size,
        tokenizer_sha256=tokenizer_hash,
        separator_count=separator_count,
        skipped=dict(ledger.skipped),
        first_skipped=ledger.first_skipped,
    )
    write_description(folder, {**asdict(corpus), "documents_file": DOCUMENTS_FILE}, shards)
    return corpus


def open_corpus(folder: Path) -> TokenizedCorpus:
    """What an earlier `write_token_shards` wrote to the folder.

    Raises:
        CorpusError: the folder holds no complete corpus.
    """
    stream = TokenStream(folder)
    names = [field.name for field in dataclasses.fields(TokenizedCorpus)]
    fields = {name: stream.description[name] for name in names if name in stream.description}
    return TokenizedCorpus(**{**fields, "documents_file": Path(folder) / fields["documents_file"]})


def _write_all(
    documents: Iterable[Document],
    encode: Tokenizer,
    writer: ShardWriter,
    ledger: DocumentLedger,
    on_progress: Callable[[int], None] | None,
) -> None:
    for batch in document_batches(documents, ledger.skip):
        for document, ids in zip(batch, encoded(encode, batch), strict=True):
            ledger.add(document.name, document.subset, document.text.encode("utf-8"), writer.token_count, len(ids))
            writer.write(ids)
        if on_progress is not None:
            on_progress(len(batch))


def document_batches(documents: Iterable[Document], skip: Callable[[str, str], None]) -> Iterator[list[Document]]:
    """Documents in batches of bounded size; `skip` is told of empty ones. A document longer than a batch is alone."""
    batch: list[Document] = []
    characters = 0
    for document in documents:
        if not document.text:
            skip("empty document", f"{document.name} is empty")
            continue
        if batch and characters + len(document.text) > BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
        batch.append(document)
        characters += len(document.text)
        if len(batch) == _BATCH_DOCUMENTS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def encoded(encode: Tokenizer, batch: list[Document]) -> Iterator[np.ndarray]:
    """Ids of every document; one that is longer than a batch is alone in its own and encoded in pieces."""
    texts = [document.text for document in batch]
    if len(texts[0]) > BATCH_CHARACTERS:
        yield encoded_long(encode, texts[0], BATCH_CHARACTERS // 4)
    else:
        for encoding in encode.encode_batch_fast(texts, add_special_tokens=False):
            yield np.array(encoding.ids, dtype=np.uint32)
