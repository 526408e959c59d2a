"""Power of the trigger regression by simulation: how large an effect is found with how many clusters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from probes.errors import ProbeError
from probes.statistics.clusters import wilson_interval
from probes.triggers.effect import trigger_effect

SCHEMA: dict[str, Any] = {
    "effect": pl.Float64,
    "cluster_count": pl.Int32,
    "detected_share": pl.Float64,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "repetition_count": pl.Int32,
}


def power_curve(
    frame: pl.DataFrame,
    effects: Sequence[float],
    cluster_counts: Sequence[int],
    *,
    seed: int,
    repetitions: int = 200,
    level: float = 0.05,
) -> pl.DataFrame:
    """Share of simulated studies that find a planted effect of rarity on the EM drop.

    Each study draws clusters of `frame` with replacement, shuffles rarity and token NLL together within every
    paragraph, which takes away whatever effect was there and keeps the noise as it is, adds `effect` tokens of drop per
    standard deviation of rarity, and runs the fully adjusted `trigger_effect`. Effect 0 gives the rate of false
    findings.

    Args:
        frame: one row per prefix token of one checkpoint, as the view `triggers` gives it; for the power among
            memorized paragraphs give only those.
        effects: tokens of EM drop per standard deviation of rarity within the paragraph.
        cluster_counts: clusters of a study.
        seed: seed of draws and shuffles.
        repetitions: studies per effect and cluster count.
        level: p value below which a study finds something.

    Returns:
        One row per effect and cluster count: effect, cluster_count, detected_share with its Wilson interval lower,
        upper, and repetition_count.

    Raises:
        ProbeError: the frame has no measured token or a study would have fewer than three clusters.
    """
    measured = frame.drop_nulls(["em_drop", "token_nll_nats"])
    if measured.is_empty() or min(cluster_counts, default=0) < 3:
        raise ProbeError("a study needs measured tokens and at least three clusters; sweep paragraphs or ask for more.")
    clusters = measured.partition_by("near_duplicate_cluster")
    rows = []
    for count in cluster_counts:
        for effect in effects:
            rng = np.random.default_rng([seed, count])  # the same studies for every effect: a smooth curve
            found = sum(_finds(_study(clusters, count, effect, rng), level) for _ in range(repetitions))
            rows.append((effect, count, found / repetitions, *wilson_interval(found, repetitions), repetitions))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _study(clusters: list[pl.DataFrame], count: int, effect: float, rng: np.random.Generator) -> pl.DataFrame:
    """Resampled clusters with unrelated rarity and a planted effect."""
    drawn = [
        clusters[pick].with_columns(
            pl.lit(index).alias("near_duplicate_cluster"),
            pl.format("{}-{}", pl.col("paragraph_id"), pl.lit(index)).alias("paragraph_id"),
        )
        for index, pick in enumerate(rng.integers(len(clusters), size=count))
    ]
    study = pl.concat(drawn).sort("paragraph_id", "position")
    keys = pl.Series("key", rng.random((count, study["position"].max() + 1)).ravel())
    place = study["near_duplicate_cluster"] * (study["position"].max() + 1) + study["position"]
    mixed = study.with_columns(keys.gather(place)).sort("paragraph_id", "key")
    dealt = study.with_columns(mixed["surprisal_bits"], mixed["token_nll_nats"])
    by = pl.col("surprisal_bits")
    rarity = ((by - by.mean()) / by.std(ddof=0)).over("paragraph_id").fill_nan(0)
    return dealt.with_columns(em_drop=pl.col("em_drop") + effect * rarity)


def _finds(study: pl.DataFrame, level: float) -> bool:
    result = trigger_effect(study, permutations=1, outcomes=["em_drop"], adjustments=["full"], terms=["all"])
    p_value = result["p_value"][0]
    return p_value is not None and p_value < level
