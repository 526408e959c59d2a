"""Correlations within paragraphs, averaged over clusters, with bootstrap intervals and a shuffled-rarity placebo."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from probes.head_rarity_features import Coefficient, cluster_permutations, unit_features
from probes.inference import LEAST_CLUSTER_COUNT, bootstrap_means, cluster_means, nan_mean, percentile_interval
from probes.inference_tokens import TokenTest, token_random_effects

# Permutations beyond these ones are told by the tail of a normal distribution where the placebo is a mean over many
# clusters; below that many clusters only counts are used.
_LEAST_EXCEEDANCES = 10
_CLUSTERS_FOR_NORMAL_TAIL = 30
_KENDALL_PERMUTATIONS = 200
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
    """

    attention: np.ndarray
    order: np.ndarray
    labels: np.ndarray
    starts: np.ndarray
    seed: int
    bootstrap_draws: int

    @classmethod
    def of(cls, attention: np.ndarray, clusters: np.ndarray, seed: int, bootstrap_draws: int) -> Sample:
        """Sort [paragraph, head, position] attention by cluster."""
        _, number = np.unique(np.asarray(clusters), return_inverse=True)
        order = np.argsort(number, kind="stable")
        labels = number[order]
        starts = np.flatnonzero(np.diff(labels, prepend=-1))
        return cls(attention[order], order, labels, starts, seed, bootstrap_draws)

    def chunks(self, floats_per_paragraph: int) -> Iterator[slice]:
        """Slices of sorted paragraphs that keep temporaries small."""
        size = max(1, _CHUNK // max(1, floats_per_paragraph))
        return (slice(start, start + size) for start in range(0, len(self.order), size))

    def shuffles(self, rows: slice, count: int) -> np.ndarray:
        """Position permutations of the paragraphs in `rows`, [paragraph, permutation, position]."""
        labels, index = np.unique(self.labels[rows], return_inverse=True)
        length = self.attention.shape[-1]
        return np.stack([cluster_permutations(int(c), count, length, self.seed) for c in labels])[index]


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


def within_paragraphs(sample: Sample, rarity: np.ndarray, coefficient: Coefficient, permutations: int) -> Tested:
    """Mean over clusters of the correlation with `rarity`, [paragraph, position] in input order."""
    rarity = rarity[sample.order]
    values = _per_paragraph(sample, rarity, coefficient)
    means = cluster_means(values, sample.labels)
    estimate = nan_mean(means)
    nothing = np.full_like(estimate, np.nan)
    if len(sample.starts) < LEAST_CLUSTER_COUNT:
        return Tested(estimate, nothing, nothing, 0.0, nothing, nothing, nothing, nothing)
    lower, upper = percentile_interval(bootstrap_means(means, sample.bootstrap_draws, sample.seed))
    count = min(permutations, _KENDALL_PERMUTATIONS) if coefficient == "kendall" else permutations
    placebo = _placebo(sample, rarity, coefficient, count, _weights(sample, values))
    return tested(estimate, (lower, upper), 0.0, placebo, len(sample.starts))


def over_token_types(sample: Sample, rarity: np.ndarray, token_ids: np.ndarray, coefficient: Coefficient) -> TokenTest:
    """The correlation of each head with token types as random effects; arrays are [paragraph, position], input order.

    Attention and rarity are standardised within paragraphs, so that the slope of one on the other is a correlation.
    """
    paragraphs, heads, length = sample.attention.shape
    scale = np.sqrt(length)
    attended = unit_features(sample.attention.astype(np.float64), coefficient) * scale
    expected = unit_features(rarity[sample.order], coefficient) * scale
    weights = 1 / np.bincount(sample.labels)[sample.labels]
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


def tested(
    estimate: np.ndarray, interval: tuple[np.ndarray, np.ndarray], uniform: float, placebo: np.ndarray, clusters: int
) -> Tested:
    """Put an estimate [head] beside its placebo [permutation, head]."""
    placebo_lower, placebo_upper = percentile_interval(placebo)
    p_value = permutation_p(estimate, placebo, normal_tail=clusters >= _CLUSTERS_FOR_NORMAL_TAIL)
    hidden = np.where(np.isnan(estimate), np.nan, 1.0)  # no placebo for a head without an estimate
    return Tested(
        estimate,
        *interval,
        uniform,
        nan_mean(placebo) * hidden,
        placebo_lower * hidden,
        placebo_upper * hidden,
        p_value,
    )


def permutation_p(estimate: np.ndarray, placebo: np.ndarray, *, normal_tail: bool) -> np.ndarray:
    """Two-sided p value of [head] estimates against [permutation, head] placebos; NaN for NaN.

    (k + 1) / (n + 1) with k of n shuffles at least as far from the placebo's mean. Counting cannot resolve the small p
    values that many heads ask for; with `normal_tail`, heads beyond almost all shuffles take the tail of a normal
    distribution with the placebo's mean and standard deviation instead.
    """
    from scipy.special import ndtr

    centre, spread = nan_mean(placebo), np.std(placebo, axis=0, ddof=1)
    distance = np.abs(estimate - centre)
    exceedances = (np.abs(placebo - centre) >= distance - 1e-12).sum(axis=0)
    p_value = (exceedances + 1) / (len(placebo) + 1)
    if normal_tail:
        z = np.divide(distance, spread, out=np.zeros_like(distance), where=spread > 0)
        p_value = np.where((exceedances < _LEAST_EXCEEDANCES) & (spread > 0), 2 * ndtr(-z), p_value)
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
    """The estimate with rarity shuffled within paragraphs, [permutation, head]."""
    heads, length = sample.attention.shape[1:]
    total = np.zeros((heads, count))
    for rows in sample.chunks(max(heads, count) * _feature_count(length, coefficient)):
        attended = unit_features(sample.attention[rows].astype(np.float32), coefficient)
        attended *= weights[rows, :, None].astype(np.float32)
        shuffled = np.take_along_axis(rarity[rows, None].astype(np.float32), sample.shuffles(rows, count), axis=-1)
        features = unit_features(shuffled, coefficient)
        total += np.tensordot(attended, features, axes=([0, 2], [0, 2]))
    return total.T
