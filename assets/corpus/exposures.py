"""Stage of exposures: when training read each paragraph, where in which sequence, and how often."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from assets.corpus import evidence
from assets.corpus.paragraphs import ladder_packing
from assets.corpus.text import token_files_of, tokens_folder
from assets.framework import model_stage, progress
from assets.framework.profile import Profile, settings_named, settings_of
from assets.framework.stage import Frames, Scope, Shards, stage
from warehouse.registry import TABLES

_OWN = {"row_length", "unrelated_tokens", "batch_size", "background_count", "seed"}
_INDEXES: dict[str, tuple[str, ...]] = {
    "rows": (),
    "chunks": ("",),
    "neox": ("_doc_idx.npy", "_sample_idx.npy", "_shuffle_idx.npy"),
}


def _settings(profile: Profile) -> dict[str, Any]:
    if profile.training is not None:
        return {"profile": profile.name, "training": settings_named(profile.training, _OWN)}
    return {"order": settings_of(profile.training_order) if profile.training_order else None}


def _outside(scope: Scope) -> dict[str, Any]:
    """Content of the index files of a published order."""
    order = scope.profile.training_order
    if scope.profile.training is not None or order is None or order.index is None:
        return {}
    files = [Path(f"{Path(order.index).expanduser()}{ending}") for ending in _INDEXES[order.layout]]
    read = [evidence.ReadFile(file.name, file) for file in files]
    return {"index": evidence.content_of(scope.home, f"{scope.profile.corpus_id}.training_order", read)}


def _counts_are_the_ladders(scope: Scope, frames: Frames) -> list[str]:
    """Of a ladder that was trained here, whole exposures are as many as the ladder says."""
    if scope.profile.training is None:
        return []
    ladder = scope.read("duplication_ladder", ["paragraph_id", "complete_exposure_count"])
    whole = frames["exposures"].filter("is_whole").group_by("paragraph_id").len("found")
    joined = ladder.join(whole, on="paragraph_id", how="left").with_columns(pl.col("found").fill_null(0))
    wrong = joined.filter(pl.col("found") != pl.col("complete_exposure_count"))
    return [f"paragraph {name} was shown another number of times" for name in wrong["paragraph_id"]]


@stage(
    tables=("exposures",),
    reads=("corpora", "documents", "paragraphs", "duplication_ladder"),
    settings=_settings,
    outside=_outside,
    checks={"exposures.the_ladder_is_shown_as_often_as_it_says": _counts_are_the_ladders},
    group="corpus",
    kinds={"numpy", "parquet"},
)
def exposures(scope: Scope) -> Shards:
    """Training sequences, steps and offsets of every paragraph, from the suite's order or the ladder shown here."""
    return Shards(1, lambda _: {"exposures": _exposures(scope)})


def _exposures(scope: Scope) -> pl.DataFrame:
    profile = scope.profile
    if profile.training is not None:
        ladder = scope.read("duplication_ladder")
        found = shown_here(profile, ladder["copies_count"].to_numpy())
        return _as_rows(found, ladder, profile.corpus_id, f"{profile.name}-step-*")
    paragraphs = scope.read("paragraphs", ["paragraph_id", "token_ids"])
    if profile.training_order is None or paragraphs.is_empty():
        return _as_rows(_none(), paragraphs, profile.corpus_id, "")
    return _as_rows(_published(scope, paragraphs), paragraphs, profile.corpus_id, profile.training_order.checkpoints)


def _none() -> pl.DataFrame:
    from corpus_stats.training_order import EXPOSURE_SCHEMA

    return pl.DataFrame(schema=EXPOSURE_SCHEMA)


def _as_rows(found: pl.DataFrame, paragraphs: pl.DataFrame, corpus_id: str, checkpoints: str) -> pl.DataFrame:
    named = model_stage.with_paragraph_ids(found, paragraphs)
    named = named.with_columns(corpus_id=pl.lit(corpus_id), checkpoints=pl.lit(checkpoints))
    return named.select(TABLES["exposures"].arrow_schema.names)


def _published(scope: Scope, paragraphs: pl.DataFrame) -> pl.DataFrame:
    from corpus_stats.tokens.shards import TokenStream
    from corpus_stats.training_order import exposures, read_order

    settings, stream = scope.profile.training_order, TokenStream(tokens_folder(scope))
    assert settings is not None
    index = None if settings.index is None else Path(settings.index).expanduser()
    lengths = token_files_of(scope.profile.corpus).lengths if settings.layout == "neox" else None
    order = read_order(settings.layout, stream, settings.sequence_length, index, lengths)
    with progress.task("exposures", stream.token_count, "tokens") as task:
        return exposures(stream, order, model_stage.token_matrix(paragraphs), settings.batch_size, task.advance)


def shown_here(profile: Profile, copies: np.ndarray) -> pl.DataFrame:
    """Exposures of the ladder that the profile trains on: `corpus_stats.training_order.EXPOSURE_SCHEMA`.

    Args:
        profile: one with a section [training].
        copies: times each paragraph is shown, [paragraph].
    """
    from corpus_stats.paragraphs.packing import bare_row_order
    from corpus_stats.training_order import ChunkedOrder, exposures_of_places

    training, length = profile.training, profile.paragraphs.length
    assert training is not None
    layout = ladder_packing(profile, copies)
    if layout is None:  # a row is one paragraph, or one of the background behind them
        shown = bare_row_order(copies, training.background_count, training.seed)
        bounds = np.array([0, (len(copies) + training.background_count) * length])
        order, rows = ChunkedOrder(bounds, length, shown), np.arange(len(copies))
        places = rows * length
    else:
        rows, places = layout.paragraph, layout.starts
        end = max(layout.row_count * layout.row_length, int(places.max(initial=0)) + length)
        order = ChunkedOrder(np.array([0, end]), layout.row_length)
    found = exposures_of_places(rows, places, length, order, training.batch_size)
    return found.with_columns(token_offset=pl.lit(None, dtype=pl.Int64))  # not a place of the corpus
