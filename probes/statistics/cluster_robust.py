"""Least squares with errors that clusters share: CR2 and Bell and McCaffrey's degrees, for few and unlike clusters.

The usual cluster-robust covariance with t of clusters − 1 finds effects of copies that are not there in one sample of
five at 8 clusters, because a few clusters carry all of the contrast. CR2 takes the leverage of each cluster out of its
residuals; the degrees of freedom say how many clusters a contrast really rests on (Bell and McCaffrey 2002; Pustejovsky
and Tipton 2018, who show that effects nested in clusters, such as paragraph effects, need no terms of their own).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_LEAST_LEFT = 1e-8  # share of a direction that the design must leave of a cluster's residuals
LEAST_DEGREES = 2.0
"""Contrasts that rest on fewer degrees of freedom have no interval: t would be guessing."""


@dataclass(frozen=True)
class Contrast:
    """One linear combination of coefficients: estimate, CR2 standard error and degrees of freedom."""

    estimate: float
    error: float
    degrees: float

    @property
    def is_testable(self) -> bool:
        """Whether there is an error and enough clusters behind it."""
        return self.error > 0 and self.degrees >= LEAST_DEGREES

    def interval(self) -> tuple[float, float]:
        """95 % interval by t."""
        from scipy.stats import t

        half = float(t.ppf(0.975, self.degrees)) * self.error
        return self.estimate - half, self.estimate + half

    def p_value(self) -> float:
        """Two-sided, of the estimate being zero."""
        from scipy.stats import t

        return float(2 * t.sf(abs(self.estimate) / self.error, self.degrees))


class ClusterRobust:
    """Least squares of one outcome on columns and an orthonormal basis of controls."""

    def __init__(self, y: np.ndarray, columns: np.ndarray, basis: np.ndarray, cluster: np.ndarray) -> None:
        """Fit.

        Args:
            y: outcome, [row].
            columns: what is asked about, [row, coefficient]; with the basis of full rank.
            basis: orthonormal controls, [row, control]; may have no column.
            cluster: labels, [row].
        """
        left = columns - basis @ (basis.T @ columns)
        self._to_coefficients = np.linalg.pinv(left)  # [coefficient, row]
        self.coefficients = self._to_coefficients @ y
        whole = np.concatenate([basis, np.linalg.qr(left)[0]], axis=1)
        self._residual = y - whole @ (whole.T @ y)
        _, number = np.unique(cluster, return_inverse=True)
        order = np.argsort(number, kind="stable")
        self._rows = np.split(order, np.flatnonzero(np.diff(number[order])) + 1)
        self._halves = [_inverse_root(whole[rows]) for rows in self._rows]
        self._whole = whole

    def contrast(self, weights: np.ndarray) -> Contrast:
        """The combination of coefficients with these weights, [coefficient]."""
        of_row = weights @ self._to_coefficients
        adjusted = [_apply(half, of_row[rows]) for half, rows in zip(self._halves, self._rows, strict=True)]
        variance = sum(float(a @ self._residual[rows]) ** 2 for a, rows in zip(adjusted, self._rows, strict=True))
        shared = np.stack([self._whole[rows].T @ a for a, rows in zip(adjusted, self._rows, strict=True)])
        spread = np.diag([float(a @ a) for a in adjusted]) - shared @ shared.T
        square = float((spread**2).sum())
        degrees = float(np.trace(spread)) ** 2 / square if square > 0 else 0.0
        return Contrast(float(weights @ self.coefficients), math.sqrt(variance), degrees)


def _inverse_root(part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(I − U Uᵀ)^(−1/2) − I of a cluster's rows U [row, column], as directions [row, k] and factors [k].

    Directions that the design fits entirely are left as they are: their residuals are zero.
    """
    left, singular, _ = np.linalg.svd(part, full_matrices=False)
    kept = 1 - singular**2
    factor = np.where(kept > _LEAST_LEFT, 1 / np.sqrt(np.maximum(kept, _LEAST_LEFT)) - 1, -1.0)
    return left, factor


def _apply(half: tuple[np.ndarray, np.ndarray], values: np.ndarray) -> np.ndarray:
    """The root times [row] values."""
    directions, factor = half
    return np.asarray(values + directions @ (factor * (directions.T @ values)))


def grouped_means(values: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Means whose error is shared within groups: `ClusterRobust` for an intercept alone, many columns at once.

    Args:
        values: [row, column].
        groups: labels, [row].

    Returns:
        Means and CR2 standard errors, [column], and the degrees of freedom.
    """
    count = len(values)
    _, number = np.unique(groups, return_inverse=True)
    size = np.bincount(number).astype(np.float64)
    mean = values.mean(axis=0)
    if len(size) < 2:
        return mean, np.full(mean.shape, np.nan), 0.0
    sums = np.zeros((len(size), values.shape[1]))
    np.add.at(sums, number, values - mean)
    left = 1 - size / count
    error = np.sqrt((sums**2 / left[:, None]).sum(axis=0)) / count
    shared = size / np.sqrt(left)
    spread = np.diag(size / left) - np.outer(shared, shared) / count
    return mean, error, float(np.trace(spread) ** 2 / (spread**2).sum())
