"""Rarity of what each head looks at, beside its null (P1: Stoehr et al. 2024, section 6.2, found head 1.2 at −0.97).

P1 sums attention per rarity rank over paragraphs and correlates the sums with the rank. Attention spread evenly
already gives a strongly negative number there, because few paragraphs reach the high ranks. So that number comes with
its uniform-attention null, beside correlations within each paragraph, where even attention gives nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from probes.attention.summed_by_rank import summed_by_rank
from probes.attention.within_paragraphs import Sample, Tested, over_token_types, within_paragraphs
from probes.errors import ProbeError
from probes.statistics.clusters import benjamini_hochberg
from probes.statistics.rank_correlation import COEFFICIENTS, Coefficient, dense_ranks

__all__ = ["head_rarity"]

SCHEMA: dict[str, Any] = {
    "layer": pl.Int32,
    "head": pl.Int32,
    "coefficient": pl.String,
    **dict.fromkeys(
        ("estimate", "lower", "upper", "uniform_null", "placebo", "placebo_lower", "placebo_upper"), pl.Float64
    ),
    "p_value": pl.Float64,
    "q_value": pl.Float64,
    **dict.fromkeys(("family_p_value", "family_lower", "family_upper"), pl.Float64),
    "rank_among_heads": pl.Int32,
    "cluster_count": pl.Int32,
    "paragraph_count": pl.Int32,
}


TOKEN_NUMBERS = ("token_estimate", "token_lower", "token_upper", "token_p_value", "token_q_value")
# What is tested over token types: coefficient of the row, rarity, coefficient within paragraphs.
_TOKEN_TESTS: tuple[tuple[str, str, Coefficient], ...] = (
    ("spearman", "surprisal", "spearman"),
    ("pearson", "surprisal", "pearson"),
    ("summed_by_rank", "rank", "pearson"),
)
TOKEN_SCHEMA: dict[str, Any] = {**dict.fromkeys(TOKEN_NUMBERS, pl.Float64), "token_type_count": pl.Int32}


def head_rarity(
    attention: np.ndarray,
    surprisal_bits: np.ndarray,
    rarity_rank: np.ndarray,
    clusters: np.ndarray,
    *,
    seed: int,
    bootstrap_draws: int = 2000,
    permutations: int = 1000,
    token_ids: np.ndarray | None = None,
    coefficients: Sequence[str] = (*COEFFICIENTS, "summed_by_rank"),
) -> pl.DataFrame:
    """Correlation between the attention of each head and the rarity of the prefix tokens.

    Args:
        attention: weights of one query on the prefix, [paragraph, layer, head, position].
        surprisal_bits: rarity of each prefix token, [paragraph, position], bits; large = rare.
        rarity_rank: corpus-level dense rank of each prefix token, [paragraph, position], 0 = rarest; the dense rank
            within the paragraph, which P1 uses, is derived from it.
        clusters: near-duplicate cluster of each paragraph, [paragraph], integers; the unit of intervals and tests.
        seed: seed of bootstrap and permutations.
        bootstrap_draws: bootstrap samples of clusters.
        permutations: re-pairings of attention and rarity of different clusters (Kendall and summed_by_rank use fewer).
        token_ids: the prefix tokens, [paragraph, position]; adds the test over token types.
        coefficients: which of spearman, kendall, pearson and summed_by_rank.

    Returns:
        One row per layer, head and coefficient (also without any paragraph, then all null) with the columns of table
        head_rarity. spearman, kendall (tau-b) and pearson are correlations with surprisal within each paragraph,
        averaged over clusters: positive = looks at rare tokens. summed_by_rank is the construction of P1 over all
        paragraphs: negative = rare. A head with constant attention has null estimates; below three clusters intervals
        and tests are null. placebo, p_value and q_value are against re-paired clusters: what habits of place and a
        profile of rarity explain is no finding. family_p_value, family_lower and family_upper know that a head was
        picked as the best of all. With `token_ids` also token_estimate, token_lower, token_upper, token_p_value,
        token_q_value and token_type_count for all but kendall: the correlation, adjusted for position, with token types
        as random effects (of summed_by_rank: attention against the rank, negative = rare).
        A head that merely prefers some types looks rarity-seeking over paragraphs and not over types (see
        probes/statistics/token_types.py).

    Raises:
        ProbeError: the arrays do not fit each other.
    """
    _check(attention, surprisal_bits, rarity_rank, clusters)
    layers, heads = attention.shape[1:3]
    if not len(attention):
        return _nothing(layers, heads, token_ids is not None)
    flat = np.asarray(attention).reshape(len(attention), layers * heads, attention.shape[3])
    sample = Sample.of(flat, clusters, seed, bootstrap_draws, permutations)
    tested: list[tuple[Coefficient | str, Tested]] = [
        (name, within_paragraphs(sample, np.asarray(surprisal_bits, dtype=np.float64), name, permutations))
        for name in COEFFICIENTS
        if name in coefficients
    ]
    if "summed_by_rank" in coefficients:
        tested.append(("summed_by_rank", summed_by_rank(sample, dense_ranks(rarity_rank), permutations)))
    frames = [_frame(sample, name, result, heads) for name, result in tested]
    frame = pl.concat(frames).select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
    return (
        frame
        if token_ids is None
        else _with_token_types(frame, sample, surprisal_bits, dense_ranks(rarity_rank), token_ids)
    )


def _nothing(layers: int, heads: int, with_tokens: bool) -> pl.DataFrame:
    """The table of a group without paragraphs: every head and coefficient, nothing estimated, nothing counted."""
    names = (*COEFFICIENTS, "summed_by_rank")
    rows = [(layer, head, name, 0, 0) for name in names for layer in range(layers) for head in range(heads)]
    known = ("layer", "head", "coefficient", "cluster_count", "paragraph_count")
    frame = pl.DataFrame(rows, schema={name: SCHEMA[name] for name in known}, orient="row")
    schema = SCHEMA | (TOKEN_SCHEMA if with_tokens else {})
    return frame.select(
        pl.col(name) if name in known else pl.lit(None, dtype).alias(name) for name, dtype in schema.items()
    )


def _with_token_types(
    frame: pl.DataFrame, sample: Sample, surprisal_bits: np.ndarray, rank: np.ndarray, token_ids: np.ndarray
) -> pl.DataFrame:
    """Add the correlations over token types; null for kendall. `rank` is the dense rank within the paragraph."""
    parts = []
    for name, rarity, coefficient in (one for one in _TOKEN_TESTS if one[0] in frame["coefficient"]):
        values = surprisal_bits if rarity == "surprisal" else rank
        test = over_token_types(sample, np.asarray(values, dtype=np.float64), token_ids, coefficient)
        numbers = (test.estimate, test.lower, test.upper, test.p_value, benjamini_hochberg(test.p_value))
        rows = frame.filter(coefficient=name).select("layer", "head", "coefficient")
        columns = [
            pl.Series(column, values).fill_nan(None) for column, values in zip(TOKEN_NUMBERS, numbers, strict=True)
        ]
        parts.append(rows.with_columns(*columns, pl.lit(test.type_count, pl.Int32).alias("token_type_count")))
    return frame.join(pl.concat(parts), on=["layer", "head", "coefficient"], how="left", maintain_order="left")


def _check(attention: np.ndarray, surprisal: np.ndarray, rank: np.ndarray, clusters: np.ndarray) -> None:
    if attention.ndim != 4:
        raise ProbeError(f"attention has shape {attention.shape}; give [paragraph, layer, head, position].")
    expected = (attention.shape[0], attention.shape[3])
    for name, values in (("surprisal_bits", surprisal), ("rarity_rank", rank)):
        if values.shape != expected:
            raise ProbeError(
                f"{name} has shape {values.shape}, but attention asks for {expected}; give [paragraph, position]."
            )
    if len(clusters) != len(attention):
        raise ProbeError(f"{len(clusters)} cluster labels come with {len(attention)} paragraphs; give one each.")


def _frame(sample: Sample, name: str, result: Tested, heads: int) -> pl.DataFrame:
    """Rows of one coefficient, heads in order; NaN becomes null."""
    index = np.arange(len(result.estimate))
    sign = 1 if name == "summed_by_rank" else -1
    columns = {
        "layer": index // heads,
        "head": index % heads,
        "estimate": result.estimate,
        "lower": result.lower,
        "upper": result.upper,
        "uniform_null": np.full(len(index), result.uniform_null),
        "placebo": result.placebo,
        "placebo_lower": result.placebo_lower,
        "placebo_upper": result.placebo_upper,
        "p_value": result.p_value,
        "q_value": benjamini_hochberg(result.p_value),
        "family_p_value": result.family_p_value,
        "family_lower": result.family_lower,
        "family_upper": result.family_upper,
        "rank_among_heads": _rank(sign * result.estimate),
    }
    counts = {"cluster_count": len(sample.starts), "paragraph_count": len(sample.attention)}
    return pl.DataFrame(columns).with_columns(
        pl.selectors.float().fill_nan(None),
        pl.lit(name).alias("coefficient"),
        **{k: pl.lit(v) for k, v in counts.items()},
    )


def _rank(values: np.ndarray) -> np.ndarray:
    """Rank of each head, 0 = smallest value, as floats; NaN has none."""
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(np.float64)
    ranks[np.isnan(values)] = np.nan
    return ranks
