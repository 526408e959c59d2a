"""Choice of a reader for a source: by kind when it is named, by content when it is not."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from corpus_stats.errors import CorpusError
from corpus_stats.readers.base import Reader, files_below
from corpus_stats.readers.huggingface import HuggingFaceReader, is_saved_data_set
from corpus_stats.readers.jsonl import JSONL_SUFFIXES, JsonlReader
from corpus_stats.readers.parquet import PARQUET_SUFFIXES, ParquetReader
from corpus_stats.readers.python_installation import PythonInstallationReader
from corpus_stats.readers.text_folder import TextFolderReader

PRETOKENIZED = "token-files"  # a kind without a reader: see corpus_stats.tokens.pretokenized
_TOKEN_SUFFIXES = (".bin", ".npy")
KINDS: dict[str, type[Reader]] = {
    reader.kind: reader
    for reader in (PythonInstallationReader, TextFolderReader, JsonlReader, ParquetReader, HuggingFaceReader)
}


def open_source(source: str, kind: str | None = None, **options: Any) -> Reader:
    """Opens a corpus source without reading it.

    Args:
        source: "python" for the Python installation, else a path.
        kind: one of `KINDS`; None looks at the source.
        **options: what the reader of that kind takes, `on_bad` among them.

    Raises:
        CorpusError: the kind is unknown, the source is missing, or the reader knows no such option.
    """
    chosen = kind or detect_kind(source)
    if chosen == PRETOKENIZED:
        raise CorpusError(f"{source} holds token ids, not text; register it with register_token_files instead.")
    if chosen not in KINDS:
        raise CorpusError(f"There is no reader {chosen!r} for {source}; choose one of {', '.join(KINDS)}.")
    reader = KINDS[chosen]
    known = [name for name in inspect.signature(reader.__init__).parameters if name not in ("self", "source")]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise CorpusError(f"The {chosen} reader has no option {unknown[0]!r}; it takes {', '.join(known)}.")
    return reader(source, **options)


def detect_kind(source: str) -> str:
    """Kind of a source, judged by its name and the names of the files in it: one of `KINDS`, or `PRETOKENIZED`.

    Raises:
        CorpusError: there is nothing at `source`.
    """
    if source == "python":
        return PythonInstallationReader.kind
    path = Path(source).expanduser()
    if not path.exists():
        raise CorpusError(
            f"The corpus source {source} does not exist; give a path, 'python', or a hub name with kind='huggingface'."
        )
    if path.is_dir() and is_saved_data_set(path):
        return HuggingFaceReader.kind
    names = [file.name for file in files_below(path)]
    for suffixes, reader in ((JSONL_SUFFIXES, JsonlReader), (PARQUET_SUFFIXES, ParquetReader)):
        if any(name.endswith(suffixes) for name in names):
            return reader.kind
    if any(name.endswith(_TOKEN_SUFFIXES) for name in names):
        return PRETOKENIZED
    return TextFolderReader.kind
