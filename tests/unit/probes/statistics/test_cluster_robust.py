"""CR2 errors and Bell and McCaffrey's degrees against statsmodels and scipy where these have the same special case."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from probes.statistics.cluster_robust import ClusterRobust, grouped_means
from probes.statistics.token_types import token_random_effects

NOTHING = np.empty((60, 0))


def test_one_row_per_cluster_is_hc2():
    rng = np.random.default_rng(0)
    x, control = rng.gamma(1, 1, 60), np.ones((60, 1)) / np.sqrt(60)
    y = 0.3 * x + x * rng.normal(size=60)
    found = ClusterRobust(y, x[:, None], control, np.arange(60)).contrast(np.ones(1))
    fit = sm.OLS(y, sm.add_constant(x)).fit(cov_type="HC2")
    assert (found.estimate, found.error) == pytest.approx((fit.params[1], fit.bse[1]))
    assert 2 < found.degrees < 58


@pytest.mark.parametrize("clusters", [4, 10])
def test_equal_clusters_and_a_mean_are_a_t_test_of_cluster_means(clusters):
    rng = np.random.default_rng(1)
    y = np.repeat(rng.normal(1, 2, clusters), 6) + rng.normal(size=6 * clusters)
    label = np.repeat(np.arange(clusters), 6)
    found = ClusterRobust(y, np.ones((len(y), 1)), np.empty((len(y), 0)), label).contrast(np.ones(1))
    reference = stats.ttest_1samp(y.reshape(clusters, 6).mean(axis=1), 0)
    interval = reference.confidence_interval()
    assert found.degrees == pytest.approx(clusters - 1)
    assert found.interval() == pytest.approx((interval.low, interval.high))
    assert found.p_value() == pytest.approx(reference.pvalue)


def test_means_of_unequal_groups_are_the_same_fit():
    rng = np.random.default_rng(2)
    groups, values = rng.integers(0, 7, 60), rng.normal(size=(60, 3))
    mean, error, degrees = grouped_means(values, groups)
    for column in range(3):
        found = ClusterRobust(values[:, column], np.ones((60, 1)), NOTHING, groups).contrast(np.ones(1))
        assert (mean[column], error[column], degrees) == pytest.approx((found.estimate, found.error, found.degrees))


def test_a_contrast_that_rests_on_one_cluster_is_not_testable():
    rng = np.random.default_rng(3)
    label = np.repeat(np.arange(10), 6)
    x = rng.normal(size=60) * (label == 4)
    assert not ClusterRobust(rng.normal(size=60), x[:, None], NOTHING, label).contrast(np.ones(1)).is_testable


def test_clusters_that_the_controls_fit_entirely_say_nothing():
    rng = np.random.default_rng(4)
    label = np.repeat(np.arange(10), 6)
    own = (np.arange(60)[:, None] == np.arange(6)).astype(float)  # every row of cluster 0 has a control of its own
    x, y = rng.normal(size=(60, 1)), rng.normal(size=60)
    whole = ClusterRobust(y, x, own, label).contrast(np.ones(1))
    rest = ClusterRobust(y[6:], x[6:], np.empty((54, 0)), label[6:]).contrast(np.ones(1))
    assert (whole.estimate, whole.error, whole.degrees) == pytest.approx((rest.estimate, rest.error, rest.degrees))


def test_slopes_over_types_have_hc2_errors_and_the_same_degrees():
    """With one token a type and no variance but sampling, weights are equal: plain least squares over types."""
    rng = np.random.default_rng(5)
    x = rng.gamma(1, 1, 40)
    y = (0.2 * x + rng.normal(size=40) * (1 + 3 * (x > 2)))[:, None]
    test = token_random_effects(y, x, np.arange(40), np.ones(40))
    control = np.ones((40, 1)) / np.sqrt(40)
    found = ClusterRobust(y[:, 0], x[:, None], control, np.arange(40)).contrast(np.ones(1))
    assert test.estimate[0] == pytest.approx(found.estimate, abs=1e-6)
    low, high = found.interval()
    assert test.lower[0] <= low + 1e-6 and test.upper[0] >= high - 1e-6
