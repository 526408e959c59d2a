"""Correlations within paragraphs, averaged over clusters, with bootstrap intervals and a placebo of re-paired texts.

The placebo gives every cluster's attention the rarity of another cluster's prefix. What a head's habits of place and a
profile of rarity along the prefix have in common stays in it, so that no such profile passes for an interest in rare
tokens; shuffling rarity within a prefix would take the profile away and call it a finding in four of five such worlds.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from probes.statistics.clusters import (
    LEAST_CLUSTER_COUNT,
    bootstrap_means,
    cluster_means,
    nan_mean,
    percentile_interval,
)
from probes.statistics.rank_correlation import Coefficient, dense_ranks, unit_features
from probes.statistics.token_types import TokenTest, token_random_effects

# Permutations beyond these ones are told by the tail of a normal distribution where the placebo is a mean over many
# clusters; below that many clusters only counts are used.
_LEAST_EXCEEDANCES = 10
_CLUSTERS_FOR_NORMAL_TAIL = 30
_KENDALL_PERMUTATIONS = 200
# A head that looks at the same places in every text gives every re-pairing the same number, up to rounding.
_ROUNDING = 1e-6
_CHUNK = 2**23  # floats of the largest temporary array


@dataclass(frozen=True)
class Sample:
    """Paragraphs sorted by cluster.

    Attributes:
        attention: heads of all layers one after the other, [paragraph, head, position].
        order: index of each sorted paragraph in the input, [paragraph].
        labels: cluster number of each sorted paragraph, 0.., [paragraph].
        starts: first sorted paragraph of each cluster, [cluster].
        seed: seed of bootstrap and placebo.
        bootstrap_draws: bootstrap samples.
        permutations: re-pairings of clusters, at most.
    """

    attention: np.ndarray
    order: np.ndarray
    labels: np.ndarray
    starts: np.ndarray
    seed: int
    bootstrap_draws: int
    permutations: int

    @classmethod
    def of(
        cls, attention: np.ndarray, clusters: np.ndarray, seed: int, bootstrap_draws: int, permutations: int
    ) -> Sample:
        """Sort [paragraph, head, position] attention by cluster."""
        _, number = np.unique(np.asarray(clusters), return_inverse=True)
        # Within a cluster by content, so that the order of the input does not matter.
        order = np.lexsort((attention.reshape(len(attention), -1)[:, 0], number))
        labels = number[order]
        starts = np.flatnonzero(np.diff(labels, prepend=-1))
        return cls(attention[order], order, labels, starts, seed, bootstrap_draws, permutations)

    def chunks(self, floats_per_paragraph: int) -> Iterator[slice]:
        """Slices of sorted paragraphs that keep temporaries small."""
        size = max(1, _CHUNK // max(1, floats_per_paragraph))
        return (slice(start, start + size) for start in range(0, len(self.order), size))

    @functools.cached_property
    def partners(self) -> np.ndarray:
        """Whose rarity each paragraph's attention meets, [paragraph, permutation], as indices of sorted paragraphs.

        Clusters are permuted; paragraphs of a cluster meet those of the other one in order, over and over where it is
        the smaller. The identity is among the permutations that can be drawn, as in every exact test.
        """
        rng = np.random.default_rng([self.seed, 1])
        sizes = np.diff([*self.starts, len(self.labels)])
        within = np.arange(len(self.labels)) - self.starts[self.labels]
        clusters = np.tile(np.arange(len(self.starts)), (self.permutations, 1))
        other = rng.permuted(clusters, axis=1)[:, self.labels]  # [permutation, paragraph]
        return np.ascontiguousarray((self.starts[other] + within % sizes[other]).T)


@dataclass(frozen=True)
class Tested:
    """One coefficient for all heads; arrays are [head], NaN where there is nothing to say."""

    estimate: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    uniform_null: float
    placebo: np.ndarray
    placebo_lower: np.ndarray
    placebo_upper: np.ndarray
    p_value: np.ndarray
    family_p_value: np.ndarray
    family_lower: np.ndarray
    family_upper: np.ndarray

    @classmethod
    def untested(cls, estimate: np.ndarray, uniform: float) -> Tested:
        """Estimates [head] of too few clusters for anything else."""
        return cls(estimate, uniform_null=uniform, **dict.fromkeys(_TEST_NAMES, np.full_like(estimate, np.nan)))


_TEST_NAMES = (
    *("lower", "upper", "placebo", "placebo_lower", "placebo_upper", "p_value"),
    *("family_p_value", "family_lower", "family_upper"),
)


def within_paragraphs(sample: Sample, rarity: np.ndarray, coefficient: Coefficient, permutations: int) -> Tested:
    """Mean over clusters of the correlation with `rarity`, [paragraph, position] in input order."""
    rarity = rarity[sample.order]
    values = _per_paragraph(sample, rarity, coefficient)
    means = cluster_means(values, sample.labels)
    estimate = nan_mean(means)
    if len(sample.starts) < LEAST_CLUSTER_COUNT:
        return Tested.untested(estimate, 0.0)
    lower, upper = percentile_interval(
        bootstrap_means(means, sample.bootstrap_draws, sample.seed), cluster_count=len(sample.starts)
    )
    weights = _weights(sample, values)
    if coefficient == "kendall":
        placebo = _kendall_placebo(sample, rarity, min(permutations, _KENDALL_PERMUTATIONS), weights)
    else:
        placebo = _placebo(sample, rarity, coefficient, permutations, weights)
    return tested(estimate, (lower, upper), 0.0, placebo, len(sample.starts))


def over_token_types(sample: Sample, rarity: np.ndarray, token_ids: np.ndarray, coefficient: Coefficient) -> TokenTest:
    """The correlation of each head with token types as random effects; arrays are [paragraph, position], input order.

    Attention and rarity are standardised within paragraphs, so that the slope of one on the other is a correlation, and
    lose what all paragraphs share at a position, so that no profile along the prefix passes for rarity.
    """
    paragraphs, heads, length = sample.attention.shape
    scale = np.sqrt(length)
    weights = 1 / np.bincount(sample.labels)[sample.labels]
    attended = _less_position(unit_features(sample.attention.astype(np.float64), coefficient) * scale, weights)
    expected = _less_position(unit_features(rarity[sample.order], coefficient) * scale, weights)
    test = token_random_effects(
        np.moveaxis(attended, 1, 2).reshape(paragraphs * length, heads),
        expected.ravel(),
        token_ids[sample.order].ravel(),
        np.repeat(weights, length),
    )
    constant = ~attended.any(axis=(0, 2))
    hidden = np.where(constant, np.nan, 1.0)
    numbers = (test.estimate * hidden, test.lower * hidden, test.upper * hidden, test.p_value * hidden)
    return TokenTest(*numbers, test.type_count)


def _less_position(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[paragraph, ..., position] less the weighted mean over paragraphs at each position."""
    return np.asarray(values - np.tensordot(weights / weights.sum(), values, axes=(0, 0)))


def tested(
    estimate: np.ndarray, interval: tuple[np.ndarray, np.ndarray], uniform: float, placebo: np.ndarray, clusters: int
) -> Tested:
    """Put an estimate [head] beside its placebo [permutation, head]."""
    placebo_lower, placebo_upper = percentile_interval(placebo)
    p_value = permutation_p(estimate, placebo, normal_tail=clusters >= _CLUSTERS_FOR_NORMAL_TAIL)
    hidden = np.where(np.isnan(estimate), np.nan, 1.0)  # no placebo for a head without an estimate
    family = _of_the_best(estimate, interval, placebo)
    return Tested(
        estimate,
        *interval,
        uniform,
        nan_mean(placebo) * hidden,
        placebo_lower * hidden,
        placebo_upper * hidden,
        p_value,
        *(values * hidden for values in family),
    )


def _of_the_best(
    estimate: np.ndarray, interval: tuple[np.ndarray, np.ndarray], placebo: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """p value and interval of each head, [head], as if it had been chosen as the best of all (Westfall and Young 1993).

    Whoever picks the head that stands out most must compare it with what the head that stands out most reaches in each
    re-pairing: max |z| over heads, z in standard deviations of the head's placebo. The interval is wider by the 95 %
    quantile of that maximum; its error is the placebo's or the bootstrap's, whichever is larger.
    """
    from scipy.special import ndtri

    known = ~np.isnan(estimate)
    centre, spread = nan_mean(placebo), np.std(placebo, axis=0, ddof=1)
    usable = known & (spread > _ROUNDING)
    if not usable.any():
        nothing = np.full_like(estimate, np.nan)
        return nothing, nothing, nothing
    largest = np.abs((placebo - centre)[:, usable] / spread[usable]).max(axis=1)
    z = np.where(usable, np.abs(estimate - centre) / np.where(usable, spread, 1.0), 0.0)
    beyond = (largest[:, None] >= z[None] - 1e-12).sum(axis=0)
    far, half = float(np.quantile(largest, 0.95)), (interval[1] - interval[0]) / 2
    wide = np.maximum(far * spread, far / ndtri(0.975) * half)
    # Every coefficient lies between −1 and 1, and so do the ends.
    return (beyond + 1) / (len(placebo) + 1), np.maximum(estimate - wide, -1.0), np.minimum(estimate + wide, 1.0)


def permutation_p(estimate: np.ndarray, placebo: np.ndarray, *, normal_tail: bool) -> np.ndarray:
    """Two-sided p value of [head] estimates against [permutation, head] placebos; NaN for NaN.

    (k + 1) / (n + 1) with k of n shuffles at least as far from the placebo's mean. Counting cannot resolve the small p
    values that many heads ask for; with `normal_tail`, heads beyond almost all shuffles take the tail of a normal
    distribution with the placebo's mean and standard deviation instead.
    """
    from scipy.special import ndtr

    centre, spread = nan_mean(placebo), np.std(placebo, axis=0, ddof=1)
    distance = np.abs(estimate - centre)
    exceedances = (np.abs(placebo - centre) >= distance - _ROUNDING).sum(axis=0)
    p_value = (exceedances + 1) / (len(placebo) + 1)
    if normal_tail:
        z = np.divide(distance, spread, out=np.zeros_like(distance), where=spread > _ROUNDING)
        p_value = np.where((exceedances < _LEAST_EXCEEDANCES) & (spread > _ROUNDING), 2 * ndtr(-z), p_value)
    return np.where(np.isnan(estimate), np.nan, p_value)


def _per_paragraph(sample: Sample, rarity: np.ndarray, coefficient: Coefficient) -> np.ndarray:
    """Coefficient of each paragraph and head, [paragraph, head]; NaN where attention or rarity is constant."""
    heads, length = sample.attention.shape[1:]
    values = np.empty((len(rarity), heads))
    for rows in sample.chunks(heads * _feature_count(length, coefficient) * 2):
        attended = unit_features(sample.attention[rows].astype(np.float64), coefficient)
        values[rows] = np.einsum("phf,pf->ph", attended, unit_features(rarity[rows], coefficient), optimize=True)
    constant = (np.ptp(sample.attention, axis=-1) == 0) | (np.ptp(rarity, axis=-1) == 0)[:, None]
    values[constant] = np.nan
    return values


def _feature_count(length: int, coefficient: Coefficient) -> int:
    return length * (length - 1) // 2 if coefficient == "kendall" else length


def _weights(sample: Sample, values: np.ndarray) -> np.ndarray:
    """Weight of each paragraph in the mean over clusters of each head, [paragraph, head]; columns sum to one."""
    present = (~np.isnan(values)).astype(np.float64)
    in_cluster = np.add.reduceat(present, sample.starts, axis=0)
    filled = (in_cluster > 0).sum(axis=0)
    return present / np.maximum(in_cluster, 1)[sample.labels] / np.maximum(filled, 1)


def _placebo(
    sample: Sample, rarity: np.ndarray, coefficient: Coefficient, count: int, weights: np.ndarray
) -> np.ndarray:
    """The estimate with the rarity of re-paired paragraphs, [permutation, head]."""
    heads, length = sample.attention.shape[1:]
    total = np.zeros((heads, count))
    expected = unit_features(rarity.astype(np.float32), coefficient)
    for rows in sample.chunks(max(heads, count) * length):
        attended = _weighted_features(sample, rows, coefficient, weights)
        met = expected[sample.partners[rows, :count]]
        total += np.tensordot(attended, met, axes=([0, 2], [0, 2]))
    return total.T


def _kendall_placebo(sample: Sample, rarity: np.ndarray, count: int, weights: np.ndarray) -> np.ndarray:
    """As `_placebo`, for Kendall's tau-b, [permutation, head].

    With antisymmetric pairs of attention, the sum over pairs of their product with the sign of a difference in rarity
    is the sum over ordered pairs whose first token is the rarer one: a comparison and a matrix product.
    """
    heads, length = sample.attention.shape[1:]
    total = np.zeros((heads, count))
    ranks = dense_ranks(rarity).astype(np.uint8 if length <= 256 else np.uint16)
    pairs = np.count_nonzero(np.triu(ranks[:, :, None] != ranks[:, None, :], k=1), axis=(1, 2))
    scale = np.divide(1, np.sqrt(pairs), out=np.zeros(len(pairs)), where=pairs > 0)
    for rows in sample.chunks(heads * length * length * 2):
        attended = _ordered_pairs(_weighted_features(sample, rows, "kendall", weights), length)
        for features, partners in zip(attended, sample.partners[rows, :count], strict=True):
            met = ranks[partners]
            rarer = (met[:, :, None] > met[:, None, :]).reshape(count, -1)
            total += features @ (rarer * scale[partners, None]).T.astype(np.float32)
    return total.T


def _ordered_pairs(features: np.ndarray, length: int) -> np.ndarray:
    """Features of pairs i < j, [..., pair], as an antisymmetric matrix, flat: [..., position x position]."""
    first, second = np.triu_indices(length, k=1)
    matrix = np.zeros((*features.shape[:-1], length, length), features.dtype)
    matrix[..., first, second] = features
    matrix[..., second, first] = -features
    return matrix.reshape(*features.shape[:-1], length * length)


def _weighted_features(sample: Sample, rows: slice, coefficient: Coefficient, weights: np.ndarray) -> np.ndarray:
    """Features of attention times what each paragraph weighs, [paragraph, head, feature], float32."""
    attended = unit_features(sample.attention[rows].astype(np.float32), coefficient)
    return attended * weights[rows, :, None].astype(np.float32)
