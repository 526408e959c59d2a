"""Claims of P1 (Stoehr et al. 2024, arXiv 2403.19851) on perturbation (section 4) and the memorization head (6.2).

The rows and the rule are those of `claims`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from probes.claims.rules import (
    SCHEMA,
    Claim,
    Direction,
    Measured,
    claim_row,
    cluster_mean,
    judge,
    judged_row,
    mean_difference,
    same_number_row,
)
from probes.statistics.rank_correlation import unit_features

_SECTION_4, _SECTION_6 = "Stoehr et al. 2024, section 4", "Stoehr et al. 2024, section 6.2"
LEVEL = 0.05
LEAST_CLUSTERS_OF_HEADS = 12
"""At 8 clusters the best of four heads with tastes passes over token types in 16 % of samples (false_positives.md)."""
# A change is said to destroy a paragraph when it costs this share of the continuation.
DESTROYED_SHARE = 0.9
# "A few early tokens can destroy everything" is called supported when this share of paragraphs has such a token.
EARLY_SHARE = 0.05


def trigger_claims(
    perturbations: pl.DataFrame,
    rarity: pl.DataFrame,
    effects: pl.DataFrame,
    strongest: pl.DataFrame,
    correlations: pl.DataFrame,
    *,
    continuation_length: int = 50,
    is_papers_model: bool = False,
) -> pl.DataFrame:
    """Rows of table claims (without checkpoint_id) for P1 sections 4 and 6.

    Args:
        perturbations: one row per perturbed token with paragraph_id, position, em_drop, is_memorized,
            near_duplicate_cluster, as the view `triggers` gives them.
        rarity: rows of table head_rarity of one checkpoint, all groups.
        effects: what `trigger_effect` returns.
        strongest: what `strongest_triggers` returns.
        correlations: what `head_correlations` returns.
        continuation_length: tokens of the continuation.
        is_papers_model: whether the checkpoint is GPT-Neo 125M on the Pile; numbers of that model are not testable on
            another one.

    Returns:
        claim_id, paper, statement, reported, ours, lower, upper, null_value, verdict, reason.
    """
    kept = perturbations.drop_nulls("em_drop")
    rows = [
        *_drop_claims(kept, continuation_length, is_papers_model),
        *_position_claims(kept),
        _early_claim(kept, continuation_length),
        *_head_claims(rarity, is_papers_model),
        _correlation_claim(rarity, correlations),
        *_effect_claims(effects, strongest),
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


def _drops(kept: pl.DataFrame, memorized: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean EM drop per token of each paragraph and its cluster."""
    group = (
        kept.filter(pl.col("is_memorized") == memorized)
        .group_by("paragraph_id")
        .agg(pl.col("em_drop").mean(), pl.col("near_duplicate_cluster").first())
    )
    return group["em_drop"].to_numpy().astype(float), group["near_duplicate_cluster"].to_numpy()


def _drop_claims(kept: pl.DataFrame, length: int, is_papers_model: bool) -> Iterator[dict[str, Any]]:
    """Mean EM drop of memorized paragraphs, of the others, and their difference."""
    reported = {True: 12.19, False: 33.12}
    for memorized, name, short in ((True, "memorized paragraphs", "mp"), (False, "other paragraphs", "nmp")):
        claim = Claim(
            f"em_drop_{short}", _SECTION_4,
            f"Changing one prefix token costs {name} {reported[memorized]} tokens of exact match on average.",
            reported[memorized],
        )  # fmt: skip
        yield same_number_row(
            claim, cluster_mean(*_drops(kept, memorized), None, (0.0, float(length))), is_papers_model
        )
    claim = Claim(
        "memorized_harder_to_corrupt", _SECTION_4,
        "Memorized continuations are harder to corrupt than others: they lose fewer tokens per changed prefix token.",
        reported[False] - reported[True],
    )  # fmt: skip
    yield judged_row(claim, mean_difference(_drops(kept, False), _drops(kept, True)), "greater")


def _position_claims(kept: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Both groups lose more the later the changed token; Spearman correlation within paragraphs."""
    for memorized, name, short in ((True, "memorized paragraphs", "mp"), (False, "other paragraphs", "nmp")):
        claim = Claim(
            f"em_drop_grows_with_position_{short}", _SECTION_4,
            f"In {name} the drop grows towards the end of the prefix.",
        )  # fmt: skip
        values, clusters = [], []
        for paragraph in kept.filter(pl.col("is_memorized") == memorized).partition_by("paragraph_id"):
            pair = paragraph.select("position", "em_drop").to_numpy().T.astype(float)
            one, other = unit_features(pair, "spearman")
            values.append(one @ other if np.ptp(pair, axis=1).all() else np.nan)
            clusters.append(paragraph["near_duplicate_cluster"][0])
        yield judged_row(claim, cluster_mean(np.array(values), np.array(clusters), 0.0), "greater")


def _early_claim(kept: pl.DataFrame, continuation_length: int) -> dict[str, Any]:
    """A change in the first half of the prefix can destroy a memorized continuation."""
    claim = Claim(
        "early_tokens_destroy", _SECTION_4,
        f"A few tokens early in the prefix can destroy a memorized continuation (first half of the prefix, at least "
        f"{DESTROYED_SHARE:.0%} of the continuation lost).",
    )  # fmt: skip
    middle = (kept["position"].max() or 0) / 2  # type: ignore[operator]
    early = kept.filter(pl.col("is_memorized") & (pl.col("position") < middle))
    destroyed = early.group_by("near_duplicate_cluster").agg(
        (pl.col("em_drop") >= DESTROYED_SHARE * continuation_length).any().alias("destroyed")
    )["destroyed"]
    share = cluster_mean(destroyed.to_numpy().astype(float), np.arange(len(destroyed)), EARLY_SHARE, (0.0, 1.0))
    return judged_row(claim, share, "greater")


def best_head(rarity: pl.DataFrame, coefficient: str) -> dict[str, Any] | None:
    """The head that looks at the rarest tokens, over memorized paragraphs, or over all where none are.

    Summed by rank it is over all paragraphs together, as P1's number is.
    """
    for group in ("all", "MP") if coefficient == "summed_by_rank" else ("MP", "all"):
        rows = rarity.filter(paragraph_group=group, coefficient=coefficient, rank_among_heads=0)
        if not rows.is_empty() and rows["estimate"][0] is not None and rows["lower"][0] is not None:
            heads = rarity.filter(paragraph_group=group, coefficient=coefficient).height
            return rows.row(0, named=True) | {"head_count": heads}
    return None


def _head_claims(rarity: pl.DataFrame, is_papers_model: bool) -> Iterator[dict[str, Any]]:
    """A head reads rare tokens: by the paper's number against its own null, and within paragraphs; and head 1.2."""
    claim = Claim(
        "a_head_reads_rare_tokens_summed", _SECTION_6,
        "One head attends to rare tokens: its attention summed per rarity rank correlates with the rank at -0.97.",
        -0.97,
    )  # fmt: skip
    yield best_head_row(claim, rarity, "summed_by_rank", "less")
    claim = Claim(
        "a_head_reads_rare_tokens_within", _SECTION_6,
        "One head attends to rare tokens within paragraphs (Spearman of attention and surprisal).",
    )  # fmt: skip
    yield best_head_row(claim, rarity, "spearman", "greater")
    claim = Claim(
        "head_1_2", _SECTION_6, "Head 1.2 (layer 1, head 2) is the head that attends to rare tokens most.", -0.97
    )  # fmt: skip
    named = rarity.filter(layer=1, head=2, coefficient="summed_by_rank").sort(pl.col("paragraph_group") != "all")
    row = named.row(0, named=True) if not named.is_empty() else {}
    measured = Measured(row.get("estimate"), row.get("lower"), row.get("upper"), row.get("placebo"))
    if not is_papers_model:
        yield claim_row(claim, measured, "not testable here", "head 1.2 is a name in GPT-Neo 125M only")
    elif measured.ours is None:
        yield judged_row(claim, measured, "less")
    elif row["rank_among_heads"] == 0:
        yield claim_row(claim, measured, *judge(measured, "less"), "less")
    else:
        yield claim_row(claim, measured, "contradicted", f"{row['rank_among_heads']} heads look at rarer tokens")


def best_head_row(claim: Claim, rarity: pl.DataFrame, coefficient: str, direction: Direction) -> dict[str, Any]:
    """The best of all heads, by the interval that knows it was picked, against re-paired texts; and over token types.

    Every head that likes some types and not others stands out over paragraphs, so both tests must find it.

    Args:
        claim: what is claimed.
        rarity: rows that `head_rarity` gives, with paragraph_group.
        coefficient: which of its coefficients.
        direction: side of the placebo the claim asserts.
    """
    row = best_head(rarity, coefficient)
    if row is None:
        return judged_row(claim, Measured(), direction)
    measured = Measured(row["estimate"], row["family_lower"], row["family_upper"], row["placebo"])
    if coefficient == "spearman" and row["cluster_count"] < LEAST_CLUSTERS_OF_HEADS:
        reason = f"below {LEAST_CLUSTERS_OF_HEADS} clusters a head's taste for a few token types passes for more"
        return claim_row(claim, measured, "not testable here", reason)
    verdict, reason = judge(measured, direction)
    name = f"head {row['layer']}.{row['head']} of {row['head_count']}, group {row['paragraph_group']}: {reason}"
    if verdict != "supported":
        return claim_row(claim, measured, verdict, name, direction)
    if row["family_p_value"] > LEVEL:
        why = f"but as the best of all heads its p is {row['family_p_value']:.2f}"
        return claim_row(claim, measured, "undecided", f"{name}, {why}", direction)
    ps = f"p as the best of all {row['family_p_value']:.2g}"
    if "token_q_value" not in row:  # measured without token ids
        return claim_row(claim, measured, verdict, f"{name}, {ps}", direction)
    by_type = row["token_q_value"]
    if by_type is None or by_type > LEVEL or row["token_estimate"] * (1 if direction == "greater" else -1) <= 0:
        why = "but over token types, taken as a sample, it does not hold"
        return claim_row(claim, measured, "undecided", f"{name}, {why}", direction)
    return claim_row(claim, measured, verdict, f"{name}, {ps}, q over token types {by_type:.2g}", direction)


def _correlation_claim(rarity: pl.DataFrame, correlations: pl.DataFrame) -> dict[str, Any]:
    """The rare-token head is anti-correlated with the others: mean over its pairs, beyond what habits of place give."""
    claim = Claim(
        "memorization_head_unlike_others", _SECTION_6,
        "The head that attends to rare tokens is anti-correlated with the other heads.",
    )  # fmt: skip
    best = best_head(rarity, "spearman")
    if best is None or correlations.is_empty():
        return judged_row(claim, Measured(null_value=0.0), "less")
    is_a = (pl.col("layer_a") == best["layer"]) & (pl.col("head_a") == best["head"])
    is_b = (pl.col("layer_b") == best["layer"]) & (pl.col("head_b") == best["head"])
    pairs = correlations.filter(is_a | is_b).drop_nulls("estimate")
    if pairs.is_empty():
        return judged_row(claim, Measured(null_value=0.0), "less")
    # Pairs share the paragraphs, so their errors do not average out: the mean of the ends is a cautious interval.
    ours, lower, upper, null = (_mean(pairs[name]) for name in ("estimate", "lower", "upper", "position_null"))
    return judged_row(claim, Measured(ours, lower, upper, null), "less")


def _mean(values: pl.Series) -> float | None:
    return None if values.null_count() else float(values.to_numpy().mean())


def _effect_claims(effects: pl.DataFrame, strongest: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Do rare tokens trigger memorized continuations?"""
    claim = Claim(
        "rare_tokens_trigger_recital", _SECTION_6,
        "Rare tokens trigger memorized continuations: changing them costs more (tokens of exact match per standard "
        "deviation of rarity, adjusted for position, token likelihood and paragraph).",
    )  # fmt: skip
    found = effects.filter(outcome="em_drop", adjustment="full", term="MP")
    yield _over_both(claim, found, 0.0)
    claim = Claim(
        "strongest_triggers_are_rare", _SECTION_6,
        "Tokens whose change costs memorized paragraphs most are rarer than tokens at the same positions elsewhere.",
    )  # fmt: skip
    found = strongest.filter(paragraph_group="MP", statistic="excess_over_position")
    yield _over_both(claim, found, 0.0)


def _over_both(claim: Claim, found: pl.DataFrame, null: float | None) -> dict[str, Any]:
    """An effect of rarity counts where it holds over clusters and, where types are known, over token types alike."""
    row = found.row(0, named=True) if not found.is_empty() else {}
    measured = Measured(row.get("estimate"), row.get("lower"), row.get("upper"), row.get("placebo", null))
    verdict, reason = judge(measured, "greater")
    token = Measured(row.get("token_estimate"), row.get("token_lower"), row.get("token_upper"), 0.0)
    if verdict in ("supported", "contradicted") and token.lower is not None and judge(token, "greater")[0] != verdict:
        verdict, reason = "undecided", f"{reason}, but over token types, taken as a sample, the effect does not hold"
    return claim_row(claim, measured, verdict, reason, "greater")
