"""Releases of other projects: imported once into the record, usable as a corpus whose paragraphs can be measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from assets.framework.errors import RequestError
from assets.framework.stage import Scope
from warehouse.files import file_sha256
from warehouse.home import Home
from warehouse.record.parts import TableStore, partition_lock

RELEASED = "released"
"""Kind of a corpus that is an import."""


def write_import(
    home: Home,
    name: str,
    release: str,
    folder: Path,
    prefix_length: int | None = None,
    notes: list[str] | None = None,
    **options: Any,
) -> pl.DataFrame:
    """Reads a release and makes it the content of `released_paragraphs` for the corpus `name`.

    Args:
        home: the home.
        name: of the corpus.
        release: one of `corpus_stats.importers.RELEASES`.
        folder: where its files lie.
        prefix_length: tokens of the prefix where the files do not say.
        notes: gets a sentence for everything that is left out or missing.
        **options: of the release's importer.

    Raises:
        CorpusError: the release cannot be read; the record is as it was.
    """
    from corpus_stats.importers import import_release
    from corpus_stats.readers.files import list_files

    frame = import_release(release, folder, prefix_length, notes, **options)
    kinds = {Path(file).suffix for file in frame["source_file"]} | {".csv"}
    files = {name: file_sha256(path) for name, path in list_files(folder).files if path.suffix in kinds}
    inputs: dict[str, Any] = {"release": release, "files": files, "prefix_length": prefix_length}
    inputs |= {key: value for key, value in options.items() if value is not None}
    store = TableStore.of(home, "released_paragraphs")
    with partition_lock(store, name):
        writer = store.writer(name, inputs, 1)
        writer.write(0, frame, corpus_id=name)
        writer.finish()
    return frame


def read_released(scope: Scope) -> pl.DataFrame:
    """The imported rows of the scope's corpus.

    Raises:
        RequestError: nothing was imported under that name.
    """
    if released_content(scope) is None:
        raise RequestError(
            f"nothing was imported as {scope.profile.corpus_id!r} into {scope.home.root}; run `rarecall import` first."
        )
    return scope.read("released_paragraphs").sort("row")


def released_content(scope: Scope) -> str | None:
    """Content hash of the import; None while there is none."""
    return scope.content("released_paragraphs")


def released_windows(scope: Scope, documents: pl.DataFrame, separator: int | None) -> tuple[pl.DataFrame, np.ndarray]:
    """Released paragraphs of the profile's lengths as windows of the corpus.

    Args:
        scope: home and profile.
        documents: documents of the corpus, one per released row.
        separator: end-of-text id.

    Returns:
        document_id, token_offset (null where a model wrote the continuation), subset, continuation_origin,
        released_count; and the token ids, [paragraph, position].

    Raises:
        RequestError: no released paragraph has the profile's lengths.
    """
    from corpus_stats.importers.corpus_text import preceding_counts

    released, settings = read_released(scope), scope.profile.paragraphs
    lengths = (released["prefix_length"] == settings.prefix_length) & (
        released["continuation_length"] == settings.continuation_length
    )
    if not lengths.any():
        found = released.select("prefix_length", "continuation_length").unique().sort(pl.all()).rows()
        raise RequestError(
            f"no paragraph of {scope.profile.corpus_id} has {settings.prefix_length} + {settings.continuation_length} "
            f"tokens but {', '.join(f'{a} + {b}' for a, b in found)}; set prefix_length and continuation_length."
        )
    is_real = released["is_corpus_text"].fill_null(value=False)
    facts = pl.DataFrame(
        {
            "document_id": documents["document_id"],
            "token_offset": documents["token_offset"] + pl.Series(preceding_counts(released, separator)),
            "subset": documents["subset"],
            "continuation_origin": released["continuation_origin"],
            "released_count": released["occurrence_count"],
        }
    ).with_columns(pl.when(is_real).then(pl.col("document_id", "token_offset")))
    return facts.filter(lengths), np.array(released.filter(lengths)["token_ids"].to_list(), dtype=np.int64)
