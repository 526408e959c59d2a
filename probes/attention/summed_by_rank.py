"""The construction of P1 (section 6.2): attention summed per rarity rank over paragraphs, correlated with the rank."""

from __future__ import annotations

import numpy as np

from probes.attention.within_paragraphs import Sample, Tested, tested
from probes.statistics.clusters import LEAST_CLUSTER_COUNT, nan_mean, resampling_weights, t_half_width

_SUMMED_PERMUTATIONS = 400


def summed_by_rank(sample: Sample, ranks: np.ndarray, permutations: int) -> Tested:
    """Pearson correlation between rank and attention summed per rank; negative = looks at rare tokens.

    Args:
        sample: attention sorted by cluster.
        ranks: dense rank of each prefix token within its paragraph, 0 = rarest, [paragraph, position], input order.
        permutations: re-pairings asked for.
    """
    ranks = ranks[sample.order]
    rank_count = int(ranks.max()) + 1
    sums = np.stack([_sums(sample, rows, ranks[rows], rank_count) for rows in _cluster_slices(sample)])
    estimate = _correlation(sums.sum(axis=0))
    even = np.bincount(ranks.ravel(), minlength=rank_count).astype(np.float64)
    uniform = float(_correlation(even))
    if len(sums) < LEAST_CLUSTER_COUNT:
        return Tested.untested(estimate, uniform)
    interval = _fisher_interval(estimate, _bootstrap(sample, sums), len(sums))
    placebo = _placebo(sample, ranks, rank_count, min(permutations, _SUMMED_PERMUTATIONS))
    return tested(estimate, interval, uniform, placebo, len(sums))


def _fisher_interval(estimate: np.ndarray, resampled: np.ndarray, cluster_count: int) -> tuple[np.ndarray, np.ndarray]:
    """95 % t interval around [head] estimates: Fisher's z with the standard deviation of the [draw, head] bootstrap.

    Percentiles of the bootstrap would not do: resampling adds noise to the sums, which pulls their correlation towards
    zero by more than it spreads, so that the interval would miss its own estimate.
    """
    inside = 1 - 1e-12
    z = np.arctanh(np.clip(estimate, -inside, inside))
    drawn = np.arctanh(np.clip(resampled, -inside, inside))
    half = t_half_width(np.sqrt(nan_mean((drawn - nan_mean(drawn)) ** 2)), np.asarray(cluster_count))
    return np.tanh(z - half), np.tanh(z + half)


def _cluster_slices(sample: Sample) -> list[slice]:
    ends = [*sample.starts[1:].tolist(), len(sample.labels)]
    return [slice(start, end) for start, end in zip(sample.starts.tolist(), ends, strict=True)]


def _sums(sample: Sample, rows: slice, ranks: np.ndarray, rank_count: int) -> np.ndarray:
    """Attention per rank summed over some paragraphs, [head, rank]."""
    one_hot = (ranks.reshape(-1, 1) == np.arange(rank_count)).astype(sample.attention.dtype)
    attention = np.moveaxis(sample.attention[rows], 1, 0).reshape(sample.attention.shape[1], -1)
    return (attention @ one_hot).astype(np.float64)


def _correlation(sums: np.ndarray) -> np.ndarray:
    """Pearson correlation with the rank along the last axis; NaN where the sums are constant or there is one rank."""
    rank = np.arange(sums.shape[-1], dtype=np.float64)
    rank -= rank.mean()
    centred = sums - sums.mean(axis=-1, keepdims=True)
    norm = np.linalg.norm(centred, axis=-1) * np.linalg.norm(rank)
    level = np.abs(sums).max(axis=-1) * sums.shape[-1]
    varies = norm > 1e-12 * level
    return np.divide(centred @ rank, norm, out=np.full(norm.shape, np.nan), where=varies)


def _bootstrap(sample: Sample, sums: np.ndarray) -> np.ndarray:
    """The coefficient over resampled clusters, [draw, head]; `sums` is [cluster, head, rank]."""
    rng = np.random.default_rng(sample.seed)
    clusters, heads, ranks = sums.shape
    flat = sums.reshape(clusters, -1).astype(np.float32)
    drawn = []
    for start in range(0, sample.bootstrap_draws, 100):
        weights = resampling_weights(clusters, min(100, sample.bootstrap_draws - start), rng).astype(np.float32)
        drawn.append(_correlation((weights @ flat).reshape(-1, heads, ranks).astype(np.float64)))
    return np.concatenate(drawn)


def _placebo(sample: Sample, ranks: np.ndarray, rank_count: int, count: int) -> np.ndarray:
    """The coefficient with the ranks of re-paired paragraphs, [permutation, head]."""
    heads, length = sample.attention.shape[1:]
    sums = np.zeros((count, rank_count, heads))
    for rows in sample.chunks(max(heads, 2 * count) * length):
        attention = np.moveaxis(sample.attention[rows], 1, 2).reshape(-1, heads)
        met = ranks[sample.partners[rows, :count]]  # [paragraph, permutation, position]
        sums += _per_rank(attention, np.moveaxis(met, 1, 2).reshape(-1, count), rank_count)
    return _correlation(np.moveaxis(sums, 1, 2))


def _per_rank(attention: np.ndarray, places: np.ndarray, rank_count: int) -> np.ndarray:
    """[token, head] attention summed by the rank of each token in each re-pairing; one sparse product.

    Args:
        attention: [token, head].
        places: rank of each token, [token, permutation].
        rank_count: ranks there are.

    Returns:
        [permutation, rank, head].
    """
    from scipy.sparse import csc_array

    tokens, count = places.shape
    cells = (places + np.arange(count) * rank_count).astype(np.int32)
    starts = np.arange(tokens + 1, dtype=np.int32) * count
    member = csc_array(
        (np.ones(cells.size, attention.dtype), cells.ravel(), starts), shape=(count * rank_count, tokens)
    )
    return (member @ attention).reshape(count, rank_count, -1)
