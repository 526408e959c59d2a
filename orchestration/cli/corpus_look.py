"""Looks at a source before any run, for `rarecall corpus inspect` and `corpus add`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assets.framework.profile import CorpusSettings
    from corpus_stats.readers.inspect import Inspection


def inspection_lines(settings: CorpusSettings, documents: int, every_name: bool = False) -> Iterator[str]:
    """The look at a source as lines of text; with `every_name` each file that is left out has its own."""
    from corpus_stats.readers import ID_LINES, PRETOKENIZED
    from corpus_stats.readers.files import shown
    from corpus_stats.readers.inspect import inspect_source

    counter = _counter(settings.tokenizer)
    found = inspect_source(settings.source, settings.kind, documents, counter, **settings.options)
    yield f"{settings.source}: {found.kind or 'cannot be read as it is'}"
    yield from _file_lines(found)
    if every_name:
        yield from (f"  left out: {shown(name)} ({reason})" for name, reason in found.left_out_files)
    if found.problem is None and found.kind == PRETOKENIZED:
        yield from _token_lines(settings)
    elif found.problem is None and found.kind == ID_LINES:
        yield f"token ids in JSON lines, the first row of {len(_first_row(settings).ids):,} tokens"
    elif found.problem is None:
        yield from _document_lines(found, settings.tokenizer if counter else None)
    if found.problem:
        yield f"A run would end with: {found.problem}"


def _file_lines(found: Inspection) -> Iterator[str]:
    from corpus_stats.readers.files import shown

    for kind, (count, size) in found.files.items():
        yield f"  {count:>8,} files   {_size(size):>9}   {kind}"
    if found.splits:
        yield "  splits by name: " + ", ".join(f"{name} {count:,}" for name, count in found.splits.items())
    for reason, (count, first) in found.left_out.items():
        yield f"  {count:>8,} left out: {reason}, such as {shown(first)}"


def _document_lines(found: Inspection, tokenizer: str | None) -> Iterator[str]:
    for document in found.documents:
        begins = " ".join(document.text[:60].split())
        yield f"  {_safe(document.name)}   [{_safe(document.subset)}]   {len(document.text):,} characters   {begins!r}"
    seen = "all of them" if found.is_whole else "the first"
    yield f"  {found.document_count:,} documents read ({seen})"
    for reason, (count, first) in found.skipped.items():
        yield f"  {count:>8,} would be skipped: {reason} ({_safe(first)})"
    by = f"by {tokenizer}" if tokenizer else "at four bytes a token; --tokenizer counts"
    about = "" if found.is_whole else "about "
    yield f"  {about}{_size(found.text_bytes)} of text, about {found.token_count:,} tokens ({by})"


def _token_lines(settings: CorpusSettings) -> Iterator[str]:
    from assets.corpus.text import token_files_of

    files = token_files_of(settings, _vocabulary(settings.tokenizer))
    yield f"  layout {files.layout}, {files.dtype.name}, {len(files.shards):,} files, {files.token_count:,} tokens"
    if files.lengths is not None:
        yield f"  {len(files.lengths):,} documents by the index"
    for reason, count in Counter(reason for _, reason in files.left_out).items():
        first = next(name for name, why in files.left_out if why == reason)
        yield f"  {count:>8,} left out: {reason}, such as {first}"


def first_look(settings: CorpusSettings) -> tuple[str, dict[str, Any], str]:
    """Kind, typed options and a sentence about a source, as `corpus add` registers it.

    Raises:
        CorpusError: the source cannot be read as it is, or an option is wrong.
        RequestError: the tokenizer of token ids is not named, or there is no document.
    """
    from assets.corpus.text import token_files_of, token_options
    from assets.framework.errors import RequestError
    from corpus_stats.readers import ID_LINES, PRETOKENIZED, detect_kind

    kind = settings.kind or detect_kind(settings.source, **settings.options)
    if kind not in (PRETOKENIZED, ID_LINES):
        return kind, *_first_document(settings, kind)
    if settings.tokenizer is None:
        raise RequestError(f"{settings.source} holds token ids; say with --tokenizer which one made them.")
    options = token_options(kind, settings.options)
    if kind == ID_LINES:
        row = _first_row(settings)
        return kind, options, f"{kind}, first row {row.name} of {len(row.ids):,} tokens"
    vocabulary = _vocabulary(settings.tokenizer)
    files = token_files_of(settings, vocabulary)
    guessed = vocabulary is None and files.layout == "raw" and "dtype" not in options
    documents = f" (if they are {files.dtype.name})" if guessed else ""
    documents += "" if files.lengths is None else f" in {len(files.lengths):,} documents by their index"
    layout = "" if files.layout == "raw" else f" ({files.layout}, {files.dtype.name})"
    return kind, options, f"token files with {files.token_count:,} tokens{documents}{layout}"


def _first_document(settings: CorpusSettings, kind: str) -> tuple[dict[str, Any], str]:
    from assets.framework.errors import RequestError
    from corpus_stats.readers.registry import KINDS, checked_options, open_source

    reader = open_source(settings.source, kind, on_bad=settings.on_bad, **settings.options)
    first = next(iter(reader), None)
    if first is None:
        raise RequestError(f"{settings.source} holds no document that can be read; check it, or pass --kind.")
    options = checked_options(f"The {kind} reader", KINDS[kind].__init__, settings.options, ("self", "source"))
    out = sum(count for reason, count in reader.skipped.items() if reason.startswith("file left out"))
    left = f"; {out:,} files are left out (`rarecall corpus inspect` lists why)" if out else ""
    return _pinned(settings, kind, options), (
        f"{kind}, first document {first.name} of {len(first.text):,} characters{left}"
    )


def _pinned(settings: CorpusSettings, kind: str, options: dict[str, Any]) -> dict[str, Any]:
    """Options with the commit of a data set of the hub, so that it stays the one that was looked at."""
    if kind != "huggingface" or Path(settings.source).expanduser().exists():
        return options
    from assets.corpus.evidence import data_set_commit

    commit = data_set_commit(settings.source, options.get("revision"))
    return options if commit is None else {**options, "revision": commit}


def _first_row(settings: CorpusSettings) -> Any:
    from assets.corpus.text import token_options
    from assets.framework.errors import RequestError
    from corpus_stats.readers import ID_LINES
    from corpus_stats.readers.id_lines import IdLinesReader

    reader = IdLinesReader(settings.source, settings.on_bad, **token_options(ID_LINES, settings.options))
    row = next(reader.rows(), None)
    if row is None:
        raise RequestError(f"{settings.source} holds no row of token ids that can be read; check it.")
    return row


def _vocabulary(tokenizer: str | None) -> int | None:
    """Ids of a tokenizer in a folder; None for a hub id, which is not fetched for a look."""
    from corpus_stats.tokens.tokenizer import load_tokenizer, vocabulary_count

    if tokenizer is None or not Path(tokenizer).expanduser().exists():
        return None
    return vocabulary_count(load_tokenizer(tokenizer))


def _counter(tokenizer: str | None) -> Callable[[list[str]], int] | None:
    """Counts the tokens of texts."""
    if tokenizer is None:
        return None
    from corpus_stats.tokens.tokenizer import encoder, load_tokenizer

    encode = encoder(load_tokenizer(tokenizer))
    return lambda texts: sum(len(e.ids) for e in encode.encode_batch_fast(texts, add_special_tokens=False))


def _safe(text: str) -> str:
    """A text of the corpus without what a terminal would obey."""
    return text.encode("unicode_escape").decode() if any(not sign.isprintable() for sign in text) else text


def _size(byte_count: int) -> str:
    size = float(byte_count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
