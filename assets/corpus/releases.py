"""Releases of other projects: imported once into the record, usable as a corpus whose paragraphs can be measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from assets.framework.errors import RequestError
from assets.framework.profile import releases_for
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

    frame = import_release(release, folder, prefix_length, notes, **options)
    inputs: dict[str, Any] = {"release": release, "files": _hashes(frame, folder), "prefix_length": prefix_length}
    inputs |= {key: value for key, value in options.items() if value is not None}
    return _written(home, name, frame, inputs)


def write_imports(home: Home, name: str, folders: dict[str, Path]) -> pl.DataFrame:
    """The same for several releases that together are one corpus: their rows after each other.

    Raises:
        CorpusError: a release cannot be read; the record is as it was.
    """
    from corpus_stats.importers import import_release

    frames = {release: import_release(release, folder) for release, folder in folders.items()}
    rows = pl.concat(frames.values()).drop("row").with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    return _written(home, name, rows, imports_inputs({r: _hashes(f, folders[r]) for r, f in frames.items()}))


def imports_inputs(files: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Inputs of an import of several releases: file hashes by name, by release."""
    return {"releases": files}


def _hashes(frame: pl.DataFrame, folder: Path) -> dict[str, str]:
    from corpus_stats.readers.files import list_files

    kinds = {Path(file).suffix for file in frame["source_file"]} | {".csv"}
    return {name: file_sha256(path) for name, path in list_files(folder).files if path.suffix in kinds}


def _written(home: Home, name: str, frame: pl.DataFrame, inputs: dict[str, Any]) -> pl.DataFrame:
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
        if scope.profile.releases:
            raise RequestError(
                f"the releases of corpus {scope.profile.corpus_id} are not in {scope.home.root} yet; `rarecall run` "
                "with the profile fetches them, or takes them from a folder with --data."
            )
        raise RequestError(
            f"nothing was imported as {scope.profile.corpus_id!r} into {scope.home.root}; run `rarecall import` first."
        )
    return scope.read("released_paragraphs").sort("row")


def counted_text(scope: Scope) -> pl.DataFrame:
    """The imported rows whose text is the corpus' text: all of one release, of several those that are counted."""
    rows, profile = read_released(scope), scope.profile
    if not profile.releases:
        return rows
    return rows.filter(pl.col("release").is_in(releases_for(profile, "counted"))).with_columns(split=pl.col("release"))


def released_content(scope: Scope) -> str | None:
    """Content hash of the import; None while there is none."""
    return scope.content("released_paragraphs")


def released_windows(scope: Scope, documents: pl.DataFrame, separator: int | None) -> tuple[pl.DataFrame, np.ndarray]:
    """Released paragraphs as windows of the corpus, cut to the profile's lengths around the end of their prefix.

    Args:
        scope: home and profile.
        documents: documents of the corpus, one per row of `counted_text`.
        separator: end-of-text id.

    Returns:
        document_id, token_offset (null where a model wrote the continuation or its release is not counted), subset,
        continuation_origin ("corpus" also where a model wrote what the corpus holds and the text has no place in what
        is counted), released_count; and the token ids, [paragraph, position].

    Raises:
        RequestError: no released paragraph is long enough.
    """
    released, settings = read_released(scope), scope.profile.paragraphs
    is_long = (released["prefix_length"] >= settings.prefix_length) & (
        released["continuation_length"] >= settings.continuation_length
    )
    if not is_long.any():
        found = released.select("prefix_length", "continuation_length").unique().sort(pl.all()).rows()
        raise RequestError(
            f"no paragraph of {scope.profile.corpus_id} has {settings.prefix_length} + {settings.continuation_length} "
            f"tokens but {', '.join(f'{a} + {b}' for a, b in found)}; set prefix_length and continuation_length."
        )
    cut = released["prefix_length"] - settings.prefix_length
    facts = _places(scope, documents, separator).with_columns(pl.col("token_offset") + cut).filter(is_long)
    windows = (
        released.with_columns(cut=cut).filter(is_long).select(pl.col("token_ids").list.slice("cut", settings.length))
    )
    return facts, np.array(windows["token_ids"].to_list(), dtype=np.int64)


def _places(scope: Scope, documents: pl.DataFrame, separator: int | None) -> pl.DataFrame:
    """Facts of every released row, in order."""
    from corpus_stats.importers.corpus_text import preceding_counts

    counted = counted_text(scope)
    places = pl.DataFrame(
        {
            "row": counted["row"],
            "document_id": documents["document_id"],
            "token_offset": documents["token_offset"] + pl.Series(preceding_counts(counted, separator)),
            "document_subset": documents["subset"],
        }
    )
    rows = read_released(scope).join(places, on="row", how="left", maintain_order="left")
    is_real, has_place = pl.col("is_corpus_text").fill_null(value=False), pl.col("document_id").is_not_null()
    return rows.select(
        pl.when(is_real).then(pl.col("document_id", "token_offset")),
        subset=pl.col("document_subset").fill_null(pl.col("release")),
        continuation_origin=pl.when(is_real & ~has_place).then(pl.lit("corpus")).otherwise("continuation_origin"),
        released_count="occurrence_count",
    )
