"""Intervals hold what they promise with 4 to 30 clusters, in worlds where most values sit at a bound too.

Shares of 400 samples whose interval holds the mean; 93 % at least from 8 clusters on. docs/method.md has the table.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from probes.errors import ProbeError
from probes.statistics.bounded import bounded_test
from probes.statistics.clusters import bootstrap_means, cluster_t_test, percentile_interval

SAMPLES = 400
BOUNDED = {
    "most targets forgotten nothing": lambda rng, n: np.where(rng.random(n) < 0.8, 50.0, rng.uniform(0, 50, n)),
    "nearly all at the bound": lambda rng, n: np.where(rng.random(n) < 0.95, 50.0, rng.uniform(0, 50, n)),
    "all or nothing": lambda rng, n: 50.0 * (rng.random(n) < 0.5),
    "towards both bounds": lambda rng, n: 50 * rng.beta(0.5, 0.5, n),
    "near one bound": lambda rng, n: 50 * rng.beta(1, 9, n),
    "in the middle": lambda rng, n: np.clip(rng.normal(25, 3, n), 0, 50),
    "a rare collapse": lambda rng, n: np.where(rng.random(n) < 0.9, rng.uniform(44, 46, n), rng.uniform(0, 20, n)),
}


def coverage(world, count, interval, seed=0):
    rng = np.random.default_rng(seed)
    truth = world(np.random.default_rng(99), 10**6).mean()
    ends = np.array([interval(world(rng, count)) for _ in range(SAMPLES)])
    return float(((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean()), ends


def of_bounded(values):
    test = bounded_test(values, np.arange(len(values)), 0.0, 50.0)
    return float(test.lower), float(test.upper)


@pytest.mark.parametrize("clusters", [4, 8, 16, 30])
@pytest.mark.parametrize("name", list(BOUNDED))
def test_bounded_means_are_covered_inside_their_bounds(name, clusters):
    share, ends = coverage(BOUNDED[name], clusters, of_bounded)
    assert share >= 0.93
    assert ends.min() >= 0 and ends.max() <= 50


def test_the_t_interval_does_not_hold_there():
    def of_t(values):
        test = cluster_t_test(values, np.arange(len(values)))
        return float(test.lower), float(test.upper)

    share, ends = coverage(BOUNDED["most targets forgotten nothing"], 4, of_t)
    assert share < 0.7 and (ends.max() > 50 or ends.min() < 0), "the reason why bounded means have their own"


def test_agreement_of_all_clusters_is_no_certainty():
    test = bounded_test(np.full(8, 50.0), np.arange(8), 0.0, 50.0)
    assert test.upper == 50 and 25 < test.lower < 40


@pytest.mark.parametrize(("successes", "count"), [(0, 8), (3, 8), (10, 12), (25, 30)])
def test_for_shares_it_is_the_interval_of_clopper_and_pearson(successes, count):
    values = np.repeat([1.0, 0.0], [successes, count - successes])
    test = bounded_test(values, np.arange(count), 0.0, 1.0, null=0.5)
    exact = binomtest(successes, count, 0.5)
    ends = exact.proportion_ci(0.95, "exact")
    assert float(test.lower) == pytest.approx(ends.low, abs=0.02)
    assert float(test.upper) == pytest.approx(ends.high, abs=0.02)
    assert float(test.p_value) == pytest.approx(exact.pvalue, abs=0.03)


def test_copies_count_once_and_missing_values_not_at_all():
    values = np.array([10.0, 10, 10, 40, np.nan, 30, 20])
    test = bounded_test(values, np.array([0, 0, 0, 1, 2, 3, 4]), 0.0, 50.0)
    alone = bounded_test(np.array([10.0, 40, 30, 20]), np.arange(4), 0.0, 50.0)
    assert test.cluster_count == 4 and float(test.lower) == float(alone.lower)
    assert np.isnan(bounded_test(values[:4], np.array([0, 0, 0, 1]), 0.0, 50.0).lower)
    with pytest.raises(ProbeError, match="leave the bounds"):
        bounded_test(values, np.arange(7), 0.0, 35.0)


CORRELATIONS = {
    "normal": lambda rng, n: rng.normal(0.1, 0.15, n),
    "skewed": lambda rng, n: np.tanh(rng.exponential(0.2, n)),
    "uneven": lambda rng, n: np.tanh(rng.normal(0.1, 0.1 + 0.2 * (np.arange(n) % 3 == 0), n)),
}


# What bootstrap means were found to cover with 1,500 samples: 93 % and more from 8 clusters on, but for skewed values,
# where no interval without a model of the skew does. The bars below leave three standard errors of 600 samples.
COVERED = {
    "normal": {4: 0.867, 8: 0.944, 16: 0.943, 30: 0.949},
    "uneven": {4: 0.865, 8: 0.933, 16: 0.929, 30: 0.931},
    "skewed": {4: 0.831, 8: 0.905, 16: 0.919, 30: 0.935},
}


@pytest.mark.parametrize("clusters", [4, 8, 16, 30])
@pytest.mark.parametrize("name", list(CORRELATIONS))
def test_bootstrap_means_of_correlations_are_covered(name, clusters):
    """Read off at expanded quantiles; the plain percentile interval covers 80 % at 4 clusters."""
    rng = np.random.default_rng(1)
    values = np.array([CORRELATIONS[name](rng, clusters) for _ in range(600)]).T
    truth = np.mean(CORRELATIONS[name](np.random.default_rng(99), 3 * 10**5))
    lower, upper = percentile_interval(bootstrap_means(values, 600, seed=clusters), cluster_count=clusters)
    share, stated = float(((lower <= truth) & (truth <= upper)).mean()), COVERED[name][clusters]
    assert abs(share - stated) <= 3.5 * np.sqrt(stated * (1 - stated) / 600)
    if clusters >= 8 and name != "skewed":
        assert stated >= 0.929, "93 %, to the error of the campaign"
