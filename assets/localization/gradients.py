"""Gradient stages: which weights, and which activations at which token, the continuation loss depends on."""

from __future__ import annotations

from typing import Any

import polars as pl

from assets.figures import previews
from assets.framework import model_stage
from assets.framework.profile import Profile
from assets.framework.stage import Frames, Scope, Shards, no_rows, stage
from assets.localization import samples

_UPSTREAM = ("checkpoints", "paragraphs", "scores")


def _settings(profile: Profile) -> dict[str, Any]:
    return model_stage.model_settings(profile, "paragraphs_per_group", "seed")


def _finite(table: str, column: str) -> Any:
    def _check(_: Scope, frames: Frames) -> list[str]:
        bad = frames[table].filter(~pl.col(column).is_finite())
        return [f"{column} is not finite in {row}" for row in bad.head(20).iter_rows()]

    return _check


@stage(
    tables=("parameter_gradients",),
    takes_apart=True,
    reads=_UPSTREAM,
    settings=_settings,
    spreads=True,
    checks={"parameter_gradients.gradients_are_finite": _finite("parameter_gradients", "max_abs")},
    group="localization",
    kinds={"pytorch", "parquet"},
    plots={"parameter_gradients": previews.gradient_by_layer},
)
def parameter_gradients(scope: Scope) -> Shards:
    """Per paragraph, and of the mean loss of each group, per layer, component and head; of paragraphs recited in part
    the latter alone, as in the paper."""
    model, sample = model_stage.lazy_model(scope), samples.measured_sample(scope)
    groups = {name: sample.filter(pl.col("paragraph_group") == name) for name in samples.MEASURED_GROUPS}
    groups |= samples.middle_bins(scope)

    def _compute(shard: int) -> Frames:
        group, rows = list(groups.items())[shard]
        frame = _group_frame(scope, model(), rows, is_single=group in samples.MEASURED_GROUPS)
        return {"parameter_gradients": frame.with_columns(paragraph_group=pl.lit(group))}

    return Shards(len(groups), _compute, "groups")


def _group_frame(scope: Scope, model: Any, rows: pl.DataFrame, *, is_single: bool) -> pl.DataFrame:
    from probes.gradients.parameters import group_gradient
    from probes.gradients.parameters import parameter_gradients as measure

    if rows.is_empty():
        return no_rows("parameter_gradients")
    ids, prefix = model_stage.token_matrix(rows), scope.profile.paragraphs.prefix_length
    mean = group_gradient(model, ids, prefix).with_columns(paragraph_id=pl.lit(None, dtype=pl.String))
    if not is_single:
        return mean
    single = model_stage.with_paragraph_ids(measure(model, ids, prefix), rows)
    return pl.concat([single, mean.select(single.columns)])


@stage(
    tables=("gradient_cosines",),
    takes_apart=True,
    reads=_UPSTREAM,
    settings=_settings,
    group="localization",
    kinds={"pytorch", "parquet"},
)
def gradient_cosines(scope: Scope) -> Shards:
    """Memorized against other paragraphs, of weights and of activations, beside labels dealt at random."""

    def _compute(_: int) -> Frames:
        from probes.gradients.cosines import gradient_cosines as measure

        sample = samples.measured_sample(scope)
        first, second = (sample.filter(pl.col("paragraph_group") == name) for name in samples.MEASURED_GROUPS)
        if first.is_empty() or second.is_empty():
            return {"gradient_cosines": no_rows("gradient_cosines")}
        ids = model_stage.token_matrix(first), model_stage.token_matrix(second)
        prefix = scope.profile.paragraphs.prefix_length
        return {"gradient_cosines": measure(model_stage.load_scoped_model(scope), *ids, prefix)}

    return Shards(1, _compute, "checkpoints")


@stage(
    tables=("activation_gradients",),
    takes_apart=True,
    reads=_UPSTREAM,
    settings=_settings,
    spreads=True,
    checks={"activation_gradients.gradients_are_finite": _finite("activation_gradients", "score")},
    group="localization",
    kinds={"pytorch", "parquet"},
)
def activation_gradients(scope: Scope) -> Shards:
    """Queries, keys and values of every head at every prefix token; loss: mean continuation NLL."""
    model, sample = model_stage.lazy_model(scope), samples.measured_sample(scope)
    size, prefix = max(1, scope.profile.probes.shard_size // 8), scope.profile.paragraphs.prefix_length

    def _compute(shard: int) -> Frames:
        from probes.gradients.activations import activation_gradients as measure

        rows = model_stage.shard_of(sample, shard, size)
        frame = measure(model(), model_stage.token_matrix(rows), prefix, batch_size=scope.profile.probes.batch_size)
        return {"activation_gradients": model_stage.with_paragraph_ids(frame, rows)}

    return Shards(model_stage.shard_count(sample.height, size), _compute)
