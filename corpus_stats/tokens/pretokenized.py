"""Corpora that come as token ids: memory maps, arrays and indexes as they are published.

The files stay where they are: `tokens.json` points at them. Every id is checked once, and documents are found in the
same pass. Nothing is taken out of the stream: end-of-text tokens between documents are counted as separators. Only
the token files of infini-gram, whose separator is no id of any tokenizer, are written again without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from corpus_stats.errors import CorpusError
from corpus_stats.readers.base import Split, SubsetBy
from corpus_stats.readers.files import FileChoice, Listing, existing_path, list_files, shown
from corpus_stats.tokens.layouts import TokenFiles, TokenWidth, token_files
from corpus_stats.tokens.ledger import DOCUMENTS_FILE, DocumentLedger
from corpus_stats.tokens.scan import FoundDocument, Scan
from corpus_stats.tokens.shard_writer import write_description
from corpus_stats.tokens.shards import TokenizedCorpus, write_id_documents
from corpus_stats.tokens.stream import DESCRIPTION, TokenStream
from corpus_stats.tokens.tokenizer import token_byte_counts, tokenizer_sha256, vocabulary_count

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

DocumentsEnd = Literal["end-of-text", "files"]


def register_token_files(
    source: str,
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    dtype: TokenWidth | None = None,
    end_of_text_id: int | None = None,
    subset: str | None = None,
    row_length: int | None = None,
    documents: DocumentsEnd = "end-of-text",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    split: Split | None = None,
    subset_by: SubsetBy = "source",
    on_progress: Callable[[int], None] | None = None,
) -> TokenizedCorpus:
    """Makes a corpus of token files, one stream in order of their names, without copying.

    Documents end at `end_of_text_id`; in a stream they may span files, as in Megatron's and Pythia's shards. Where a
    Megatron index lies beside a .bin file, they also end where it says. The rows of a matrix, and with `row_length`
    those of a stream (Pythia's shuffled training sequences of 2049 tokens), have nothing to do with each other:
    documents also end with their row. End-of-text tokens belong to the stream and to the counts but to no document.

    Args:
        source: a file or a folder.
        tokenizer: the one the ids were made with.
        folder: where `tokens.json` and `documents.parquet` go.
        dtype: integers of files without a header; None takes what the vocabulary needs. Headers and indexes say it.
        end_of_text_id: None takes the tokenizer's.
        subset: name of the one subset; None takes `subset_by`.
        row_length: tokens of a row of a stream; None takes it as one stream. Matrices say it themselves.
        documents: "files" makes each file one document where nothing ends documents in it.
        include: globs of files; none takes all.
        exclude: globs of files that are left out.
        split: the split that is read where files name several; 'all' reads them as one stream.
        subset_by: whether a document belongs to the subset named like its source, its first folder, or its file.
        on_progress: called with the number of tokens of each scanned piece.

    Raises:
        CorpusError: a file is truncated or no token file, it contradicts its header, index or the tokenizer, an id
            lies outside the vocabulary, or nothing tells where documents end.
    """
    path = existing_path(source, "token")
    listing = list_files(path, FileChoice(tuple(include), tuple(exclude), split))
    found = token_files(listing, split, dtype, vocabulary_count(tokenizer))
    subsets = _subsets(found, path, subset, subset_by)
    folder.mkdir(parents=True, exist_ok=True)
    if found.layout == "infini-gram":
        return write_id_documents(_infini_documents(found, path, subsets), tokenizer, folder)
    stream = TokenStream(folder, {"dtype": found.dtype.str, "shards": found.shards})
    scan = _scan(stream, tokenizer, found, path, end_of_text_id, row_length, documents)
    ledger = DocumentLedger(folder)
    for name, reason in found.left_out:
        ledger.skip(f"file left out: {reason}", f"{shown(name)} of {path}")
    _list_documents(ledger, scan.documents(on_progress), path, stream, subsets)
    return _published(folder, scan, ledger, tokenizer, stream, found)


def look_at_token_files(
    source: str,
    dtype: TokenWidth | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    split: Split | None = None,
    vocabulary_size: int | None = None,
) -> TokenFiles:
    """The token files of a source by their sizes, headers and indexes alone, and a sample where a width is checked.

    Raises:
        CorpusError: there is no token file, one is truncated, or it contradicts what is known of it.
    """
    listing: Listing = list_files(existing_path(source, "token"), FileChoice(tuple(include), tuple(exclude), split))
    return token_files(listing, split, dtype, vocabulary_size)


def _scan(
    stream: TokenStream,
    tokenizer: PreTrainedTokenizerFast,
    found: TokenFiles,
    path: Path,
    end_of_text_id: int | None,
    row_length: int | None,
    documents: DocumentsEnd,
) -> Scan:
    separator = tokenizer.eos_token_id if end_of_text_id is None else end_of_text_id
    size = vocabulary_count(tokenizer)
    if separator is not None and not 0 <= separator < size:
        raise CorpusError(f"The end-of-text id {separator} lies outside the tokenizer's vocabulary; pass another.")
    rows = found.row_length or row_length
    lengths = None if rows is not None else found.lengths
    if rows is None and lengths is None and documents == "files":
        lengths = np.array([entry["token_count"] for entry in found.shards], dtype=np.int64)
    if rows is None and lengths is None and separator is None:
        raise CorpusError(f"The tokenizer has no end-of-text token to split {path} at; pass end_of_text_id.")
    if rows is not None and (rows < 1 or stream.token_count % rows):
        raise CorpusError(
            f"{path} holds {stream.token_count} tokens, no multiple of rows of {rows}; it is truncated, or pass the "
            "row_length it was written with."
        )
    counts_empty = rows is None and lengths is None and found.layout != "llm.c"  # there the separator stands in front
    return Scan(stream, np.zeros(size, dtype=np.int64), separator, rows, lengths, counts_empty)


def _subsets(found: TokenFiles, path: Path, subset: str | None, subset_by: SubsetBy) -> list[str]:
    """Subset of the documents that begin in each shard."""
    if subset is not None or subset_by == "source":
        return [shown(subset or path.stem)] * len(found.shards)
    if subset_by == "folder":
        return [shown(name.split("/")[0] if "/" in name else path.stem) for name in found.names]
    return [shown(name.rpartition("/")[2].split(".")[0]) for name in found.names]


def _list_documents(
    ledger: DocumentLedger, documents: Iterable[FoundDocument], path: Path, stream: TokenStream, subsets: list[str]
) -> None:
    """Fills the ledger; empty documents are counted."""
    shard = 0
    try:
        for offset, length, sha256 in documents:
            while shard + 1 < len(stream.starts) and stream.starts[shard + 1] <= offset:
                shard += 1
            if length:
                ledger.add_hashed(f"{shown(path.name)}:{ledger.document_count}", subsets[shard], sha256, offset, length)
            else:
                ledger.skip("empty document", f"no token stands before the end of text at token {offset} of {path}")
        if not ledger.document_count:
            raise CorpusError(f"{path} holds no document; check dtype and end_of_text_id.")
    except BaseException:
        ledger.discard()
        raise


def _published(
    folder: Path,
    scan: Scan,
    ledger: DocumentLedger,
    tokenizer: PreTrainedTokenizerFast,
    stream: TokenStream,
    found: TokenFiles,
) -> TokenizedCorpus:
    separator_count = 0 if scan.separator is None else int(scan.counts[scan.separator])
    if not separator_count and scan.row_length is None and scan.lengths is None:
        ledger.discard()
        raise CorpusError(
            f"{Path(found.shards[0]['file']).parent} holds no end-of-text token (id {scan.separator}) among its "
            f"{stream.token_count} tokens, so nothing tells its documents apart; pass end_of_text_id, row_length, or "
            'documents = "files" where each file is one document.'
        )
    corpus = TokenizedCorpus(
        documents_file=folder / DOCUMENTS_FILE,
        token_count=stream.token_count,
        byte_count=int(scan.counts @ token_byte_counts(tokenizer)),
        document_count=ledger.document_count,
        skipped_document_count=ledger.skipped.total(),
        fingerprint=ledger.fingerprint,
        dtype=found.dtype.str,
        vocabulary_count=len(scan.counts),
        tokenizer_sha256=tokenizer_sha256(tokenizer),
        separator_count=separator_count,
        skipped=dict(ledger.skipped),
        first_skipped=ledger.first_skipped,
    )
    (folder / DESCRIPTION).unlink(missing_ok=True)
    ledger.publish()
    for stale in folder.glob("tokens-*.bin"):  # of a corpus that was tokenized here before
        stale.unlink()
    write_description(folder, {**vars(corpus), "documents_file": DOCUMENTS_FILE}, found.shards)
    return corpus


def _infini_documents(found: TokenFiles, path: Path, subsets: list[str]) -> Iterator[tuple[str, str, np.ndarray]]:
    """Name, subset and ids of the documents of infini-gram shards, of which each begins with the largest integer."""
    separator, number = np.iinfo(found.dtype).max, 0
    for entry, subset in zip(found.shards, subsets, strict=True):
        ids = np.memmap(entry["file"], dtype=found.dtype, mode="r")
        begins = np.flatnonzero(ids == separator)
        for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), len(ids)], strict=True):
            if end > begin + 1:
                yield f"{path.name}:{number}", subset, ids[begin + 1 : end].astype(np.int64)
                number += 1
