"""Intervals and error rates for clustered measurements: near-duplicate clusters, not paragraphs, are the unit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from probes.errors import ProbeError

# Below this an interval or a test over clusters says nothing.
LEAST_CLUSTER_COUNT = 3
_CHUNK = 2**22  # entries of the resampling matrix held at a time


def cluster_means(values: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Mean of each cluster, NaN left out.

    Args:
        values: [paragraph, ...].
        clusters: any labels, [paragraph].

    Returns:
        [cluster, ...] in the order of the sorted labels; NaN where a cluster has no value.
    """
    values = np.asarray(values, dtype=np.float64)
    labels, index = np.unique(np.asarray(clusters), return_inverse=True)
    present = ~np.isnan(values)
    flat = np.where(present, values, 0.0).reshape(len(values), -1)
    sums, counts = np.zeros((len(labels), flat.shape[1])), np.zeros((len(labels), flat.shape[1]))
    np.add.at(sums, index, flat)
    np.add.at(counts, index, present.reshape(flat.shape))
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    return means.reshape(len(labels), *values.shape[1:])


def resampling_weights(cluster_count: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """How often each cluster is drawn in each bootstrap sample, [draw, cluster], float64; rows sum to cluster_count."""
    picks = rng.integers(cluster_count, size=(draws, cluster_count))
    flat = picks + np.arange(draws)[:, None] * cluster_count
    return np.bincount(flat.ravel(), minlength=draws * cluster_count).reshape(draws, cluster_count).astype(np.float64)


def bootstrap_means(means: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Means of resampled clusters, NaN left out: [cluster, ...] cluster means to [draw, ...]."""
    rng = np.random.default_rng(seed)
    flat = means.reshape(len(means), -1)
    present = ~np.isnan(flat)
    filled = np.where(present, flat, 0.0)
    result = np.empty((draws, flat.shape[1]))
    step = max(1, _CHUNK // max(1, len(means)))
    for start in range(0, draws, step):
        weights = resampling_weights(len(means), min(step, draws - start), rng)
        total, count = weights @ filled, weights @ present
        result[start : start + len(weights)] = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return result.reshape(draws, *means.shape[1:])


def percentile_interval(
    resampled: np.ndarray, coverage: float = 0.95, cluster_count: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the central `coverage` of [draw, ...], each [...]; NaN draws are left out.

    With the number of clusters behind them the ends lie as far out as t and the bias of the bootstrap's variance ask
    for (expanded percentile interval: Hesterberg 2015, section 5.3).
    """
    tail = (1 - coverage) / 2 if cluster_count is None else expanded_tail(cluster_count, coverage)
    tails = [tail, 1 - tail]
    flat = resampled.reshape(len(resampled), -1)
    ends = np.quantile(flat, tails, axis=0)
    partial = np.isnan(flat).any(axis=0) & ~np.isnan(flat).all(axis=0)
    if partial.any():
        ends[:, partial] = np.nanquantile(flat[:, partial], tails, axis=0)
    lower, upper = ends.reshape(2, *resampled.shape[1:])
    return lower, upper


def expanded_tail(cluster_count: int, coverage: float = 0.95) -> float:
    """Quantile at which a bootstrap over this many clusters is read off instead of (1 - coverage) / 2."""
    from scipy.special import ndtr
    from scipy.stats import t

    count = max(cluster_count, 2)
    return float(ndtr(-np.sqrt(count / (count - 1)) * t.ppf((1 + coverage) / 2, count - 1)))


def nan_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis without NaN; NaN (and no warning) where there is nothing else."""
    present = ~np.isnan(values)
    count = np.asarray(present.sum(axis=0))
    total = np.asarray(np.where(present, values, 0.0).sum(axis=0))
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def t_half_width(error: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Half the width of the 95 % interval of means, NaN below three clusters.

    Args:
        error: standard errors of the means, [...].
        count: clusters behind each, [...].
    """
    from scipy.stats import t

    return np.asarray(t.ppf(0.975, np.where(count >= LEAST_CLUSTER_COUNT, count - 1, np.nan)) * error)


@dataclass(frozen=True)
class ClusterTest:
    """Mean over clusters, its t interval and two-sided p value, all [...]; NaN where clusters are too few."""

    estimate: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    p_value: np.ndarray
    cluster_count: np.ndarray


def cluster_t_test(values: np.ndarray, clusters: np.ndarray, null: float = 0.0) -> ClusterTest:
    """One-sample t test of the cluster means against `null`.

    Args:
        values: [paragraph, ...]; NaN is left out.
        clusters: labels, [paragraph].
        null: value the mean is tested against.
    """
    from scipy.stats import t

    means = cluster_means(values, clusters)
    estimate, count = nan_mean(means), np.asarray((~np.isnan(means)).sum(axis=0))
    enough = count >= LEAST_CLUSTER_COUNT
    degrees = np.where(enough, count - 1, np.nan)
    squares = np.nansum((means - estimate) ** 2, axis=0)
    error = np.sqrt(squares / degrees / np.maximum(count, 1))
    half = t_half_width(error, count)
    distance = np.abs(estimate - null)
    statistic = np.divide(distance, error, out=np.where(distance > 0, np.inf, 0.0), where=error > 0)
    p_value = np.where(enough, 2 * t.sf(statistic, degrees), np.nan)
    return ClusterTest(estimate, estimate - half, estimate + half, p_value, count)


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """q values of Benjamini and Hochberg (1995), scipy's: the false discovery rate at which each test is a finding.

    Args:
        p: p values, any shape; NaN is no test and stays NaN.

    Returns:
        q values, same shape.
    """
    from scipy.stats import false_discovery_control

    p = np.asarray(p, dtype=np.float64)
    q, tested = np.full(p.shape, np.nan), ~np.isnan(p)
    q[tested] = false_discovery_control(p[tested])
    return q


def wilson_interval(successes: int, n: int, coverage: float = 0.95) -> tuple[float, float]:
    """Interval of Wilson (1927) for a share, statsmodels'; (NaN, NaN) for n = 0.

    Args:
        successes: count in 0..n.
        n: trials.
        coverage: 0.95 for 95 %.

    Raises:
        ProbeError: successes outside 0..n.
    """
    from statsmodels.stats.proportion import proportion_confint

    if not 0 <= successes <= n:
        raise ProbeError(f"{successes} successes of {n} trials make no share; count again.")
    if n == 0:
        return math.nan, math.nan
    lower, upper = proportion_confint(successes, n, alpha=1 - coverage, method="wilson")
    return float(lower), float(upper)
