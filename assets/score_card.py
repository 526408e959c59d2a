"""Score-card stage: does what a localization points at matter more than as many heads drawn at random?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from assets import models
from assets.execute import Shards, materialize, stage_asset
from assets.interventions import utility_text
from assets.profile import Profile
from assets.stage import Scope, Stage

if TYPE_CHECKING:
    import dagster as dg

    from assets.resources import Workspace


def _settings(profile: Profile) -> dict[str, Any]:
    return models.localization_settings(profile, "random_choices")


SCORE_CARD = Stage(
    ("localization_score_card",),
    upstream=(
        *("checkpoints", "paragraphs", "scores"),
        *("parameter_gradients", "patching", "interventions", "head_rarity"),
    ),
    settings=_settings,
)


@stage_asset(SCORE_CARD, group="localization", kinds={"pytorch", "parquet"})
def localization_score_card(context: dg.AssetExecutionContext, workspace: Workspace) -> Any:
    """Top gradients, patching, short-circuits, rare-token attention and the best block, all of one size."""
    yield from materialize(context, SCORE_CARD, workspace.scope(context), _card_shard)


def _card_shard(scope: Scope) -> Shards:
    return Shards(1, lambda _: {"localization_score_card": _card(scope)}, "checkpoints")


def choices(scope: Scope, paragraph_ids: pl.Series) -> dict[str, list[Any]]:
    """Heads each localization points at, from measurements on these memorized paragraphs (attention: on all)."""
    from probes import localizations

    count = scope.read("checkpoints", ["head_count"])["head_count"][0]
    its_own = pl.col("paragraph_id").is_in(paragraph_ids.implode())
    memorized = scope.read("interventions").filter(pl.col("paragraph_group") == "MP")
    found = {
        "gradient": localizations.gradient_heads(scope.read("parameter_gradients").filter(its_own), count),
        "patching": localizations.patching_heads(scope.read("patching").filter(its_own), count),
        "short_circuit": localizations.short_circuit_heads(memorized, count),
        "rare_token_attention": localizations.rare_token_heads(scope.read("head_rarity"), count),
        "block": localizations.best_block(memorized, count),
    }
    return {name: heads for name, heads in found.items() if heads}


def _card(scope: Scope) -> pl.DataFrame:
    from probes.interventions_scorecard import score_card

    groups, utility = models.localization_sample(scope), utility_text(scope)
    named = {"self": groups.get("MP"), "other": groups.get("other")}
    ids = {name: models.token_matrix(rows) for name, rows in named.items() if rows is not None}
    if "MP" not in groups or utility.is_empty():
        return models.no_rows("localization_score_card")
    probes, prefix = scope.profile.probes, scope.profile.paragraphs.prefix_length
    return score_card(
        models.load_scoped_model(scope), ids, models.token_matrix(utility),
        choices(scope, groups["MP"]["paragraph_id"]), prefix_length=prefix, batch_size=probes.batch_size,
        random_count=scope.profile.localization.random_choices, seed=probes.seed,
        bootstrap_count=probes.bootstrap_draws,
    )  # fmt: skip
