"""Patching stage: which head, fed what it held in the other run, carries the recital to the impact token."""

from __future__ import annotations

from typing import Any

import polars as pl

from assets.framework import model_stage
from assets.framework.profile import Profile
from assets.framework.stage import Frames, Scope, Shards, no_rows, stage
from assets.localization import samples

PAIRS_PER_SHARD = 16


def _settings(profile: Profile) -> dict[str, Any]:
    return model_stage.localization_settings(profile, "components")


def _both_ways(_: Scope, frames: Frames) -> list[str]:
    key = ("paragraph_id", "layer", "component", "head")
    single = frames["patching"].group_by(key).len().filter(pl.col("len") != 2)
    return [f"paragraph {row[0]} layer {row[1]} {row[2]} head {row[3]} lacks a direction" for row in single.iter_rows()]


@stage(
    tables=("patching", "impact_gradients"),
    takes_apart=True,
    reads=("checkpoints", "paragraphs", "scores", "minimal_perturbations"),
    settings=_settings,
    spreads=True,
    checks={"patching.both_directions_are_there": _both_ways},
    group="localization",
    kinds={"pytorch", "parquet"},
)
def patching(scope: Scope) -> Shards:
    """Memorized paragraphs, each with its own minimal perturbation: one head and component at a time, both ways; and
    what the impact token depends on at every prefix token."""
    pairs, model = matched_pairs(scope), model_stage.lazy_model(scope)

    def _compute(shard: int) -> Frames:
        rows = model_stage.shard_of(pairs, shard, PAIRS_PER_SHARD)
        if rows.is_empty():
            return {name: no_rows(name) for name in patching.tables}
        return {"patching": _patched(scope, model(), rows), "impact_gradients": _gradients(scope, model(), rows)}

    return Shards(model_stage.shard_count(pairs.height, PAIRS_PER_SHARD), _compute)


def matched_pairs(scope: Scope) -> pl.DataFrame:
    """Memorized paragraphs of the localization sample whose one changed token changed what the model writes.

    Returns:
        Columns of paragraphs, position, impact_position and perturbed_ids (changed prefix and what followed it).
    """
    memorized = samples.localization_sample(scope).get("MP")
    if memorized is None:
        return pl.DataFrame()
    names = ("paragraph_id", "position", "prefix_ids", "generated_ids", "impact_position", "replacement_id")
    joined = memorized.join(scope.read("minimal_perturbations", [*names]), on="paragraph_id", maintain_order="left")
    perturbed = pl.concat_list("prefix_ids", "generated_ids").alias("perturbed_ids")
    return joined.drop_nulls(["impact_position", "replacement_id"]).with_columns(perturbed)


def _patched(scope: Scope, model: Any, pairs: pl.DataFrame) -> pl.DataFrame:
    from probes.interventions.patching import activation_patching

    perturbed = model_stage.token_matrix(pairs, "perturbed_ids")
    positions, impacts = (pairs[name].to_list() for name in ("position", "impact_position"))
    frame = activation_patching(
        model, model_stage.token_matrix(pairs), perturbed, positions, impacts, scope.profile.localization.components,
        batch_size=scope.profile.probes.batch_size,
    )  # fmt: skip
    return model_stage.with_paragraph_ids(frame, pairs)


def _gradients(scope: Scope, model: Any, pairs: pl.DataFrame) -> pl.DataFrame:
    """Activation gradients of both losses, of everything that is written at the prefix."""
    from probes.gradients.activations import activation_gradients

    ids, prefix = model_stage.token_matrix(pairs), scope.profile.paragraphs.prefix_length
    losses: dict[str, Any] = {"impact": pairs["impact_position"].to_list(), "continuation": "continuation"}
    frames = [
        activation_gradients(
            model, ids, prefix, scope.profile.probes.batch_size, loss, ("q", "k", "v", "attention_out", "mlp_out")
        ).with_columns(loss=pl.lit(name))
        for name, loss in losses.items()
    ]
    return model_stage.with_paragraph_ids(pl.concat(frames), pairs)
