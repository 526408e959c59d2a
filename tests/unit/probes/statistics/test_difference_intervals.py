"""Paired differences of a bounded quantity: Student's t, and never certainty from a few alike."""

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_1samp

from probes.errors import ProbeError
from probes.statistics.bounded import difference_test


def test_differences_that_vary_have_the_t_interval():
    values = np.array([3.0, -1.0, 4.0, 1.0, -5.0, 9.0])
    expected = ttest_1samp(values, 0).confidence_interval()
    found = difference_test(values, np.arange(6), 50.0)
    assert (float(found.lower), float(found.upper)) == pytest.approx((expected.low, expected.high))


def test_twelve_alike_do_not_exclude_what_twelve_may_miss():
    """The end is the bound times the share of clusters that Clopper and Pearson cannot exclude after 0 of 12."""
    found = difference_test(np.zeros(12), np.arange(12), 50.0)
    missed = 50 * binomtest(0, 12).proportion_ci(method="exact").high
    assert (float(found.lower), float(found.upper)) == pytest.approx((-missed, missed), rel=0.05)
    assert float(found.p_value) > 0.5


def test_all_at_the_bound_is_far_from_nothing():
    found = difference_test(np.full(12, -50.0), np.arange(12), 50.0)
    assert float(found.lower) == -50.0 and -30 < float(found.upper) < 0 and float(found.p_value) < 0.001


def test_values_beyond_the_bound_are_refused():
    with pytest.raises(ProbeError, match="leave the bounds"):
        difference_test(np.full(4, 60.0), np.arange(4), 50.0)
