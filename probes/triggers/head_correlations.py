"""Do two heads look at the same tokens? Correlations of their attention, beside what a taste for places gives."""

from __future__ import annotations

import numpy as np
import polars as pl

from probes.errors import ProbeError
from probes.statistics.clusters import cluster_means, cluster_t_test
from probes.statistics.rank_correlation import unit_features


def head_correlations(attention: np.ndarray, clusters: np.ndarray) -> pl.DataFrame:
    """Do two heads look at the same tokens? Spearman correlation of their attention rows within each paragraph.

    Args:
        attention: weights on the prefix, [paragraph, layer, head, position].
        clusters: near-duplicate cluster, [paragraph].

    Returns:
        One row per pair of heads, each pair once: layer_a, head_a, layer_b, head_b, estimate, lower, upper (mean over
        clusters, 95 % t interval), position_null (the same between paragraphs of different clusters: what sharing a
        taste for positions alone gives), cluster_count. Null where a head is constant everywhere, and intervals below
        three clusters.

    Raises:
        ProbeError: the arrays do not fit each other.
    """
    if attention.ndim != 4 or len(attention) != len(clusters) or not len(attention):
        raise ProbeError(f"attention {attention.shape} and {len(clusters)} clusters do not fit; give one label each.")
    heads = attention.shape[2]
    flat = attention.reshape(len(attention), -1, attention.shape[3])
    features = unit_features(flat.astype(np.float64), "spearman")
    first, second = np.triu_indices(flat.shape[1], k=1)
    values = np.stack([(one @ one.T)[first, second] for one in features])
    constant = np.asarray(~features.any(axis=-1))
    values[constant[:, first] | constant[:, second]] = np.nan
    test = cluster_t_test(values, clusters)
    lower, upper = np.maximum(test.lower, -1.0), np.minimum(test.upper, 1.0)
    null = _between_clusters(cluster_means(features, clusters))[first, second]
    return pl.DataFrame(
        {
            "layer_a": first // heads, "head_a": first % heads, "layer_b": second // heads, "head_b": second % heads,
            "estimate": test.estimate, "lower": lower, "upper": upper,
            "position_null": np.where(np.isnan(test.estimate), np.nan, null), "cluster_count": test.cluster_count,
        }
    ).with_columns(pl.selectors.float().fill_nan(None), pl.selectors.integer().cast(pl.Int32))  # fmt: skip


def _between_clusters(means: np.ndarray) -> np.ndarray:
    """Mean inner product over pairs of different clusters, [head, head]; NaN for fewer than two clusters."""
    count = len(means)
    if count < 2:
        return np.full((means.shape[1],) * 2, np.nan)
    total = means.sum(axis=0)
    own = np.einsum("chf,cgf->hg", means, means, optimize=True)
    return (total @ total.T - own) / (count * (count - 1))
