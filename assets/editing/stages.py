"""Editing stages: unlearn and edit memorized paragraphs with few weights, and a score card that can fail."""

from __future__ import annotations

from typing import Any

import polars as pl

from assets.corpus.paragraphs import true_paragraphs
from assets.editing.roles import (
    Cast,
    cast_of,
    passages,
    program_of,
    reason_to_skip,
    settings_of_edits,
    subject_of,
    subjects_of,
)
from assets.figures import previews
from assets.framework import model_stage
from assets.framework.profile import Profile, settings_of
from assets.framework.stage import Frames, Scope, Shards, no_rows, stage

_RUN_TABLES = ("edits", "edit_scores", "edit_robustness")


def _settings(profile: Profile) -> dict[str, Any]:
    section = settings_of(profile.edits) if profile.edits else None
    return model_stage.model_settings(profile, "paragraphs_per_group", "seed") | {"edits": section}


def _starts_unedited(_: Scope, frames: Frames) -> list[str]:
    moved = frames["edits"].filter((pl.col("step") == 0) & (pl.col("exact_match") != pl.col("exact_match_before")))
    return [f"run {row} does not start from the unedited model" for row in moved.select("selection", "target").rows()]


def _targets_are_memorized(scope: Scope, frames: Frames) -> list[str]:
    longest = scope.profile.paragraphs.continuation_length
    short = frames["edit_scores"].filter(
        (pl.col("evaluation_set") == "targets") & (pl.col("exact_match_before") < longest)
    )
    return [f"target {name} is not recited by the unedited model" for name in short["paragraph_id"].unique()]


@stage(
    tables=("edits", "edit_scores", "edit_robustness", "edit_noise", "edit_plans"),
    takes_apart=True,
    reads=("checkpoints", "paragraphs", "scores", "generations", "minimal_perturbations"),
    settings=_settings,
    outside=lambda scope: {"skipped": reason_to_skip(scope)},
    checks={
        "edits.every_run_starts_from_the_unedited_model": _starts_unedited,
        "edit_scores.targets_are_memorized": _targets_are_memorized,
    },
    group="localization",
    kinds={"pytorch", "parquet"},
    plots={"edits": previews.edits_by_selection},
)
def edits(scope: Scope) -> Shards:
    """Each run starts from the unedited weights and moves only the selected ones; random and all-weights baselines run
    beside. A shard is one target or fold with all objectives and selections, so a killed run resumes."""
    reason = reason_to_skip(scope)
    if reason is None and not scope.read("scores", ["is_memorized"])["is_memorized"].any():
        reason = "no paragraph is memorized"
    if reason is not None:
        return Shards(1, lambda _: {**_nothing(), "edit_plans": _plan(scope, None, reason)})
    cast = cast_of(scope)
    subjects, model = subjects_of(scope, cast), load_for_editing(scope)

    def _compute(shard: int) -> Frames:
        if shard == 0:
            return {**_nothing(), **_baselines(scope, model, cast), "edit_plans": _plan(scope, cast, None)}
        protocol, label, rows = subjects[shard - 1]
        measured = _measure(scope, model, cast, subject_of(scope, cast, protocol, label, rows))
        return _nothing() | measured

    return Shards(1 + len(subjects), _compute, "edited sets")


def load_for_editing(scope: Scope) -> Any:
    """The scope's checkpoint in float32, whatever it is measured in: updates of 1e-5 vanish in half precision."""
    return model_stage.load_scoped_model(scope, is_lent=False, dtype="float32")


def _nothing() -> Frames:
    return {name: no_rows(name) for name in edits.tables}


def _plan(scope: Scope, cast: Cast | None, reason: str | None) -> pl.DataFrame:
    settings = settings_of_edits(scope)
    row = {
        "target_count": cast.targets.height if cast else 0,
        "pair_count": len(cast.pairs) if cast else 0,
        "control_count": cast.controls.height if cast else 0,
        "step_count": settings.steps,
        "learning_rate": settings.learning_rate,
        "nll_weight": settings.nll_weight,
        "kl_weight": settings.kl_weight,
        "reason": reason,
    }
    return pl.DataFrame([row], schema_overrides={"reason": pl.String})


def _measure(scope: Scope, model: Any, cast: Cast, subject: Any) -> Frames:
    from probes.editing.runs_of_target import measure_subject

    frames = measure_subject(model, subject, passages(cast.controls).token_ids, program_of(scope))
    return with_clusters(scope, frames)


def with_clusters(scope: Scope, frames: Frames) -> Frames:
    """Give the score rows paragraph ids and clusters."""
    clusters = scope.read("paragraphs", ["paragraph_id", "near_duplicate_cluster"])
    scores = frames["edit_scores"].rename({"paragraph": "paragraph_id"})
    joined = scores.join(clusters, on="paragraph_id", how="left", maintain_order="left")
    return {**{name: frames[name] for name in _RUN_TABLES}, "edit_scores": joined}


def _baselines(scope: Scope, model: Any, cast: Cast) -> Frames:
    """What belongs to no run: relearning of what was never memorized, and the noise ladder."""
    from probes.editing.noise import noise_ladder
    from probes.editing.runs_of_target import relearning_of

    settings = settings_of_edits(scope)
    groups = {"MP": cast.targets, "NMP": cast.watched["controls"]}
    read = {n: (passages(f).token_ids, f["near_duplicate_cluster"].to_numpy()) for n, f in groups.items() if f.height}
    ladder = noise_ladder(
        model, read,
        strengths=settings.noise_strengths, regions=settings.noise_regions, share=settings.noise_share,
        prefix_length=scope.profile.paragraphs.prefix_length, seed=scope.profile.probes.seed,
    )  # fmt: skip
    never = true_paragraphs(scope).join(cast.watched["controls"].select("paragraph_id"), on="paragraph_id", how="semi")
    relearned = relearning_of(model, passages(never.head(settings.targets)), program_of(scope))
    return {"edit_noise": ladder, "edit_robustness": relearned}


@stage(
    tables=("edit_summaries",),
    reads=("edit_scores", "edit_robustness"),
    group="localization",
    kinds={"scipy", "parquet"},
)
def edit_summaries(scope: Scope) -> Shards:
    """Every selection beside random weights and all weights, with intervals over clusters."""

    def _compute(_: int) -> Frames:
        from probes.editing.summaries import summarise

        return {
            "edit_summaries": summarise(
                scope.read("edit_scores"), scope.read("edit_robustness"), scope.profile.paragraphs.continuation_length
            )
        }

    return Shards(1, _compute, "checkpoints")
