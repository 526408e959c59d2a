"""A look at a source before any run: files by kind, first documents, what would be skipped, tokens estimated."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpus_stats.documents import Document
from corpus_stats.errors import CorpusError
from corpus_stats.readers import contents
from corpus_stats.readers.base import FileReader, Reader
from corpus_stats.readers.compression import DamagedFileError, compression_of, decompressing
from corpus_stats.readers.files import LeftOut, Listing
from corpus_stats.readers.registry import ID_LINES, PRETOKENIZED, detect_kind, kind_of_listing, open_source, survey

BYTES_PER_TOKEN = 4.0
"""Of English text and code under common tokenizers, where none is given."""
_SAMPLE_BYTES = 1 << 22


@dataclass
class Inspection:
    """What a look found.

    Attributes:
        kind: kind of the source; None where it is mixed or there is nothing to read.
        problem: the sentence that a run would end with; None where it would not.
        files: by kind of content, the number of files and their bytes.
        splits: files of each split that names tell of.
        left_out: files that are not read: number, and the first of them, by reason.
        left_out_files: every one of them with its reason.
        documents: the first documents.
        document_count: documents that were read for this look.
        is_whole: whether these are all.
        skipped: documents that would be skipped among them: number and first example, by reason.
        text_bytes: bytes of text; an estimate unless `is_whole`.
        token_count: tokens; an estimate.
    """

    kind: str | None = None
    problem: str | None = None
    files: dict[str, tuple[int, int]] = field(default_factory=dict)
    splits: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, tuple[int, str]] = field(default_factory=dict)
    left_out_files: list[LeftOut] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    document_count: int = 0
    is_whole: bool = False
    skipped: dict[str, tuple[int, str]] = field(default_factory=dict)
    text_bytes: int = 0
    token_count: int = 0


def inspect_source(
    source: str,
    kind: str | None = None,
    documents: int = 1000,
    count_tokens: Callable[[list[str]], int] | None = None,
    **options: Any,
) -> Inspection:
    """Looks at a source of text without making anything of it.

    Args:
        source: "python" or a path.
        kind: one of the kinds of text; None looks at the files.
        documents: documents that are read, counting those that would be skipped.
        count_tokens: tokens of some texts; None takes four bytes for one.
        **options: of the reader.
    """
    found, path = Inspection(), Path(source).expanduser()
    listing, kinds = Listing(path), dict[str, str]()
    if path.exists():
        listing, kinds = survey(path, **options)
        _describe_files(found, listing, kinds)
    try:
        found.kind = kind or (kind_of_listing(listing, kinds) if kinds else detect_kind(source, **options))
        if found.kind not in (PRETOKENIZED, ID_LINES):
            reader = open_source(source, found.kind, **{**options, "on_bad": "skip"})
            _read(found, reader, documents, count_tokens)
    except CorpusError as error:
        found.problem = str(error)
    return found


def _describe_files(found: Inspection, listing: Listing, kinds: dict[str, str]) -> None:
    sizes: dict[str, list[int]] = defaultdict(list)
    for name, path in listing.files:
        sizes[kinds[name]].append(path.stat().st_size)
    found.files = {kind: (len(sizes[kind]), sum(sizes[kind])) for kind in sorted(sizes)}
    found.splits = listing.splits()
    _leave_out(found, listing)


def _leave_out(found: Inspection, listing: Listing) -> None:
    counts = Counter(reason for _, reason in listing.left_out)
    first = {reason: name for name, reason in reversed(listing.left_out)}
    found.left_out = {reason: (count, first[reason]) for reason, count in counts.most_common()}
    found.left_out_files = listing.left_out


def _read(found: Inspection, reader: Reader, limit: int, count_tokens: Callable[[list[str]], int] | None) -> None:
    """Reads documents until so many were seen; what is skipped counts, so that a broken source ends as well."""
    texts: list[str] = []
    read_bytes, iterator = 0, iter(reader)
    for document in itertools.takewhile(lambda _: reader.skipped.total() <= 10 * limit, iterator):
        found.document_count += 1
        read_bytes += len(document.text.encode())
        if len(found.documents) < 5:
            found.documents.append(document)
        if sum(len(text) for text in texts) < _SAMPLE_BYTES // 4:
            texts.append(document.text)
        if found.document_count == limit:
            break
    found.is_whole = found.document_count < limit and next(iterator, None) is None
    skipped = {reason: count for reason, count in reader.skipped.items() if not reason.startswith("file left out")}
    found.skipped = {reason: (count, reader.first_skipped[reason]) for reason, count in skipped.items()}
    if isinstance(reader, FileReader):
        _leave_out(found, reader.chosen())
    found.text_bytes = read_bytes if found.is_whole else max(read_bytes, estimated_text_bytes(reader))
    found.token_count = round(found.text_bytes / bytes_per_token(texts, count_tokens))


def bytes_per_token(texts: list[str], count_tokens: Callable[[list[str]], int] | None) -> float:
    """Bytes of text behind a token of a sample, or what is usual."""
    counted = count_tokens(texts) if count_tokens is not None and texts else 0
    return sum(len(text.encode()) for text in texts) / counted if counted else BYTES_PER_TOKEN


def estimated_text_bytes(reader: Reader) -> int:
    """Bytes of text in the files of a reader: of Parquet its largest column, else sizes times the expansion of their
    beginnings."""
    return sum(_text_bytes(file.path) for file in reader.listing().files)


def _text_bytes(path: Path) -> int:
    size = path.stat().st_size
    try:
        if contents.kind_of_file(path) == contents.PARQUET:
            return _parquet_bytes(path)
        with path.open("rb") as raw:
            compression = compression_of(raw.read(6))
            raw.seek(0)
            if compression is None:
                return size
            held = len(decompressing(raw, compression).read(_SAMPLE_BYTES))
            return round(size * held / max(raw.tell(), 1))
    except (OSError, EOFError, DamagedFileError):
        return size


def _parquet_bytes(path: Path) -> int:
    import pyarrow.parquet as pq

    facts, sizes = pq.read_metadata(path), Counter[str]()
    for index in range(facts.num_row_groups):
        group = facts.row_group(index)
        for number in range(group.num_columns):
            sizes[group.column(number).path_in_schema] += group.column(number).total_uncompressed_size
    return max(sizes.values(), default=0)
