"""Intervention stage: what every block's and every head's attention is worth to recital, and to everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from assets import models, plots
from assets.execute import Shards, materialize, stage_asset
from assets.profile import Profile
from assets.stage import Frames, Scope, Stage

if TYPE_CHECKING:
    import dagster as dg

    from assets.resources import Workspace


def _settings(profile: Profile) -> dict[str, Any]:
    return models.localization_settings(profile, "sweeps")


def _untouched_row_is_there(_: Scope, frames: Frames) -> list[str]:
    frame = frames["interventions"]
    groups = set(frame["paragraph_group"]) - set(frame.filter(pl.col("kind") == "none")["paragraph_group"])
    return [f"group {name} lacks the untouched model to compare with" for name in sorted(groups)]


INTERVENTIONS = Stage(
    ("interventions",),
    upstream=("checkpoints", "paragraphs", "scores"),
    settings=_settings,
    spreads=True,
    checks={"interventions.untouched_model_stands_beside": _untouched_row_is_there},
)


@stage_asset(INTERVENTIONS, group="localization", kinds={"pytorch", "parquet"})
def interventions(context: dg.AssetExecutionContext, workspace: Workspace) -> Any:
    """Identity short-circuit, uniform attention, zero and mean ablation of blocks, ranges, heads and MLPs, with the
    cost to held-out text: selectivity with an interval, and collapse never counted as success."""
    drawn = {"interventions": plots.short_circuit_by_layer}
    yield from materialize(context, INTERVENTIONS, workspace.scope(context), _sweep_shard, drawn)


def _sweep_shard(scope: Scope) -> Shards:
    return Shards(1, lambda _: {"interventions": _sweep(scope)}, "checkpoints")


def utility_text(scope: Scope) -> pl.DataFrame:
    """Held-out paragraphs: the ladder's, else those that are not memorized, as many as a group of the sample holds."""
    paragraphs = scope.read("paragraphs")
    held_out = paragraphs.filter(pl.col("duplication_count") == 0)
    if held_out.is_empty():
        memorized = scope.read("scores", ["paragraph_id", "is_memorized"]).filter("is_memorized")
        held_out = paragraphs.join(memorized, on="paragraph_id", how="anti", maintain_order="left")
    return held_out.head(scope.profile.localization.paragraphs)


def _sweep(scope: Scope) -> pl.DataFrame:
    from probes.interventions import measure_interventions, sweep

    groups, utility = models.localization_sample(scope), utility_text(scope)
    ids = {name: models.token_matrix(rows) for name, rows in groups.items() if name in models.MEASURED_GROUPS}
    if not ids or utility.is_empty():
        return models.no_rows("interventions")
    model, probes = models.load_scoped_model(scope), scope.profile.probes
    # Where nothing is memorized nothing can be forgotten: only the untouched model is measured.
    todo = sweep(model, scope.profile.localization.sweeps if "MP" in ids else ())
    return measure_interventions(
        model, ids, models.token_matrix(utility), todo, scope.profile.paragraphs.prefix_length,
        batch_size=probes.batch_size, seed=probes.seed, bootstrap_count=probes.bootstrap_draws,
    )  # fmt: skip
