"""Harness stage: utility by tasks of lm-evaluation-harness, where the profile names some (extra `harness`)."""

from __future__ import annotations

from typing import Any

import polars as pl

from assets.framework import model_stage
from assets.framework.profile import Profile
from assets.framework.stage import Frames, Scope, Shards, no_rows, stage


def _settings(profile: Profile) -> dict[str, Any]:
    chosen = profile.localization
    tasks = {"tasks": chosen.harness_tasks, "documents": chosen.harness_documents, "include": chosen.harness_include}
    return model_stage.model_settings(profile, "seed") | tasks if chosen.harness_tasks else {"tasks": []}


@stage(
    tables=("harness_utility",),
    reads=("checkpoints",),
    settings=_settings,
    group="localization",
    kinds={"pytorch", "parquet"},
)
def harness_utility(scope: Scope) -> Shards:
    """The untouched model, each block's attention short-circuited, and the last quartile's at once."""
    if not scope.profile.localization.harness_tasks:
        return Shards(1, lambda _: {"harness_utility": no_rows("harness_utility")}, "interventions")
    from probes.interventions.sweep import NOTHING, interventions_named

    model, tokenizer = model_stage.load_scoped_model(scope), _tokenizer(scope)
    todo = [NOTHING, *interventions_named(model, ("identity_blocks", "identity_range"))]

    def _compute(shard: int) -> Frames:
        return {"harness_utility": _scored(scope, model, tokenizer, todo[shard])}

    return Shards(len(todo), _compute, "interventions")


def _tokenizer(scope: Scope) -> Any:
    from assets.checkpoints.vocabulary import load_tokenizer_of

    row = scope.read("checkpoints", ["source", "revision"]).row(0, named=True)
    return load_tokenizer_of(row["source"], row["revision"])


def _scored(scope: Scope, model: Any, tokenizer: Any, intervention: Any) -> pl.DataFrame:
    from probes.interventions.harness import harness_utility as measure

    chosen = scope.profile.localization
    frame = measure(
        model, tokenizer, chosen.harness_tasks, intervention, batch_size=scope.profile.probes.batch_size,
        document_limit=chosen.harness_documents, include_path=chosen.harness_include, seed=scope.profile.probes.seed,
    )  # fmt: skip
    is_nothing = intervention.kind == "none"
    return frame.with_columns(
        kind=pl.lit(intervention.kind),
        layer=pl.lit(None if is_nothing else intervention.first_layer, pl.Int32),
        last_layer=pl.lit(None if is_nothing else max(intervention.layers), pl.Int32),
    )
