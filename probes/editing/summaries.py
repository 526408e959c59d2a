"""The score card of each selection with intervals over clusters, paired with random and all-weights baselines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from probes.statistics.bounded import bounded_test, difference_test
from probes.statistics.clusters import ClusterTest, cluster_t_test

GROUP = ("protocol", "objective", "selection", "evaluation_set", "measure")
MEASURES = {"exact_match": "exact_match_before", "replacement_match": "replacement_match_before"} | {
    "nll_nats": "nll_before_nats"
}
_MATCHES = ("exact_match", "replacement_match")
SCHEMA: dict[str, Any] = dict.fromkeys(GROUP, pl.String) | dict.fromkeys(
    (
        *("before", "estimate", "lower", "upper", "random_estimate", "random_difference", "random_lower"),
        *("random_upper", "all_estimate", "all_difference", "all_lower", "all_upper"),
    ),
    pl.Float64,
)
SCHEMA["cluster_count"] = pl.Int32


def summarise(scores: pl.DataFrame, robustness: pl.DataFrame, continuation_length: int = 50) -> pl.DataFrame:
    """Means over clusters of every measure, by protocol, objective, selection and evaluation set.

    The unit is the cluster of the measured paragraph: a control that is read in every run counts once. The measures of
    `robustness` belong to a run, whose unit is its target.

    Args:
        scores: rows of table edit_scores.
        robustness: rows of table edit_robustness.
        continuation_length: tokens of a continuation, the bound of an exact match.

    Returns:
        Columns of SCHEMA. The baselines of `top:x` are `random:x` and `all`; each selection has those that were run.
    """
    units = pl.concat([_units_of_scores(scores), _units_of_runs(scores, robustness)])
    return pl.DataFrame(list(_rows(units, continuation_length)), schema=SCHEMA)


def _units_of_scores(scores: pl.DataFrame) -> pl.DataFrame:
    """One row per group and cluster: its mean before and after."""
    parts = [
        scores.filter(pl.col(after).is_not_null()).select(
            *GROUP[:4],
            pl.lit(after).alias("measure"),
            pl.col("near_duplicate_cluster").cast(pl.String).alias("unit"),
            pl.col(before).cast(pl.Float64).alias("before"),
            pl.col(after).cast(pl.Float64).alias("after"),
        )
        for after, before in MEASURES.items()
    ]
    return _averaged(pl.concat(parts))


def _units_of_runs(scores: pl.DataFrame, robustness: pl.DataFrame) -> pl.DataFrame:
    """The same for probes of whole runs; a single target stands for its cluster."""
    clusters = scores.filter(pl.col("protocol") == "single").select(
        target="paragraph_id", cluster=pl.col("near_duplicate_cluster").cast(pl.String)
    )
    joined = robustness.join(clusters.unique("target"), on="target", how="left", maintain_order="left")
    return _averaged(
        joined.select(
            *GROUP[:3],
            pl.lit("targets").alias("evaluation_set"),
            pl.col("probe").alias("measure"),
            pl.coalesce("cluster", "target").alias("unit"),
            "before",
            "after",
        )
    )


def _averaged(units: pl.DataFrame) -> pl.DataFrame:
    return units.group_by(*GROUP, "unit", maintain_order=True).agg(pl.col("before", "after").mean())


def _rows(units: pl.DataFrame, length: int) -> Iterator[dict[str, Any]]:
    groups = dict(units.group_by(*GROUP, maintain_order=True))
    for key, rows in groups.items():
        protocol, objective, selection, evaluation_set, measure = key
        most = length if measure in _MATCHES else None
        values, labels = rows["after"].to_numpy(), rows["unit"].to_numpy()
        ours = _facts(cluster_t_test(values, labels) if most is None else bounded_test(values, labels, 0.0, most))
        row: dict[str, Any] = dict(zip(GROUP, key, strict=True)) | {"before": rows["before"].mean(), **ours}
        for name in ("random", "all"):
            other = groups.get((protocol, objective, _baseline(str(selection), name), evaluation_set, measure))
            row |= _against(name, rows, other, most)
        yield {column: row.get(column) for column in SCHEMA}


def _baseline(selection: str, name: str) -> str:
    rule, _, share = selection.partition(":")
    return f"random:{share}" if name == "random" and rule.startswith("top") else name


def _against(name: str, rows: pl.DataFrame, other: pl.DataFrame | None, most: float | None) -> dict[str, Any]:
    """The baseline's mean and the paired difference with its interval."""
    if other is None:
        return {}
    both = rows.select("unit", "after").join(other.select("unit", baseline="after"), on="unit", how="inner")
    if both.is_empty():
        return {}
    values, labels = (both["after"] - both["baseline"]).to_numpy(), both["unit"].to_numpy()
    found = _facts(cluster_t_test(values, labels) if most is None else difference_test(values, labels, most))
    return {
        f"{name}_estimate": other["after"].mean(),
        f"{name}_difference": found["estimate"],
        f"{name}_lower": found["lower"],
        f"{name}_upper": found["upper"],
    }


def _facts(test: ClusterTest) -> dict[str, Any]:
    ends = {"estimate": test.estimate, "lower": test.lower, "upper": test.upper}
    numbers: dict[str, Any] = {name: None if np.isnan(value) else float(value) for name, value in ends.items()}
    return numbers | {"cluster_count": int(test.cluster_count)}
