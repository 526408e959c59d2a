"""Intervention stage: what every block's and every head's attention is worth to recital, and to everything else."""

from __future__ import annotations

from typing import Any

import polars as pl

from assets.figures import previews
from assets.framework import model_stage
from assets.framework.profile import Profile
from assets.framework.stage import Frames, Scope, Shards, no_rows, stage
from assets.localization import samples


def _settings(profile: Profile) -> dict[str, Any]:
    return model_stage.localization_settings(profile, "sweeps", "random_choices")


def _untouched_row_is_there(_: Scope, frames: Frames) -> list[str]:
    frame = frames["interventions"]
    groups = set(frame["paragraph_group"]) - set(frame.filter(pl.col("kind") == "none")["paragraph_group"])
    return [f"group {name} lacks the untouched model to compare with" for name in sorted(groups)]


@stage(
    tables=("interventions",),
    takes_apart=True,
    reads=("checkpoints", "paragraphs", "scores"),
    settings=_settings,
    spreads=True,
    checks={"interventions.untouched_model_stands_beside": _untouched_row_is_there},
    group="localization",
    kinds={"pytorch", "parquet"},
    plots={"interventions": previews.short_circuit_by_layer},
)
def interventions(scope: Scope) -> Shards:
    """Identity short-circuit, uniform attention, zero and mean ablation of blocks, ranges, heads and MLPs, with the
    cost to held-out text: selectivity by one measure on both sides, beside random heads and noise of equal cost."""
    return Shards(1, lambda _: {"interventions": _sweep(scope)}, "checkpoints")


def _sweep(scope: Scope) -> pl.DataFrame:
    from probes.interventions.sweep import interventions_named, measure_interventions

    groups, utility = samples.localization_sample(scope), samples.utility_text(scope)
    ids = {name: model_stage.token_matrix(rows) for name, rows in groups.items() if name in samples.MEASURED_GROUPS}
    if not ids or utility.is_empty():
        return no_rows("interventions")
    model, probes = model_stage.load_scoped_model(scope), scope.profile.probes
    # Where nothing is memorized nothing can be forgotten: only the untouched model is measured.
    todo = interventions_named(model, scope.profile.localization.sweeps if "MP" in ids else ())
    return measure_interventions(
        model, ids, model_stage.token_matrix(utility), todo, scope.profile.paragraphs.prefix_length,
        batch_size=probes.batch_size, seed=probes.seed, bootstrap_count=probes.bootstrap_draws,
        random_count=scope.profile.localization.random_choices,
    )  # fmt: skip
