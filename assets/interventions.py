"""Intervention stage: what every block's and every head's attention is worth to recital, and to everything else."""

from typing import Any

import dagster as dg
import polars as pl

from assets import models, plots
from assets.execute import Shards, materialize, stage_asset
from assets.profile import Profile
from assets.resources import Workspace
from assets.stage import Frames, Scope, Stage


def _settings(profile: Profile) -> dict[str, Any]:
    return models.model_settings(profile, "paragraphs_per_group", "bootstrap_draws", "seed")


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
    """Identity-attention short-circuit of each block and each head, on memorized and other paragraphs, with the cost to
    held-out text: selectivity with an interval, and collapse never counted as success."""
    drawn = {"interventions": plots.short_circuit_by_layer}
    yield from materialize(context, INTERVENTIONS, workspace.scope(context), _sweep_shard, drawn)


def _sweep_shard(scope: Scope) -> Shards:
    return Shards(1, lambda _: {"interventions": _sweep(scope)}, "checkpoints")


def utility_text(scope: Scope, sample: pl.DataFrame) -> pl.DataFrame:
    """Held-out paragraphs: the ladder's, else those that are not in the sample, at most as many as a group holds."""
    paragraphs = scope.read("paragraphs")
    held_out = paragraphs.filter(pl.col("duplication_count") == 0)
    rest = held_out if held_out.height else paragraphs.join(sample, on="paragraph_id", how="anti")
    return rest.head(scope.profile.probes.paragraphs_per_group)


def _sweep(scope: Scope) -> pl.DataFrame:
    from probes.interventions import block_sweep, head_sweep, measure_interventions

    sample, model = models.measured_sample(scope), models.load_scoped_model(scope)
    groups = {name: rows for (name,), rows in sample.group_by("paragraph_group", maintain_order=True)}
    utility = utility_text(scope, sample.filter(pl.col("paragraph_group") == "MP"))
    if not groups or utility.is_empty():
        return models.no_rows("interventions")
    return measure_interventions(
        model, {str(name): models.token_matrix(rows) for name, rows in groups.items()}, models.token_matrix(utility),
        [*block_sweep(model), *head_sweep(model)], scope.profile.paragraphs.prefix_length,
        batch_size=scope.profile.probes.batch_size, seed=scope.profile.probes.seed,
        bootstrap_count=scope.profile.probes.bootstrap_draws,
    )  # fmt: skip
