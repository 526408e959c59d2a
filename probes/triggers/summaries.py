"""Readable answers beside the regression: are the strongest triggers rare, and does a head point at them?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from probes.errors import ProbeError
from probes.statistics.bounded import bounded_test
from probes.statistics.cluster_robust import LEAST_DEGREES, grouped_means
from probes.statistics.clusters import (
    ClusterTest,
    benjamini_hochberg,
    cluster_means,
    cluster_t_test,
    nan_mean,
)
from probes.statistics.rank_correlation import average_ranks, unit_features
from probes.statistics.token_types import TokenTest, token_random_effects

_TRIGGER_COLUMNS = ("paragraph_id", "position", "em_drop", "surprisal_bits", "is_memorized", "near_duplicate_cluster")
GROUPS = ("all", "MP", "NMP")
STATISTICS = ("rarity_percentile", "excess_over_position", "rarity_drop_correlation")
_NUMBERS = (
    *("estimate", "lower", "upper", "null_value", "p_value"),
    *("token_estimate", "token_lower", "token_upper", "token_p_value"),
)


def strongest_triggers(frame: pl.DataFrame) -> pl.DataFrame:
    """Are the tokens whose change costs most rarer than chance, and than tokens at the same positions elsewhere?

    A token type counts once per prefix, at its first place: types that cost more than others for reasons of their own
    would else be common where they repeat and rare where they win, and triggers would look rare without any effect.

    Args:
        frame: one row per prefix token of one checkpoint, as the view `triggers` gives it; every paragraph has the
            same perturbed positions. Without a column token_id every token is a type of its own. Paragraphs where no
            change costs anything have no trigger.

    Returns:
        One row per paragraph_group (all, MP, NMP) and statistic: rarity_percentile (of the strongest trigger among the
        types of its prefix, 1 = rarest, ties shared; its null is the mean percentile at the same positions in other
        clusters of the group), excess_over_position (the difference of the two; null 0) and rarity_drop_correlation
        (Spearman within paragraphs between surprisal and EM drop, both less their mean at the position elsewhere;
        null 0). Mean over clusters with 95 % interval: estimate, lower, upper, null_value, p_value, cluster_count,
        paragraph_count; for the last two also the test with token types as random effects, as a slope on rarity:
        token_estimate, token_lower, token_upper, token_p_value, token_type_count. rarity_percentile has no test.
        Null below three clusters.

    Raises:
        ProbeError: a column is missing or paragraphs were perturbed at different positions.
    """
    grid = Grid.of(frame)
    rows = [row for group in GROUPS for row in _group_rows(grid.chosen(group), group)]
    numbers = dict.fromkeys(_NUMBERS, pl.Float64)
    counts = dict.fromkeys(("cluster_count", "paragraph_count", "token_type_count"), pl.Int32)
    schema: dict[str, Any] = {"paragraph_group": pl.String, "statistic": pl.String, **numbers, **counts}
    return pl.DataFrame(rows, schema=schema).with_columns(pl.col(*_NUMBERS).fill_nan(None))


def _group_rows(grid: Grid, group: str) -> Iterator[dict[str, Any]]:
    """The three statistics of one group; nothing estimated where it is empty."""
    if not len(grid.em_drop):
        counts = dict.fromkeys(("cluster_count", "paragraph_count", "token_type_count"), 0)
        for name in STATISTICS:
            yield {"paragraph_group": group, "statistic": name} | counts
        return
    shares = trigger_shares(np.where(grid.is_first, grid.em_drop, np.nan))
    percentile = _percentiles_of(grid.surprisal, grid.is_first)
    matched = _elsewhere(percentile[:, None], grid.clusters)[:, 0]
    rank, expected, excess = (_at_trigger(shares, values) for values in (percentile, matched, percentile - matched))
    elsewhere = float(nan_mean(cluster_means(expected, grid.clusters)))
    titles = shares - 1 / grid.is_first.sum(axis=1, keepdims=True)
    correlation, left = _adjusted_correlation(grid)
    tests = (
        (bounded_test(rank, grid.clusters, 0.0, 1.0), elsewhere, None),
        (_inside(cluster_t_test(excess, grid.clusters)), 0.0, _over_types(grid, titles, percentile - matched)),
        (_inside(cluster_t_test(correlation, grid.clusters)), 0.0, _over_types(grid, left[:, 1], left[:, 0])),
    )
    known = {"paragraph_group": group, "paragraph_count": int((~np.isnan(excess)).sum())}
    for name, (test, null, by_type) in zip(STATISTICS, tests, strict=True):
        numbers = {key: float(getattr(test, key)) for key in ("estimate", "lower", "upper", "p_value")}
        numbers |= {f"token_{key}": float(getattr(by_type, key)[0]) for key in numbers} if by_type is not None else {}
        counts = {"cluster_count": int(test.cluster_count), "token_type_count": len(np.unique(grid.token_ids))}
        yield known | {"statistic": name, "null_value": null} | counts | numbers


def _at_trigger(shares: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mean of [paragraph, position] values over the strongest triggers, [paragraph]; NaN without any."""
    return np.asarray(np.where(shares > 0, shares * values, 0 * shares).sum(axis=1))


def _inside(test: ClusterTest) -> ClusterTest:
    """Differences of percentiles and correlations lie between −1 and 1, far from which their intervals lie."""
    return replace(test, lower=np.maximum(test.lower, -1.0), upper=np.minimum(test.upper, 1.0))


def _over_types(grid: Grid, values: np.ndarray, rarity: np.ndarray) -> TokenTest | None:
    """Slope of `values` on `rarity`, [paragraph, position], with token types as random effects; NaN is left out."""
    _, number = np.unique(grid.clusters, return_inverse=True)
    weights = np.broadcast_to((1 / np.bincount(number)[number])[:, None], values.shape)
    kept = ~np.isnan(values) & ~np.isnan(rarity)
    if not kept.any():
        return None
    return token_random_effects(values[kept][:, None], rarity[kept], grid.token_ids[kept], weights[kept])


def _adjusted_correlation(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Spearman between surprisal and EM drop within paragraphs, both less their mean at the position elsewhere.

    Returns:
        Coefficients [paragraph], NaN where either is constant, and what is left of both, [paragraph, 2, position].
    """
    pair = np.stack([grid.surprisal, grid.em_drop], axis=1)
    left = unit_features(pair, "spearman")
    left = left - _elsewhere(left, grid.clusters)
    left[(np.ptp(pair, axis=-1) == 0).any(axis=1)] = np.nan
    norm = np.linalg.norm(left, axis=-1).prod(axis=1)
    product = (left[:, 0] * left[:, 1]).sum(axis=-1)
    return np.divide(product, norm, out=np.full(len(norm), np.nan), where=norm > 0), left


def _p_by_trigger_type(values: np.ndarray, types: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """p values of [column] means over clusters being 0, where clusters with the same strongest trigger are one unit, as
    the type's own cost may have made it the trigger in all of them; NaN where that leaves too few.

    Args:
        values: [paragraph, column].
        types: the trigger type of each cluster, [cluster], as `_trigger_types` gives it.
        clusters: [paragraph].
    """
    from scipy.stats import t

    means = cluster_means(values, clusters)
    estimate, error, degrees = grouped_means(means, types)
    if degrees < LEAST_DEGREES:
        return np.full(means.shape[1], np.nan)
    ratio = np.divide(np.abs(estimate), error, out=np.where(estimate == 0, 0.0, np.inf), where=error > 0)
    return np.asarray(2 * t.sf(ratio, degrees))


def _trigger_types(shares: np.ndarray, token_ids: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Number of the type that is the strongest trigger of most of a cluster's paragraphs, [cluster]; ties: least id."""
    _, cluster = np.unique(clusters, return_inverse=True)
    frame = pl.DataFrame(
        {
            "cluster": np.repeat(cluster, shares.shape[1]),
            "type": token_ids.ravel(),
            "share": np.nan_to_num(shares).ravel(),
        }
    )
    totals = frame.group_by("cluster", "type").agg(pl.col("share").sum())
    first = totals.sort("cluster", "share", "type", descending=[False, True, False]).group_by("cluster").first()
    return np.unique(first.sort("cluster")["type"].to_numpy(), return_inverse=True)[1]


@dataclass(frozen=True)
class Grid:
    """The trigger frame as arrays [paragraph, position], memorized and clusters [paragraph]."""

    em_drop: np.ndarray
    surprisal: np.ndarray
    token_ids: np.ndarray
    memorized: np.ndarray
    clusters: np.ndarray

    @classmethod
    def of(cls, frame: pl.DataFrame) -> Grid:
        """Rows of the view triggers as arrays, [paragraph, position]."""
        missing = [name for name in _TRIGGER_COLUMNS if name not in frame.columns]
        if missing:
            raise ProbeError(f"the trigger frame lacks {', '.join(missing)}; give rows of the view triggers.")
        typed = frame if "token_id" in frame.columns else frame.with_row_index("token_id")
        kept = typed.select(*_TRIGGER_COLUMNS, "token_id").drop_nulls().sort("paragraph_id", "position")
        paragraphs, places = kept["paragraph_id"].n_unique(), kept["position"].n_unique()
        if kept.height != paragraphs * places or not kept.height:
            raise ProbeError(
                "paragraphs were perturbed at different positions or not at all; sweep the same positions."
            )
        drop, surprisal, memorized, clusters, ids = (
            kept[name].to_numpy().reshape(paragraphs, places) for name in (*_TRIGGER_COLUMNS[2:], "token_id")
        )
        return cls(drop.astype(float), surprisal.astype(float), ids, memorized[:, 0].astype(bool), clusters[:, 0])

    def chosen(self, group: str) -> Grid:
        """The paragraphs of a group."""
        kept = {"MP": self.memorized, "NMP": ~self.memorized}.get(group, np.ones(len(self.memorized), dtype=bool))
        return Grid(
            *(values[kept] for values in (self.em_drop, self.surprisal, self.token_ids, self.memorized, self.clusters))
        )

    @property
    def is_first(self) -> np.ndarray:
        """Whether a token is the first of its type in the prefix, [paragraph, position]."""
        before = np.tril(np.ones((self.token_ids.shape[1],) * 2, dtype=bool), -1)
        same = self.token_ids[:, :, None] == self.token_ids[:, None, :]
        return ~(same & before).any(axis=2)


def _percentiles_of(values: np.ndarray, is_kept: np.ndarray) -> np.ndarray:
    """Rank of each kept value among the kept ones of its row, 0 (smallest) to 1, ties at their mean; NaN elsewhere."""
    known = np.where(is_kept, values, np.nan)
    below = (known[:, None, :] < known[:, :, None]).sum(axis=2) + (known[:, None, :] == known[:, :, None]).sum(
        axis=2
    ) / 2
    count = is_kept.sum(axis=1, keepdims=True)
    return np.where(is_kept & (count > 1), (below - 0.5) / np.maximum(count - 1, 1), np.nan)


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
    """[paragraph, head, position] replaced by the mean over the other clusters, each weighing one, NaN left out."""
    means = cluster_means(values, clusters)
    _, index = np.unique(clusters, return_inverse=True)
    known = ~np.isnan(means)
    filled, count = np.where(known, means, 0.0), known.sum(axis=0) - known
    rest = filled.sum(axis=0) - filled
    return np.divide(rest, count, out=np.full(rest.shape, np.nan), where=count > 0)[index]


def head_pointing(
    attention: np.ndarray,
    em_drop: np.ndarray,
    clusters: np.ndarray,
    *,
    seed: int,
    permutations: int = 1000,
    token_ids: np.ndarray | None = None,
) -> pl.DataFrame:
    """Does a head's attention point at the strongest trigger more often than chance?

    Args:
        attention: weights on the prefix, [paragraph, layer, head, position].
        em_drop: [paragraph, position]; NaN where a position was not perturbed. Attention there does not count.
        clusters: near-duplicate cluster, [paragraph].
        seed: seed of the permutations.
        permutations: re-pairings of attention and triggers of different clusters.
        token_ids: the prefix tokens, [paragraph, position]; clusters whose strongest trigger is the same type are then
            one unit, too, and the larger of both p values counts: a head's taste for a type that costs much for
            reasons of its own is no pointing.

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
    types = None
    if token_ids is not None and len(shares):
        types = _trigger_types(shares, np.asarray(token_ids)[kept][:, measured], clusters)
    tables = [
        _pointing(name, points, shares, clusters, types, np.random.default_rng(seed), permutations)
        for name, points in (("top_hit", _top(weights)), ("attention_percentile", _percentiles(weights)))
        if len(shares)
    ]
    return _pointing_frame(tables, attention.shape[2])


def _top(weights: np.ndarray) -> np.ndarray:
    """Share of the title "most attended", [..., position]; ties split it."""
    top = (weights == weights.max(axis=-1, keepdims=True)).astype(np.float64)
    return top / top.sum(axis=-1, keepdims=True)


def _pointing(
    name: str,
    points: np.ndarray,
    shares: np.ndarray,
    clusters: np.ndarray,
    types: np.ndarray | None,
    rng: np.random.Generator,
    count: int,
) -> dict[str, Any]:
    """Numbers of one statistic; `points` is [paragraph, head, position], `shares` [paragraph, position], `types` the
    strongest trigger's type, [cluster], where known."""
    if name == "top_hit":
        shares = (shares > 0).astype(np.float64)  # any of the strongest counts as hit
    hits = np.einsum("ihl,il->ih", points, shares)
    test = bounded_test(hits.clip(0.0, 1.0), clusters, 0.0, 1.0)
    chance = float(cluster_means(shares.mean(axis=1), clusters).mean()) if name == "top_hit" else 0.5
    elsewhere = np.einsum("ihl,il->ih", _elsewhere(points, clusters), shares)
    matched = cluster_means(elsewhere, clusters).mean(axis=0)
    placebo = _repaired(cluster_means(points, clusters), cluster_means(shares, clusters), rng, count)
    centre = placebo.mean(axis=0)
    beyond = (np.abs(placebo - centre) >= np.abs(test.estimate - centre) - 1e-12).sum(axis=0)
    p_value = (beyond + 1) / (count + 1)
    if types is not None:
        p_value = np.maximum(p_value, _p_by_trigger_type(hits - elsewhere, types, clusters))
    p_value = np.where(np.isnan(test.lower), np.nan, p_value)
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
