"""Means of quantities that have a least and a greatest value: intervals inside the bounds, honest for few clusters.

A t interval of exact matches leaves 0..50, and where most paragraphs sit at a bound it covers the mean half the time.
"""

from __future__ import annotations

import functools

import numpy as np

from probes.errors import ProbeError
from probes.statistics.clusters import LEAST_CLUSTER_COUNT, ClusterTest, cluster_means, cluster_t_test, nan_mean

_DRAWS = 4000
_ROUNDING = 1e-9


def bounded_test(
    values: np.ndarray, clusters: np.ndarray, least: float, most: float, null: float | None = None
) -> ClusterTest:
    """Mean over clusters with an interval that respects the bounds (Gaffke 2005; Learned-Miller and Thomas 2020).

    The upper end is the 97.5 % quantile of the mean under random weights, Dirichlet(1, …, 1), of the ordered means and
    one more value at the upper bound; the lower end mirrors it. For values that are only 0 or 1 it is Clopper and
    Pearson's interval. Coverage was at least 95 % in every world of tests/validity/probes/test_coverage.py.

    Args:
        values: [paragraph, ...], between least and most; NaN is left out.
        clusters: labels, [paragraph].
        least, most: bounds of the quantity.
        null: value the mean is tested against; without one there is no p value.

    Returns:
        Estimate, interval and p value, each [...]; interval and p value are NaN below three clusters.

    Raises:
        ProbeError: a value lies outside the bounds.
    """
    means = cluster_means(values, clusters)
    slack = _ROUNDING * (most - least)
    if np.nanmin(means, initial=least) < least - slack or np.nanmax(means, initial=most) > most + slack:
        raise ProbeError(f"values leave the bounds {least} to {most}; give the bounds of the quantity itself.")
    means = means.clip(least, most)
    flat = means.reshape(len(means), -1)
    ends = np.array([_ends(column[~np.isnan(column)], least, most, null) for column in flat.T]).reshape(-1, 3)
    shape = means.shape[1:]
    lower, upper, p_value = (ends[:, index].reshape(shape) for index in range(3))
    count = np.asarray((~np.isnan(means)).sum(axis=0))
    return ClusterTest(nan_mean(means), lower, upper, p_value, count)


def difference_test(values: np.ndarray, clusters: np.ndarray, most: float) -> ClusterTest:
    """Mean of paired differences of a quantity between 0 and `most`: Student's t, and never an interval of no width.

    Where every cluster shows the same difference nothing is known of the spread; the interval is then that of
    `bounded_test`, which asks how large a share of clusters that differ may have been missed.

    Args:
        values: differences, [paragraph], between -most and most.
        clusters: labels, [paragraph].
        most: upper bound of the quantity.

    Raises:
        ProbeError: a value lies outside the bounds.
    """
    test = cluster_t_test(values, clusters)
    return bounded_test(values, clusters, -most, most, null=0.0) if test.lower == test.upper else test


def _ends(means: np.ndarray, least: float, most: float, null: float | None) -> tuple[float, float, float]:
    """Lower end, upper end and p value of one sample."""
    if len(means) < LEAST_CLUSTER_COUNT:
        return np.nan, np.nan, np.nan
    weights = _weights(len(means))
    inner = weights[:, :-1] @ np.sort(means)
    low, high = inner + weights[:, -1] * least, inner + weights[:, -1] * most
    p_value = np.nan if null is None else 2 * min((low <= null).mean(), (high >= null).mean(), 0.5)
    return max(least, float(np.quantile(low, 0.025))), min(most, float(np.quantile(high, 0.975))), float(p_value)


@functools.lru_cache(maxsize=64)
def _weights(count: int) -> np.ndarray:
    """Fixed draws of Dirichlet(1, …, 1) over `count` values and one bound, [draw, count + 1]."""
    return np.random.default_rng(count).dirichlet(np.ones(count + 1), _DRAWS)
