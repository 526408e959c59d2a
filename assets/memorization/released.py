"""Comparison with another run: what a checkpoint writes after prefixes whose continuation a release's model wrote."""

from __future__ import annotations

from typing import Any

import polars as pl

from assets.corpus.paragraphs import written_by_models
from assets.corpus.releases import RELEASED
from assets.framework import model_stage
from assets.framework.profile import Profile
from assets.framework.stage import Frames, Scope, Shards, no_rows, stage
from assets.memorization.stages import Scorer


def _settings(profile: Profile) -> dict[str, Any]:
    return model_stage.model_settings(profile) if profile.corpus.kind == RELEASED else {}


@stage(
    tables=("released_agreement",),
    reads=("checkpoints", "paragraphs"),
    settings=_settings,
    spreads=True,
    group="memorization",
    kinds={"pytorch", "parquet"},
)
def released_agreement(scope: Scope) -> Shards:
    """Never truth: a continuation that a model wrote is only compared with what this checkpoint writes instead. Empty
    where the corpus is no release of a model's own text."""
    rows = written_by_models(scope) if scope.profile.corpus.kind == RELEASED else pl.DataFrame()
    if rows.is_empty():
        return Shards(1, lambda _: {"released_agreement": no_rows("released_agreement")})
    scorer, size = Scorer(scope), scope.profile.probes.shard_size

    def _compute(shard: int) -> Frames:
        return {"released_agreement": _compared(scorer, model_stage.shard_of(rows, shard, size))}

    return Shards(model_stage.shard_count(rows.height, size), _compute)


def _compared(scorer: Scorer, rows: pl.DataFrame) -> pl.DataFrame:
    """Leading agreement by teacher forcing on the other run's text, and our own text where the two part."""
    from probes.scoring.generation import generate_continuations

    scored = scorer.score(rows).scores.paragraphs
    agreed, ids = scored["exact_match"], model_stage.token_matrix(rows)
    written = generate_continuations(scorer.model(), ids, agreed.to_list(), scorer.prefix)
    ours = model_stage.with_paragraph_ids(written.select("row", "generated_ids", "token_accuracy"), rows)
    frame = rows.select("paragraph_id").with_columns(
        agreed_count=agreed, is_same=scored["is_memorized"], nll_nats=scored["continuation_nll_nats"]
    )
    joined = frame.join(ours, on="paragraph_id", how="left", maintain_order="left")
    return joined.with_columns(pl.col("token_accuracy").fill_null(1.0))
