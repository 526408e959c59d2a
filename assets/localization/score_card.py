"""Score-card stage: does what a localization points at matter more than as many heads drawn at random?"""

from __future__ import annotations

from typing import Any

import polars as pl

from assets.framework import model_stage
from assets.framework.profile import Profile
from assets.framework.stage import Scope, Shards, no_rows, stage
from assets.localization import samples


def _settings(profile: Profile) -> dict[str, Any]:
    return model_stage.localization_settings(profile, "random_choices")


@stage(
    tables=("localization_score_card",),
    takes_apart=True,
    reads=(
        *("checkpoints", "paragraphs", "scores"),
        *("parameter_gradients", "patching", "interventions", "head_rarity"),
    ),
    settings=_settings,
    group="localization",
    kinds={"pytorch", "parquet"},
)
def localization_score_card(scope: Scope) -> Shards:
    """Top gradients, patching, short-circuits, rare-token attention and the best block, all of one size."""
    return Shards(1, lambda _: {"localization_score_card": _card(scope)}, "checkpoints")


def choices(scope: Scope, paragraph_ids: pl.Series) -> dict[str, list[Any]]:
    """Heads each localization points at, from measurements on these memorized paragraphs (attention: on all)."""
    from probes.interventions import head_choices

    count = scope.read("checkpoints", ["head_count"])["head_count"][0]
    its_own = pl.col("paragraph_id").is_in(paragraph_ids.implode())
    memorized = scope.read("interventions").filter(pl.col("paragraph_group") == "MP")
    found = {
        "gradient": head_choices.gradient_heads(scope.read("parameter_gradients").filter(its_own), count),
        "patching": head_choices.patching_heads(scope.read("patching").filter(its_own), count),
        "short_circuit": head_choices.short_circuit_heads(memorized, count),
        "rare_token_attention": head_choices.rare_token_heads(scope.read("head_rarity"), count),
        "block": head_choices.best_block(memorized, count),
    }
    return {name: heads for name, heads in found.items() if heads}


def _card(scope: Scope) -> pl.DataFrame:
    from probes.interventions.score_card import score_card

    groups, utility = samples.localization_sample(scope), samples.utility_text(scope)
    named = {"self": groups.get("MP"), "other": groups.get("other")}
    ids = {name: model_stage.token_matrix(rows) for name, rows in named.items() if rows is not None}
    if "MP" not in groups or utility.is_empty():
        return no_rows("localization_score_card")
    probes, prefix = scope.profile.probes, scope.profile.paragraphs.prefix_length
    return score_card(
        model_stage.load_scoped_model(scope), ids, model_stage.token_matrix(utility),
        choices(scope, groups["MP"]["paragraph_id"]), prefix_length=prefix, batch_size=probes.batch_size,
        random_count=scope.profile.localization.random_choices, seed=probes.seed,
        bootstrap_count=probes.bootstrap_draws,
    )  # fmt: skip
