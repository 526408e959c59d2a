"""What every test that can award "supported" finds in one sample of a null world (docs/false_positives.md)."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from probes.attention.rarity import head_rarity
from probes.claims.localization import localization_claims
from probes.claims.triggers import trigger_claims
from probes.triggers.effect import trigger_effect
from probes.triggers.head_correlations import head_correlations
from probes.triggers.summaries import head_pointing, strongest_triggers
from tests.support.worlds.null_worlds import Sample, World, draw

LEVEL = 0.05
VERDICTS = (
    *("rare_tokens_trigger_recital", "strongest_triggers_are_rare"),
    *("a_head_reads_rare_tokens_within", "a_head_reads_rare_tokens_summed", "memorization_head_unlike_others"),
    *("memorized_harder_to_corrupt", "em_drop_grows_with_position_mp"),
    *("gradient_lies_lower", "gradient_smaller", "gradient_smaller_in_every_layer", "value_weights_most_salient"),
)
PARTS = (
    *("effect of rarity, MP, over clusters", "effect of rarity, MP, over token types"),
    *("effect of rarity, all, over token types", "MP minus NMP", "per doubling of copies"),
    *("strongest trigger, over clusters", "strongest trigger, over token types"),
    *("best head, over clusters", "best head, over token types", "best head summed by rank, over clusters"),
    *("best head summed by rank, over token types", "a head points at triggers"),
)
# True of a world, so no null there: costs grow along the prefix; heads with the same taste look at the same tokens.
NOT_EMPTY = {"em_drop_grows_with_position_mp": "profile", "memorization_head_unlike_others": "taste"}
# One of two tests that must both find rarity; alone it is expected to be fooled by token tastes.
FOOLED_BY_TASTE = ("effect of rarity, MP, over clusters", "strongest trigger, over clusters")
FOOLED_BY_TASTE += ("best head, over clusters", "best head summed by rank, over clusters")


def findings(world: World, clusters: int, seed: int, permutations: int = 199) -> dict[str, bool | None]:
    """Whether each test finds something, either side; None where it says that it cannot test.

    Every group (MP, NMP) has `clusters` clusters.
    """
    sample = draw(world, 2 * clusters, seed)
    frame, is_memorized = sample.triggers(seed), sample.is_memorized
    effects = trigger_effect(frame, seed=seed, permutations=1, outcomes=["em_drop"], adjustments=["full"])
    strongest = strongest_triggers(frame)
    mine = {name: getattr(sample, name)[is_memorized] for name in ("attention", "clusters", "token_ids")}
    heads = head_rarity(
        surprisal_bits=sample.surprisal_bits[is_memorized], rarity_rank=sample.rarity_rank[is_memorized], **mine,
        seed=seed, bootstrap_draws=50, permutations=permutations,
    ).with_columns(paragraph_group=pl.lit("MP"))  # fmt: skip
    both = pl.concat([heads, heads.with_columns(paragraph_group=pl.lit("all"))])
    pairs = head_correlations(mine["attention"], mine["clusters"])
    pointing = head_pointing(
        mine["attention"], sample.em_drop[is_memorized], mine["clusters"], seed=seed, permutations=permutations,
        token_ids=mine["token_ids"],
    )  # fmt: skip
    claims = [trigger_claims(frame, both, effects, strongest, pairs), _gradient_claims(sample, seed)]
    found = {row["claim_id"]: _found(row["verdict"]) for part in claims for row in part.iter_rows(named=True)}
    found = {name: found[name] for name in VERDICTS if not getattr(world, NOT_EMPTY.get(name, "nothing"), 0)}
    return found | dict(zip(PARTS, _parts(effects, strongest, heads, pointing), strict=True))


def _found(verdict: str) -> bool | None:
    return None if verdict == "not testable here" else verdict in ("supported", "contradicted")


def _parts(
    effects: pl.DataFrame, strongest: pl.DataFrame, heads: pl.DataFrame, pointing: pl.DataFrame
) -> list[bool | None]:
    by_term = {row["term"]: row for row in effects.iter_rows(named=True)}
    excess = strongest.filter(paragraph_group="MP", statistic="excess_over_position").row(0, named=True)
    within, summed = (heads.filter(coefficient=name) for name in ("spearman", "summed_by_rank"))
    return [
        _small(by_term["MP"]["p_value"]),
        _small(by_term["MP"]["token_p_value"]),
        _small(by_term["all"]["token_p_value"]),
        _small(by_term["MP_minus_NMP"]["p_value"]),
        _small(by_term["per_duplication_doubling"]["p_value"]),
        _small(excess["p_value"]),
        _small(excess["token_p_value"]),
        _small(within["family_p_value"].min()),
        _small(within["token_q_value"].min()),
        _small(summed["family_p_value"].min()),
        _small(summed["token_q_value"].min()),
        _small(pointing.filter(statistic="top_hit")["q_value"].min()),
    ]


def _small(p_value: Any) -> bool | None:
    return None if p_value is None else bool(p_value <= LEVEL)


def _gradient_claims(sample: Sample, seed: int) -> pl.DataFrame:
    """Claims on gradients that are as heavy-tailed in one group as in the other, and in values as elsewhere."""
    rng = np.random.default_rng([seed, 3])
    count = len(sample.clusters)
    loud = rng.lognormal(0, 1, sample.clusters.max() + 1)[sample.clusters]
    rows = [
        pl.DataFrame(
            {
                "paragraph_id": np.arange(count), "near_duplicate_cluster": sample.clusters,
                "paragraph_group": np.where(sample.is_memorized, "MP", "NMP"), "layer": layer, "head": head,
                "component": component, "max_abs": loud * rng.lognormal(0, 0.7, count),
            }
        )
        for layer in range(4) for head in range(2) for component in ("W_V", "W_Q")
    ]  # fmt: skip
    types = {"paragraph_group": pl.String, "kind": pl.String, "part": pl.String, "head": pl.Int64}
    types |= dict.fromkeys(("layer", "last_layer"), pl.Int64) | {"excess": pl.Float64}
    return localization_claims(pl.concat(rows), pl.DataFrame(schema=types), layer_count=4)
