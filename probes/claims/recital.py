"""Claims of P1 (Stoehr et al. 2024, arXiv 2403.19851) on how much is recited, and by how little it is destroyed.

Sections 3 (bins of exact match, copies) and 4 (one changed token).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from probes.claims.rules import SCHEMA, Claim, Measured, cluster_mean, judged_row, same_number_row
from probes.claims.triggers import DESTROYED_SHARE, EARLY_SHARE

_SECTION_3, _SECTION_4 = "Stoehr et al. 2024, section 3", "Stoehr et al. 2024, section 4"
REPORTED_BINS = {"0-10": 12_422, "11-29": 436, "30-49": 141, "50": 442}
"""Paragraphs by exact match of 50 tokens, GPT-Neo 125M."""


def recital_claims(
    scores: pl.DataFrame, perturbations: pl.DataFrame, minimal: pl.DataFrame, *, is_papers_model: bool = False
) -> pl.DataFrame:
    """Rows of table claims (without checkpoint_id).

    Args:
        scores: paragraph_id, exact_match, em_bin, duplication_count (may be null), near_duplicate_cluster, of all
            scored paragraphs.
        perturbations: rows of the view triggers: paragraph_id, em_drop, is_memorized, near_duplicate_cluster.
        minimal: rows of minimal_perturbations: paragraph_id, position.
        is_papers_model: whether the checkpoint is GPT-Neo 125M on the Pile.

    Returns:
        Rows with the columns of SCHEMA.
    """
    kept = perturbations.drop_nulls("em_drop").filter("is_memorized")
    rows = [*_bins(scores, is_papers_model), _copies(scores), _one_change(kept, scores), _where(kept, minimal)]
    return pl.DataFrame(rows, schema=SCHEMA)


def _bins(scores: pl.DataFrame, is_papers_model: bool) -> Iterator[dict[str, Any]]:
    """Share of paragraphs in each bin of exact match; the unit is the cluster."""
    total = sum(REPORTED_BINS.values())
    for (name, count), short in zip(REPORTED_BINS.items(), ("0_10", "11_29", "30_49", "50"), strict=True):
        claim = Claim(
            f"em_bin_{short}", _SECTION_3,
            f"{count / total:.1%} of the sampled paragraphs ({count:,} of {total:,}) have an exact match of {name}.",
            count / total,
        )  # fmt: skip
        inside = (scores["em_bin"] == name).to_numpy().astype(float)
        clusters = scores["near_duplicate_cluster"].to_numpy()
        yield same_number_row(claim, cluster_mean(inside, clusters, None, (0.0, 1.0)), is_papers_model)


def _copies(scores: pl.DataFrame) -> dict[str, Any]:
    """Exact match grows with copies: Spearman over clusters, Fisher's interval (Bonett and Wright 2000)."""
    from scipy.special import ndtri
    from scipy.stats import spearmanr

    claim = Claim(
        "recital_grows_with_copies", _SECTION_3,
        "Paragraphs with more copies in the corpus are recited further (Spearman over clusters).",
    )  # fmt: skip
    known = scores.drop_nulls("duplication_count").group_by("near_duplicate_cluster").agg(
        pl.col("exact_match").mean(), pl.col("duplication_count").max()
    )  # fmt: skip
    pair = known.select("duplication_count", "exact_match").to_numpy().T.astype(float)
    if known.height < 6 or not np.ptp(pair, axis=1).all():
        return judged_row(claim, Measured(null_value=0.0), "greater")
    ours = float(spearmanr(*pair).statistic)
    half = ndtri(0.975) * np.sqrt((1 + ours**2 / 2) / (known.height - 3))
    z = np.arctanh(np.clip(ours, -0.999999, 0.999999))
    return judged_row(claim, Measured(ours, float(np.tanh(z - half)), float(np.tanh(z + half)), 0.0), "greater")


def _one_change(kept: pl.DataFrame, scores: pl.DataFrame) -> dict[str, Any]:
    """Some single change destroys a memorized continuation, anywhere in the prefix."""
    claim = Claim(
        "one_change_destroys", _SECTION_4,
        f"One changed prefix token can destroy a memorized continuation (share of clusters with a change that costs at "
        f"least {DESTROYED_SHARE:.0%} of it).",
    )  # fmt: skip
    length = float(scores["exact_match"].max() or 0)  # type: ignore[arg-type]
    worst = kept.group_by("near_duplicate_cluster").agg(pl.col("em_drop").max())["em_drop"].to_numpy()
    destroyed = (worst >= DESTROYED_SHARE * length).astype(float)
    return judged_row(claim, cluster_mean(destroyed, np.arange(len(destroyed)), EARLY_SHARE, (0.0, 1.0)), "greater")


def _where(kept: pl.DataFrame, minimal: pl.DataFrame) -> dict[str, Any]:
    """The one change that costs most lies late in the prefix; 0 first, 1 last of the changed positions."""
    claim = Claim(
        "minimal_change_lies_late", _SECTION_4,
        "The single change that costs a memorized paragraph most lies late in the prefix (0 the first changed "
        "position, 1 the last; anywhere alike would be 0.5).",
    )  # fmt: skip
    places = kept["position"].unique().sort() if kept.height else pl.Series(dtype=pl.Int32)
    if len(places) < 2:
        return judged_row(claim, Measured(null_value=0.5), "greater")
    first, last = int(places[0]), int(places[-1])
    clusters = kept.select("paragraph_id", "near_duplicate_cluster").unique()
    rows = minimal.join(clusters, on="paragraph_id", how="inner", maintain_order="left")
    place = ((rows["position"].to_numpy() - first) / (last - first)).clip(0, 1)
    labels = rows["near_duplicate_cluster"].to_numpy()
    return judged_row(claim, cluster_mean(place.astype(float), labels, 0.5, (0.0, 1.0)), "greater")
