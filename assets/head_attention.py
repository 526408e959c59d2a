"""Attention stages: where every head looks, and whether it looks at rare tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from assets import models, plots
from assets.execute import Shards, materialize, stage_asset
from assets.profile import Profile
from assets.stage import Frames, Scope, Stage

if TYPE_CHECKING:
    import dagster as dg

    from assets.resources import Workspace

GROUPS = {"all": None, "MP": "MP", "NMP": "NMP"}


def _shares_are_shares(_: Scope, frames: Frames) -> list[str]:
    frame = frames["head_attention"]
    total = frame["attention"].list.sum() + frame["self_share"]
    bad = frame.filter((total - 1).abs() > 1e-3)
    return [f"attention of head {row[2]}.{row[3]} in paragraph {row[1]} does not sum to 1" for row in bad.iter_rows()]


HEAD_ATTENTION = Stage(
    ("head_attention",),
    upstream=("checkpoints", "paragraphs"),
    settings=models.model_settings,
    spreads=True,
    checks={"head_attention.attention_sums_to_one": _shares_are_shares},
)


@stage_asset(HEAD_ATTENTION, group="localization", kinds={"pytorch", "parquet"})
def head_attention(context: dg.AssetExecutionContext, workspace: Workspace) -> Any:
    """Row of the query at the first continuation position, every layer and head."""
    yield from materialize(context, HEAD_ATTENTION, workspace.scope(context), _attention_shards)


def _attention_shards(scope: Scope) -> Shards:
    from probes.attention import prefix_attention

    model, paragraphs = models.lazy_model(scope), scope.read("paragraphs")
    size, prefix = scope.profile.probes.shard_size, scope.profile.paragraphs.prefix_length

    def _compute(shard: int) -> Frames:
        rows = models.shard_of(paragraphs, shard, size)
        frame = prefix_attention(model(), models.token_matrix(rows), prefix, batch_size=scope.profile.probes.batch_size)
        return {"head_attention": models.with_paragraph_ids(frame, rows)}

    return Shards(models.shard_count(paragraphs.height, size), _compute)


def _rarity_settings(profile: Profile) -> dict[str, Any]:
    return models.model_settings(profile, "bootstrap_draws", "permutations", "seed")


HEAD_RARITY = Stage(
    ("head_rarity",),
    upstream=("checkpoints", "paragraphs", "scores", "head_attention", "unigrams"),
    settings=_rarity_settings,
)


@stage_asset(HEAD_RARITY, group="analysis", kinds={"scipy", "parquet"})
def head_rarity(context: dg.AssetExecutionContext, workspace: Workspace) -> Any:
    """All heads, three coefficients within paragraphs and the paper's own construction, each beside its nulls."""
    drawn = {"head_rarity": plots.head_rarity_ranking}
    yield from materialize(context, HEAD_RARITY, workspace.scope(context), _rarity_shards, drawn)


def _rarity_shards(scope: Scope) -> Shards:
    attention, facts = attention_array(scope)
    names = list(GROUPS)

    def _compute(shard: int) -> Frames:
        chosen = _group_mask(scope, facts, GROUPS[names[shard]])
        frame = _rarity_of(scope, attention[chosen], facts.filter(pl.Series(chosen)))
        return {"head_rarity": frame.with_columns(paragraph_group=pl.lit(names[shard]))}

    return Shards(len(names), _compute, "groups")


def _rarity_of(scope: Scope, attention: np.ndarray, facts: pl.DataFrame) -> pl.DataFrame:
    from probes.head_rarity import head_rarity as measure

    if facts.is_empty():
        return models.no_rows("head_rarity")
    probes, prefix = scope.profile.probes, scope.profile.paragraphs.prefix_length
    unigrams = scope.read("unigrams").sort("token_id")
    ids = models.token_matrix(facts)[:, :prefix]
    return measure(
        attention, unigrams["surprisal_bits"].to_numpy()[ids], unigrams["rarity_rank"].to_numpy()[ids],
        facts["near_duplicate_cluster"].to_numpy(), seed=probes.seed,
        bootstrap_draws=probes.bootstrap_draws, permutations=probes.permutations, token_ids=ids,
    )  # fmt: skip


def attention_array(scope: Scope) -> tuple[np.ndarray, pl.DataFrame]:
    """Attention of all paragraphs, [paragraph, layer, head, position], and their facts in the same order."""
    scores = scope.read("scores", ["paragraph_id", "exact_match", "is_memorized"])
    facts = scope.read("paragraphs").join(scores, on="paragraph_id", maintain_order="left").sort("paragraph_id")
    rows = scope.read("head_attention").sort("paragraph_id", "layer", "head")
    shape = (facts.height, rows["layer"].n_unique(), rows["head"].n_unique(), -1)
    return rows["attention"].explode().to_numpy().reshape(shape), facts


def _group_mask(scope: Scope, facts: pl.DataFrame, group: str | None) -> np.ndarray:
    if group is None:
        return np.ones(facts.height, dtype=bool)
    if group == "MP":
        return facts["is_memorized"].to_numpy()
    limit = int(models.NMP_LIMIT_SHARE * scope.profile.paragraphs.continuation_length)
    return (facts["exact_match"] <= limit).to_numpy()
