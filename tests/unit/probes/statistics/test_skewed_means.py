"""Intervals of skewed means: Student's and Welch's where nothing is skewed, covering where they do not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t, ttest_ind

from probes.statistics.skewed import difference_interval, mean_interval


def test_without_skew_it_is_students_and_welchs():
    one, other = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]) + 7, np.array([-3.0, 0.0, 0.0, 3.0])
    expected = t.interval(0.95, len(one) - 1, loc=one.mean(), scale=one.std(ddof=1) / np.sqrt(len(one)))
    assert mean_interval(one) == pytest.approx(expected)
    welch = ttest_ind(one, other, equal_var=False).confidence_interval()
    assert difference_interval(one, other) == pytest.approx((welch.low, welch.high))


def test_a_tail_to_the_right_moves_the_upper_end_only():
    values = np.array([0.1, 0.2, 0.2, 0.3, 0.3, 0.4, 0.6, 2.5])
    student = t.interval(0.95, 7, loc=values.mean(), scale=values.std(ddof=1) / np.sqrt(8))
    low, high = mean_interval(values)
    assert low == pytest.approx(student[0]) and high > student[1]
    assert mean_interval(-values) == pytest.approx((-high, -low))
    assert mean_interval(np.full(5, 3.0)) == (3.0, 3.0)


WORLDS = {
    "normal": (lambda rng: rng.normal(0.5, 1, 8), 0.5),
    "exponential": (lambda rng: rng.exponential(1, 8), 1.0),
    "tail": (lambda rng: -np.tanh(rng.exponential(0.2, 8)), -0.182),
    "uneven": (lambda rng: rng.normal(0, 1 + 2 * (np.arange(8) % 3 == 0)), 0.0),
}


@pytest.mark.parametrize("name", list(WORLDS))
def test_eight_clusters_cover_at_least_93_percent(name):
    world, truth = WORLDS[name]
    rng = np.random.default_rng(5)
    ends = np.array([mean_interval(world(rng)) for _ in range(2000)])
    assert ((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean() >= 0.93


def test_a_skewed_group_and_one_that_is_not():
    rng = np.random.default_rng(6)
    ends = np.array([difference_interval(rng.exponential(1, 8), rng.normal(1, 0.3, 8)) for _ in range(2000)])
    assert ((ends[:, 0] <= 0) & (ends[:, 1] >= 0)).mean() >= 0.93
