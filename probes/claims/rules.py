"""Claims of papers, and the rule that judges each.

Each claim becomes one row: what the paper reports, the same quantity here with its interval, what it would be if the
claim were empty, and a verdict by rule. Nothing here knows what the verdict ought to be.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from probes.statistics.bounded import bounded_test
from probes.statistics.clusters import LEAST_CLUSTER_COUNT, cluster_means
from probes.statistics.skewed import difference_interval, mean_interval

Verdict = Literal["supported", "contradicted", "no effect of interest", "undecided", "not testable here"]
Direction = Literal["greater", "less"]

SCHEMA: dict[str, Any] = {
    "claim_id": pl.String,
    "paper": pl.String,
    "statement": pl.String,
    **dict.fromkeys(("reported", "ours", "lower", "upper", "null_value"), pl.Float64),
    "direction": pl.String,
    **dict.fromkeys(("smallest_effect", "p_value", "q_value"), pl.Float64),
    "verdict": pl.String,
    "reason": pl.String,
}


@dataclass(frozen=True)
class Claim:
    """What a paper says, in words and, where it gives one, as a number."""

    claim_id: str
    paper: str
    statement: str
    reported: float | None = None


@dataclass(frozen=True)
class Measured:
    """The same quantity here; None where there is none."""

    ours: float | None = None
    lower: float | None = None
    upper: float | None = None
    null_value: float | None = None


def judge(measured: Measured, direction: Direction) -> tuple[Verdict, str]:
    """Verdict by rule: which side of the null does the whole 95 % interval lie on?

    Args:
        measured: estimate, interval and null.
        direction: side of the null the claim asserts.

    Returns:
        Verdict and reason: not testable here without estimate, interval or null; supported or contradicted where the
        interval lies on one side of the null; undecided otherwise.
    """
    if measured.ours is None:
        return "not testable here", "there is nothing to measure it on"
    if measured.lower is None or measured.upper is None or measured.null_value is None:
        return "not testable here", "there are too few clusters for an interval"
    side = (
        "above" if measured.lower > measured.null_value else "below" if measured.upper < measured.null_value else None
    )
    if side is None:
        return "undecided", f"the interval contains the null {measured.null_value:.3g}"
    verdict: Verdict = "supported" if side == {"greater": "above", "less": "below"}[direction] else "contradicted"
    return verdict, f"the whole interval lies {side} the null {measured.null_value:.3g}"


def claim_row(
    claim: Claim, measured: Measured, verdict: Verdict, reason: str, direction: Direction | None = None
) -> dict[str, Any]:
    """One row of table claims (without checkpoint_id); the reason becomes a sentence."""
    row = (
        asdict(claim)
        | asdict(measured)
        | {"direction": direction, "verdict": verdict, "reason": f"{reason[0].upper()}{reason[1:]}."}
    )
    return {name: row.get(name) for name in SCHEMA}


def judged_row(claim: Claim, measured: Measured, direction: Direction) -> dict[str, Any]:
    """The row of a claim that `judge` decides."""
    return claim_row(claim, measured, *judge(measured, direction), direction)


def cluster_mean(
    values: np.ndarray, clusters: np.ndarray, null: float | None, bounds: tuple[float, float] | None = None
) -> Measured:
    """Mean over clusters with its interval, null beside it; values and clusters are [paragraph].

    The interval of a quantity with bounds respects them; that of another one allows for skew.

    Without values there is no estimate, with too few clusters no interval.
    """
    if not len(values) or np.isnan(values).all():
        return Measured(null_value=null)
    if bounds is not None:
        test = bounded_test(values, clusters, *bounds)
        ours, lower, upper = (None if np.isnan(x) else float(x) for x in (test.estimate, test.lower, test.upper))
        return Measured(ours, lower, upper, null)
    means = cluster_means(values, clusters)
    means = means[~np.isnan(means)]
    if len(means) < LEAST_CLUSTER_COUNT:
        return Measured(float(means.mean()), null_value=null)
    lower, upper = mean_interval(means)
    return Measured(float(means.mean()), lower, upper, null)


def same_number_row(
    claim: Claim, measured: Measured, is_papers_model: bool, sample_ratio: float = 1.0
) -> dict[str, Any]:
    """Verdict on a number that belongs to one model: is it within ours, given that both were drawn?

    The papers give no errors. Theirs is taken to be that of a sample `sample_ratio` times as variable as ours, so
    that the interval of the difference is wider than ours by the root of 1 + sample_ratio; two samples of one
    population then contradict one another in at most 5 % of the cases, where our interval alone does in 17 %.

    Args:
        claim: with the reported number.
        measured: ours with its interval.
        is_papers_model: whether the number can be asked of this checkpoint at all.
        sample_ratio: variance of the paper's mean in units of ours; 1 for samples of the same size.
    """
    if not is_papers_model:
        return claim_row(claim, measured, "not testable here", "the number belongs to GPT-Neo 125M on the Pile")
    if measured.ours is None or measured.lower is None or measured.upper is None or claim.reported is None:
        return claim_row(claim, measured, *judge(measured, "greater"))
    wider = float(np.sqrt(1 + sample_ratio))
    low = measured.ours - wider * (measured.ours - measured.lower)
    high = measured.ours + wider * (measured.upper - measured.ours)
    said = f"{low:.3g} to {high:.3g}, our interval widened by the error of the paper's own sample"
    if low <= claim.reported <= high:
        return claim_row(claim, measured, "supported", f"the reported number lies in {said}")
    return claim_row(claim, measured, "contradicted", f"the reported number lies outside {said}")


def mean_difference(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> Measured:
    """Difference of two means over clusters with Welch's interval, widened where values are skewed; null 0.

    Each side is values and clusters, [paragraph]; with too few clusters on either side there is no interval.
    """
    if not len(one[0]) or not len(other[0]):
        return Measured(null_value=0.0)
    first, second = cluster_means(*one), cluster_means(*other)
    ours = float(first.mean() - second.mean())
    if min(len(first), len(second)) < LEAST_CLUSTER_COUNT:
        return Measured(ours, null_value=0.0)
    lower, upper = difference_interval(first, second)
    return Measured(ours, lower, upper, 0.0)
