"""Claim of positional fragility (arXiv 2505.13171): recital weakens as a text moves away from the window's start."""

from __future__ import annotations

import numpy as np
import polars as pl

from probes.claims.rules import SCHEMA, Claim, Measured, claim_row, judge
from probes.statistics.clusters import LEAST_CLUSTER_COUNT, wilson_interval

_CLAIM = Claim(
    "positional_fragility",
    "Positional fragility, arXiv 2505.13171",
    "Verbatim recital weakens as a text moves away from the start of the context window (share of clusters recited at "
    "the largest offset minus share recited at the start, of those recited at either).",
)


def offset_claims(recall: pl.DataFrame) -> pl.DataFrame:
    """One row of table claims (without checkpoint_id).

    Clusters are those recited at the start **or** at the largest offset: to look only at those recited at the start
    would find a loss wherever recital depends on chance.

    Args:
        recall: rows of table recall_by_offset of one checkpoint with near_duplicate_cluster.

    Returns:
        claim_id, paper, statement, reported, ours, lower, upper, null_value, verdict, reason.
    """
    differences = _differences(recall)
    measured = _bounded(differences["difference"].to_numpy())
    verdict, reason = judge(measured, "less")
    if measured.ours is not None:
        reason = (
            f"{reason} ({recall['preceding_length'].max()!s} tokens of unrelated text, {differences.height} clusters)"
        )
    return pl.DataFrame([claim_row(_CLAIM, measured, verdict, reason, "less")], schema=SCHEMA)


def _bounded(differences: np.ndarray) -> Measured:
    """Share gained minus share lost; the interval joins the Wilson intervals of both, so it is never degenerate.

    Args:
        differences: -1 lost, 0 kept, 1 gained, [cluster].
    """
    count = len(differences)
    if not count:
        return Measured(null_value=0.0)
    ours = float(differences.mean())
    if count < LEAST_CLUSTER_COUNT:
        return Measured(ours, null_value=0.0)
    gained, lost = (wilson_interval(int((differences == sign).sum()), count) for sign in (1, -1))
    return Measured(ours, gained[0] - lost[1], gained[1] - lost[0], 0.0)


def _differences(recall: pl.DataFrame) -> pl.DataFrame:
    """Recited at the largest offset minus recited at the start, whole prefix, one row per cluster recited at either."""
    whole = recall.filter(
        pl.col("context_length") == pl.col("context_length").max(), preceding_text="unrelated"
    ).with_columns(pl.col("is_recited").cast(pl.Float64))
    keys = ["paragraph_id", "near_duplicate_cluster"]
    start = whole.filter(preceding_length=0).select(*keys, start="is_recited")
    furthest = pl.col("preceding_length").max()
    far = whole.filter((pl.col("preceding_length") == furthest) & (furthest > 0)).select(*keys, far="is_recited")
    both = start.join(far, on=keys, maintain_order="left").filter((pl.col("start") + pl.col("far")) > 0)
    return both.with_columns(difference=pl.col("far") - pl.col("start"))
