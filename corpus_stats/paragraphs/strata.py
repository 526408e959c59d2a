"""Strata of paragraphs, and samples with so many from each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from corpus_stats.errors import CorpusError


def occurrence_strata(occurrence_count: np.ndarray) -> list[str]:
    """Bins of doubling width by occurrence count: "0", "1", "2-3", "4-7", … as Carlini et al. 2022 (§5) draw them."""
    counts = np.asarray(occurrence_count, dtype=np.int64)
    if len(counts) and int(counts.min()) < 0:
        raise CorpusError(f"An occurrence count is negative ({int(counts.min())}); counts start at 0.")
    return [_bin(int(count)) for count in counts]


def _bin(count: int) -> str:
    if count < 2:
        return str(count)
    lower = 1 << (count.bit_length() - 1)
    return f"{lower}-{2 * lower - 1}"


def stratified_rows(strata: Sequence[str], per_stratum: int | Mapping[str, int], seed: int) -> np.ndarray:
    """Draws paragraphs from each stratum without replacement; a stratum with too few gives all it has.

    The draw in a stratum depends on the seed, the stratum's name and its size, not on the other strata.

    Args:
        strata: stratum of every paragraph.
        per_stratum: paragraphs to draw from every stratum, or from each by name (others give none).
        seed: decides which.

    Returns:
        Ascending row numbers, int64.
    """
    labels = np.asarray(strata, dtype=object)
    drawn = []
    for name in sorted(set(strata)):
        members = np.flatnonzero(labels == name)
        size = per_stratum if isinstance(per_stratum, int) else per_stratum.get(name, 0)
        generator = np.random.default_rng([seed, *name.encode("utf-8")])
        drawn.append(generator.permutation(members)[:size])
    return np.sort(np.concatenate(drawn)).astype(np.int64) if drawn else np.zeros(0, dtype=np.int64)


def subset_coverage(sample: pl.DataFrame, documents: pl.DataFrame) -> pl.DataFrame:
    """How well a sample covers the subsets of its corpus.

    Args:
        sample: windows or paragraphs, with subset.
        documents: all documents of the corpus, with subset and token_count.

    Returns:
        One row per subset of the corpus or the sample, largest first: subset, token_count (0 where a sample comes from
        other text), token_share, paragraph_count (0 where the sample has none), paragraph_share.
    """
    tokens = documents.group_by("subset").agg(pl.col("token_count").sum())
    windows = sample.group_by("subset").agg(paragraph_count=pl.len().cast(pl.Int64))
    joined = tokens.join(windows, on="subset", how="full", coalesce=True).with_columns(
        pl.col("token_count", "paragraph_count").fill_null(0)
    )
    return joined.select(
        "subset",
        "token_count",
        token_share=pl.col("token_count") / pl.col("token_count").sum(),
        paragraph_count="paragraph_count",
        paragraph_share=pl.col("paragraph_count") / pl.max_horizontal(pl.col("paragraph_count").sum(), 1),
    ).sort(["token_count", "subset"], descending=[True, False])
