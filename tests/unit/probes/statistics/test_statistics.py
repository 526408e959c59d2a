"""Intervals and error rates against scipy and against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from probes.errors import ProbeError
from probes.statistics.clusters import (
    benjamini_hochberg,
    bootstrap_means,
    cluster_means,
    percentile_interval,
    resampling_weights,
    wilson_interval,
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_q_values_equal_statsmodels(p):
    assert np.allclose(benjamini_hochberg(np.array(p)), multipletests(p, method="fdr_bh")[1])


def test_q_values_leave_missing_tests_out():
    q = benjamini_hochberg(np.array([[0.01, np.nan], [0.04, 0.5]]))
    assert np.isnan(q[0, 1])
    assert np.isnan(benjamini_hochberg(np.array([np.nan]))).all() and benjamini_hochberg(np.empty(0)).shape == (0,)
    assert np.allclose([q[0, 0], q[1, 0], q[1, 1]], multipletests([0.01, 0.04, 0.5], method="fdr_bh")[1])


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 500), share=st.floats(0, 1))
def test_wilson_equals_scipys(n, share):
    successes = round(n * share)
    expected = stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson_interval(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_wilson_of_nothing_is_unknown_and_of_nonsense_refused():
    assert np.isnan(wilson_interval(0, 0)).all()
    with pytest.raises(ProbeError, match="share"):
        wilson_interval(3, 2)


def test_cluster_means_leave_nan_out_and_keep_the_order_of_the_labels():
    values = np.array([[1.0, np.nan], [3.0, 5.0], [7.0, np.nan]])
    assert np.array_equal(cluster_means(values, np.array(["b", "b", "a"])), [[7, np.nan], [2, 5]], equal_nan=True)


def interval(values, clusters, draws, seed):
    return percentile_interval(bootstrap_means(cluster_means(values, clusters), draws, seed))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16), repeats=st.integers(1, 5))
def test_copies_of_a_paragraph_change_nothing(seed, repeats):
    values = np.random.default_rng(seed).normal(size=12)
    once = interval(values, np.arange(12), 2000, seed)
    copied = interval(np.repeat(values, repeats), np.repeat(np.arange(12), repeats), 2000, seed)
    assert np.allclose(once, copied)


def test_bootstrap_agrees_with_scipys_percentile_bootstrap():
    values = np.random.default_rng(1).gamma(2, size=60)
    lower, upper = interval(values, np.arange(60), 20000, seed=0)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20000, method="percentile", rng=2).confidence_interval
    assert (lower, upper) == pytest.approx((theirs.low, theirs.high), rel=0.02)


def test_columns_are_resampled_together_and_missing_values_do_not_spread():
    rng = np.random.default_rng(0)
    means = rng.normal(size=(10, 3))
    means[4, 1] = np.nan
    means[:, 2] = np.nan
    resampled = bootstrap_means(means, 300, seed=5)
    weights = resampling_weights(10, 300, np.random.default_rng(5))
    assert np.allclose(resampled[:, 0], weights @ means[:, 0] / 10)
    kept = np.delete(np.arange(10), 4)
    assert np.allclose(resampled[:, 1], weights[:, kept] @ means[kept, 1] / weights[:, kept].sum(axis=1))
    lower, upper = percentile_interval(resampled)
    assert np.isnan(lower[2]) and np.isfinite(lower[:2]).all() and (lower[:2] < upper[:2]).all()


def test_interval_covers_the_truth_about_as_often_as_it_says():
    """Clustered data: 30 clusters of 1 to 6 near copies; an interval over paragraphs would be far too narrow."""
    rng = np.random.default_rng(8)
    covered = 0
    for repetition in range(400):
        sizes = rng.integers(1, 7, size=30)
        values = np.repeat(rng.normal(size=30), sizes) + 0.1 * rng.normal(size=sizes.sum())
        lower, upper = interval(values, np.repeat(np.arange(30), sizes), 400, repetition)
        covered += lower <= 0 <= upper
    assert 0.90 <= covered / 400 <= 0.98
