"""Readable answers beside the regression: are the strongest triggers rare, and does a head point at them?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from probes.errors import ProbeError
from probes.statistics.bounded import bounded_test
from probes.statistics.clusters import ClusterTest, benjamini_hochberg, cluster_means, cluster_t_test
from probes.statistics.rank_correlation import average_ranks, unit_features

_TRIGGER_COLUMNS = ("paragraph_id", "position", "em_drop", "surprisal_bits", "is_memorized", "near_duplicate_cluster")
GROUPS = ("all", "MP", "NMP")
STATISTICS = ("rarity_percentile", "excess_over_position", "rarity_drop_correlation")
_NUMBERS = ("estimate", "lower", "upper", "null_value", "p_value")


def strongest_triggers(frame: pl.DataFrame) -> pl.DataFrame:
    """Are the tokens whose change costs most rarer than chance, and than tokens at the same positions elsewhere?

    Args:
        frame: one row per prefix token of one checkpoint, as the view `triggers` gives it; every paragraph has the
            same perturbed positions. Paragraphs where no change costs anything have no trigger.

    Returns:
        One row per paragraph_group (all, MP, NMP) and statistic: rarity_percentile (of the strongest trigger among the
        perturbed tokens of its prefix, 1 = rarest, ties shared; null 0.5), excess_over_position (that minus the mean
        percentile at the same positions in other clusters of the group; null 0) and rarity_drop_correlation (Spearman
        within paragraphs between surprisal and EM drop; null 0). Mean over clusters with 95 % t interval: estimate,
        lower, upper, null_value, p_value, cluster_count, paragraph_count. Null below three clusters.

    Raises:
        ProbeError: a column is missing or paragraphs were perturbed at different positions.
    """
    grid = _Grid.of(frame)
    rows = []
    for group in GROUPS:
        kept = grid.chosen(group)
        for statistic, values in _statistics(grid, kept).items():
            null = 0.5 if statistic == "rarity_percentile" else 0.0
            test = _test_of(statistic, values, grid.clusters[kept], null) if kept.any() else None
            rows.append(_summary_row(group, statistic, null, test, int((~np.isnan(values)).sum())))
    numbers = dict.fromkeys(_NUMBERS, pl.Float64)
    counts = {"cluster_count": pl.Int32, "paragraph_count": pl.Int32}
    schema: dict[str, Any] = {"paragraph_group": pl.String, "statistic": pl.String, **numbers, **counts}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.col(*_NUMBERS).fill_nan(None))


def _test_of(statistic: str, values: np.ndarray, clusters: np.ndarray, null: float) -> ClusterTest:
    """A percentile lies in 0..1; differences and correlations are cut at their bounds, far from which they lie."""
    if statistic == "rarity_percentile":
        return bounded_test(values, clusters, 0.0, 1.0, null)
    test = cluster_t_test(values, clusters, null)
    return replace(test, lower=np.maximum(test.lower, -1.0), upper=np.minimum(test.upper, 1.0))


def _summary_row(group: str, statistic: str, null: float, test: Any, paragraphs: int) -> tuple[Any, ...]:
    if test is None:
        return group, statistic, None, None, None, null, None, 0, 0
    numbers = (float(test.estimate), float(test.lower), float(test.upper), null, float(test.p_value))
    return group, statistic, *numbers, int(test.cluster_count), paragraphs


class _Grid:
    """The trigger frame as arrays [paragraph, position]."""

    def __init__(self, em_drop: np.ndarray, surprisal: np.ndarray, memorized: np.ndarray, clusters: np.ndarray) -> None:
        self.em_drop = em_drop
        self.surprisal = surprisal
        self.memorized = memorized
        self.clusters = clusters

    @classmethod
    def of(cls, frame: pl.DataFrame) -> _Grid:
        """Rows of the view triggers as arrays, [paragraph, position]."""
        missing = [name for name in _TRIGGER_COLUMNS if name not in frame.columns]
        if missing:
            raise ProbeError(f"the trigger frame lacks {', '.join(missing)}; give rows of the view triggers.")
        kept = frame.select(_TRIGGER_COLUMNS).drop_nulls().sort("paragraph_id", "position")
        paragraphs, places = kept["paragraph_id"].n_unique(), kept["position"].n_unique()
        if kept.height != paragraphs * places or not kept.height:
            raise ProbeError(
                "paragraphs were perturbed at different positions or not at all; sweep the same positions."
            )
        arrays = [kept[name].to_numpy().reshape(paragraphs, places) for name in _TRIGGER_COLUMNS[2:]]
        return cls(arrays[0].astype(float), arrays[1].astype(float), arrays[2][:, 0].astype(bool), arrays[3][:, 0])

    def chosen(self, group: str) -> np.ndarray:
        """Paragraphs of a group, [paragraph] of truth values."""
        return {"MP": self.memorized, "NMP": ~self.memorized}.get(group, np.ones(len(self.memorized), dtype=bool))


def _statistics(grid: _Grid, kept: np.ndarray) -> dict[str, np.ndarray]:
    """Values of each statistic, [paragraph]; NaN where a paragraph has no trigger."""
    if not kept.any():
        return dict.fromkeys(STATISTICS, np.empty(0))
    surprisal, drop = grid.surprisal[kept], grid.em_drop[kept]
    trigger = trigger_shares(drop)
    percentile = _percentiles(surprisal)
    matched = _elsewhere(percentile[:, None], grid.clusters[kept])[:, 0]
    correlation = (unit_features(surprisal, "spearman") * unit_features(drop, "spearman")).sum(axis=1)
    correlation[(np.ptp(surprisal, axis=1) == 0) | (np.ptp(drop, axis=1) == 0)] = np.nan
    values = ((trigger * percentile).sum(axis=1), (trigger * (percentile - matched)).sum(axis=1), correlation)
    return dict(zip(STATISTICS, values, strict=True))


def trigger_shares(em_drop: np.ndarray) -> np.ndarray:
    """The strongest triggers of each paragraph, shares that sum to one; NaN rows where no change costs anything.

    Args:
        em_drop: [paragraph, position]; NaN where a position was not perturbed.
    """
    known = np.where(np.isnan(em_drop), -np.inf, em_drop)
    largest = known.max(axis=1, keepdims=True)
    strongest = (known == largest).astype(np.float64)
    shares = strongest / strongest.sum(axis=1, keepdims=True)
    shares[~(largest[:, 0] > 0)] = np.nan
    return shares


def _percentiles(values: np.ndarray) -> np.ndarray:
    """Rank along the last axis from 0 (smallest) to 1 (largest), ties at their mean; 0.5 on average."""
    return (average_ranks(values.astype(np.float64)) - 1) / (values.shape[-1] - 1)


def _elsewhere(values: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """[paragraph, head, position] replaced by the mean over the other clusters, each weighing one."""
    means = cluster_means(values, clusters)
    _, index = np.unique(clusters, return_inverse=True)
    if len(means) < 2:
        return np.full(values.shape, np.nan)
    return ((means.sum(axis=0) - means) / (len(means) - 1))[index]


def head_pointing(
    attention: np.ndarray, em_drop: np.ndarray, clusters: np.ndarray, *, seed: int, permutations: int = 1000
) -> pl.DataFrame:
    """Does a head's attention point at the strongest trigger more often than chance?

    Args:
        attention: weights on the prefix, [paragraph, layer, head, position].
        em_drop: [paragraph, position]; NaN where a position was not perturbed. Attention there does not count.
        clusters: near-duplicate cluster, [paragraph].
        seed: seed of the permutations.
        permutations: re-pairings of attention and triggers of different clusters.

    Returns:
        One row per layer, head and statistic: top_hit (does the most attended perturbed token belong to the strongest
        triggers; ties shared) and attention_percentile (rank of the trigger's attention in the prefix, 0..1). Columns:
        estimate, lower, upper (mean over clusters, 95 % t interval), chance (attention blind to tokens),
        position_matched (the attention of other clusters' paragraphs on this paragraph's trigger positions), p_value
        and q_value against re-pairing attention and triggers of different clusters, cluster_count. Null below three
        clusters.

    Raises:
        ProbeError: the arrays do not fit each other.
    """
    if attention.shape[:1] + attention.shape[3:] != em_drop.shape or len(clusters) != len(em_drop):
        raise ProbeError(
            f"attention {attention.shape}, em_drop {em_drop.shape} and {len(clusters)} clusters do not fit; give "
            "[paragraph, layer, head, position], [paragraph, position] and [paragraph]."
        )
    shares = trigger_shares(em_drop)
    kept, measured = ~np.isnan(shares[:, 0]), ~np.isnan(em_drop).any(axis=0)
    shares, clusters = shares[kept][:, measured], np.asarray(clusters)[kept]
    weights = (
        attention[kept][..., measured]
        .reshape(len(shares), attention.shape[1] * attention.shape[2], shares.shape[1])
        .astype(np.float64)
    )
    tables = [
        _pointing(name, points, shares, clusters, np.random.default_rng(seed), permutations)
        for name, points in (("top_hit", _top(weights)), ("attention_percentile", _percentiles(weights)))
        if len(shares)
    ]
    return _pointing_frame(tables, attention.shape[2])


def _top(weights: np.ndarray) -> np.ndarray:
    """Share of the title "most attended", [..., position]; ties split it."""
    top = (weights == weights.max(axis=-1, keepdims=True)).astype(np.float64)
    return top / top.sum(axis=-1, keepdims=True)


def _pointing(
    name: str, points: np.ndarray, shares: np.ndarray, clusters: np.ndarray, rng: np.random.Generator, count: int
) -> dict[str, Any]:
    """Numbers of one statistic; `points` is [paragraph, head, position], `shares` [paragraph, position]."""
    if name == "top_hit":
        shares = (shares > 0).astype(np.float64)  # any of the strongest counts as hit
    hits = np.einsum("ihl,il->ih", points, shares)
    test = bounded_test(hits.clip(0.0, 1.0), clusters, 0.0, 1.0)
    chance = float(cluster_means(shares.mean(axis=1), clusters).mean()) if name == "top_hit" else 0.5
    matched = cluster_means(np.einsum("ihl,il->ih", _elsewhere(points, clusters), shares), clusters).mean(axis=0)
    placebo = _repaired(cluster_means(points, clusters), cluster_means(shares, clusters), rng, count)
    centre = placebo.mean(axis=0)
    beyond = (np.abs(placebo - centre) >= np.abs(test.estimate - centre) - 1e-12).sum(axis=0)
    p_value = np.where(np.isnan(test.lower), np.nan, (beyond + 1) / (count + 1))
    return {
        "statistic": name, "estimate": test.estimate, "lower": test.lower, "upper": test.upper, "chance": chance,
        "position_matched": matched, "p_value": p_value, "q_value": benjamini_hochberg(p_value),
        "cluster_count": test.cluster_count,
    }  # fmt: skip


def _repaired(points: np.ndarray, shares: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """Mean hits when the triggers of each cluster meet the attention of another one, [permutation, head]."""
    clusters, heads = points.shape[:2]
    orders = np.stack([rng.permutation(clusters) for _ in range(count)])
    placebo = np.empty((count, heads))
    for head in range(heads):
        meeting = shares @ points[:, head].T  # [cluster of the triggers, cluster of the attention]
        placebo[:, head] = meeting[np.arange(clusters), orders].mean(axis=1)
    return placebo


def _pointing_frame(tables: list[dict[str, Any]], heads: int) -> pl.DataFrame:
    schema: dict[str, Any] = {"layer": pl.Int32, "head": pl.Int32, "statistic": pl.String}
    schema |= dict.fromkeys(
        ("estimate", "lower", "upper", "chance", "position_matched", "p_value", "q_value"), pl.Float64
    )
    schema["cluster_count"] = pl.Int32
    frames = [pl.DataFrame(schema=schema)]
    for table in tables:
        index = np.arange(len(table["estimate"]))
        columns = {"layer": index // heads, "head": index % heads} | table
        frame = pl.DataFrame(columns).with_columns(pl.selectors.float().fill_nan(None))
        frames.append(frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items()))
    return pl.concat(frames)


def head_correlations(attention: np.ndarray, clusters: np.ndarray) -> pl.DataFrame:
    """Do two heads look at the same tokens? Spearman correlation of their attention rows within each paragraph.

    Args:
        attention: weights on the prefix, [paragraph, layer, head, position].
        clusters: near-duplicate cluster, [paragraph].

    Returns:
        One row per pair of heads, each pair once: layer_a, head_a, layer_b, head_b, estimate, lower, upper (mean over
        clusters, 95 % t interval), position_null (the same between paragraphs of different clusters: what sharing a
        taste for positions alone gives), cluster_count. Null where a head is constant everywhere, and intervals below
        three clusters.

    Raises:
        ProbeError: the arrays do not fit each other.
    """
    if attention.ndim != 4 or len(attention) != len(clusters) or not len(attention):
        raise ProbeError(f"attention {attention.shape} and {len(clusters)} clusters do not fit; give one label each.")
    heads = attention.shape[2]
    flat = attention.reshape(len(attention), -1, attention.shape[3])
    features = unit_features(flat.astype(np.float64), "spearman")
    first, second = np.triu_indices(flat.shape[1], k=1)
    values = np.stack([(one @ one.T)[first, second] for one in features])
    constant = np.asarray(~features.any(axis=-1))
    values[constant[:, first] | constant[:, second]] = np.nan
    test = cluster_t_test(values, clusters)
    lower, upper = np.maximum(test.lower, -1.0), np.minimum(test.upper, 1.0)
    null = _between_clusters(cluster_means(features, clusters))[first, second]
    return pl.DataFrame(
        {
            "layer_a": first // heads, "head_a": first % heads, "layer_b": second // heads, "head_b": second % heads,
            "estimate": test.estimate, "lower": lower, "upper": upper,
            "position_null": np.where(np.isnan(test.estimate), np.nan, null), "cluster_count": test.cluster_count,
        }
    ).with_columns(pl.selectors.float().fill_nan(None), pl.selectors.integer().cast(pl.Int32))  # fmt: skip


def _between_clusters(means: np.ndarray) -> np.ndarray:
    """Mean inner product over pairs of different clusters, [head, head]; NaN for fewer than two clusters."""
    count = len(means)
    if count < 2:
        return np.full((means.shape[1],) * 2, np.nan)
    total = means.sum(axis=0)
    own = np.einsum("chf,cgf->hg", means, means, optimize=True)
    return (total @ total.T - own) / (count * (count - 1))
