"""Intervals of means over few clusters whose values may be skewed: Student's and Hall's, joined.

Student's t misses the mean of a skewed quantity (89 to 92 % at 8 clusters), Hall's transformation that of groups that
vary unlike one another (92.9 %); the interval that spans both covers 94 % and more in the worlds of docs/coverage.md,
for 1.2 to 1.5 times the width at 8 clusters and 1.02 to 1.2 times at 30. It was tried beside Johnson's shift (no gain)
and the bootstrap-t (91 to 96 %).
"""

from __future__ import annotations

import numpy as np


def mean_interval(values: np.ndarray, level: float | None = None) -> tuple[float, float]:
    """95 % interval of a mean: Student's joined with Hall's cubic transformation (Hall 1992, J. R. Stat. Soc. B 54).

    Args:
        values: one per cluster, at least three.
        level: quantile of Student's t to use in place of its own at 97.5 % and one degree of freedom less than values.
    """
    from scipy.stats import t

    count, mean, deviation = len(values), float(values.mean()), float(values.std(ddof=1))
    reach = (float(t.ppf(0.975, count - 1)) if level is None else level) / np.sqrt(count)
    if deviation == 0:
        return mean, mean
    skew = float(((values - mean) ** 3).mean()) * count**2 / ((count - 1) * (count - 2)) / deviation**3
    ends = [-reach, reach, _hall(reach, skew, count), _hall(-reach, skew, count)]
    return mean - deviation * max(ends), mean - deviation * min(ends)


def _hall(distance: float, skew: float, count: int) -> float:
    """The distance from the mean, in deviations, that Hall's transformation takes to `distance`."""
    if abs(skew) < 1e-9:
        return distance
    return float(3 / skew * (np.cbrt(1 + skew * (distance - skew / (6 * count))) - 1))


def difference_interval(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """95 % interval of the difference of two means, from the interval of each (Zou and Donner 2008, Stat. Med. 27).

    Degrees of freedom are Welch's; for values that are not skewed it is Welch's interval.

    Args:
        one: one value per cluster, at least three.
        other: the same of the other group.
    """
    from scipy.stats import t

    shares = [float(values.var(ddof=1)) / len(values) for values in (one, other)]
    weights = sum(share**2 / (len(values) - 1) for share, values in zip(shares, (one, other), strict=True))
    degrees = sum(shares) ** 2 / weights if weights > 0 else len(one) + len(other) - 2
    level = float(t.ppf(0.975, degrees))
    (low, high), (other_low, other_high) = mean_interval(one, level), mean_interval(other, level)
    first, second = float(one.mean()), float(other.mean())
    below = np.hypot(first - low, other_high - second)
    above = np.hypot(high - first, second - other_low)
    return first - second - float(below), first - second + float(above)
