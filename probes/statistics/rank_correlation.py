"""Rank correlations as inner products: one vector per paragraph and head, one per paragraph, unit length each.

Pearson's r is the inner product of centred values, Spearman's rho that of centred ranks, Kendall's tau-b that of the
signs of all pairwise differences. So estimate, permutation and clustering share one code path.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Coefficient = Literal["spearman", "kendall", "pearson"]
COEFFICIENTS: tuple[Coefficient, ...] = ("spearman", "kendall", "pearson")


def unit_features(values: np.ndarray, coefficient: Coefficient) -> np.ndarray:
    """Vectors whose inner products are the coefficient.

    Args:
        values: [..., position].
        coefficient: spearman, kendall or pearson.

    Returns:
        [..., feature] of the dtype of `values`; zero where all values of a vector are equal.
    """
    if coefficient == "kendall":
        first, second = np.triu_indices(values.shape[-1], k=1)
        features = np.sign(values[..., first] - values[..., second])
    else:
        features = average_ranks(values) if coefficient == "spearman" else values
        features = features - features.mean(axis=-1, keepdims=True)
    norm = np.sqrt(np.einsum("...f,...f->...", features, features))[..., None]
    constant = np.ptp(values, axis=-1, keepdims=True) == 0
    return np.divide(features, norm, out=np.zeros_like(features), where=(norm > 0) & ~constant)


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 along the last axis, equal values share the mean of theirs; dtype of `values`."""
    from scipy.stats import rankdata

    return rankdata(values, axis=-1).astype(values.dtype)


def dense_ranks(values: np.ndarray) -> np.ndarray:
    """Dense ranks from 0 along the last axis, equal values share one; [..., position], int64."""
    order = np.argsort(values, axis=-1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=-1)
    steps = np.cumsum(np.diff(ordered, axis=-1, prepend=ordered[..., :1]) != 0, axis=-1)
    ranks = np.empty_like(steps)
    np.put_along_axis(ranks, order, steps, axis=-1)
    return ranks
