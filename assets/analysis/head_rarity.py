"""Attention stages: where every head looks, and whether it looks at rare tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from assets.corpus.paragraphs import true_paragraphs
from assets.figures import previews
from assets.framework import model_stage
from assets.framework.profile import Profile
from assets.framework.stage import Frames, Scope, Shards, no_rows, stage
from assets.localization import samples

GROUPS = {"all": None, "MP": "MP", "NMP": "NMP"}


def _rarity_settings(profile: Profile) -> dict[str, Any]:
    return model_stage.recited_settings(profile, "bootstrap_draws", "permutations", "seed")


@stage(
    tables=("head_rarity",),
    takes_apart=True,
    reads=("checkpoints", "paragraphs", "scores", "head_attention", "unigrams"),
    settings=_rarity_settings,
    group="analysis",
    kinds={"scipy", "parquet"},
    plots={"head_rarity": previews.head_rarity_ranking},
)
def head_rarity(scope: Scope) -> Shards:
    """All heads, three coefficients within paragraphs and the paper's own construction, each beside its nulls."""
    attention, facts = scored_attention(scope)
    names = list(GROUPS)

    def _compute(shard: int) -> Frames:
        chosen = _group_mask(scope, facts, GROUPS[names[shard]])
        frame = _rarity_of(scope, attention[chosen], facts.filter(pl.Series(chosen)))
        return {"head_rarity": frame.with_columns(paragraph_group=pl.lit(names[shard]))}

    return Shards(len(names), _compute, "groups")


def _rarity_of(scope: Scope, attention: np.ndarray, facts: pl.DataFrame) -> pl.DataFrame:
    from probes.attention.rarity import head_rarity as measure

    if facts.is_empty():
        return no_rows("head_rarity")
    probes, prefix = scope.profile.probes, scope.profile.paragraphs.prefix_length
    unigrams = scope.read("unigrams").sort("token_id")
    ids = model_stage.token_matrix(facts)[:, :prefix]
    return measure(
        attention, unigrams["surprisal_bits"].to_numpy()[ids], unigrams["rarity_rank"].to_numpy()[ids],
        facts["near_duplicate_cluster"].to_numpy(), seed=probes.seed,
        bootstrap_draws=probes.bootstrap_draws, permutations=probes.permutations, token_ids=ids,
    )  # fmt: skip


def scored_attention(scope: Scope) -> tuple[np.ndarray, pl.DataFrame]:
    """Attention of all scored paragraphs, [paragraph, layer, head, position], and their facts in the same order."""
    scores = scope.read("scores", ["paragraph_id", "exact_match", "is_memorized"])
    facts = true_paragraphs(scope).join(scores, on="paragraph_id", maintain_order="left").sort("paragraph_id")
    measured = scope.read("head_attention").join(facts.select("paragraph_id"), on="paragraph_id", how="semi")
    rows = measured.sort("paragraph_id", "layer", "head")
    shape = (facts.height, rows["layer"].n_unique(), rows["head"].n_unique(), -1)
    return rows["attention"].explode().to_numpy().reshape(shape), facts


def _group_mask(scope: Scope, facts: pl.DataFrame, group: str | None) -> np.ndarray:
    if group is None:
        return np.ones(facts.height, dtype=bool)
    if group == "MP":
        return samples.is_recited(scope, facts).to_numpy()
    limit = int(samples.NMP_LIMIT_SHARE * scope.profile.paragraphs.continuation_length)
    return (facts["exact_match"] <= limit).to_numpy()
