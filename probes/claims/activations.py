"""Claims of P1 (Stoehr et al. 2024, arXiv 2403.19851, section 6 and appendix) on activations at single tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from probes.claims.rules import SCHEMA, Claim, Measured, claim_row, cluster_mean, judged_row
from probes.claims.triggers import best_head_row

_P1, _APPENDIX = "Stoehr et al. 2024, section 6.1", "Stoehr et al. 2024, appendix"


def activation_claims(
    rare_gradients: pl.DataFrame,
    punctuation: pl.DataFrame,
    patching: pl.DataFrame,
    cosines: pl.DataFrame,
    noise: pl.DataFrame,
) -> pl.DataFrame:
    """Rows of table claims (without checkpoint_id).

    Args:
        rare_gradients: what `head_rarity` returns for the size of value gradients at each prefix token as the only
            "head", with paragraph_group MP; may be empty.
        punctuation: what `head_rarity` returns for attention against whether a token is punctuation, group all.
        patching: rows of table patching with near_duplicate_cluster.
        cosines: rows of table gradient_cosines.
        noise: rows of table edit_noise.

    Returns:
        Rows with the columns of SCHEMA.
    """
    rows = [
        _values_at_rare_tokens(rare_gradients),
        claim_row(
            Claim("query_key_gradients_in_layer_2", _P1, "Gradients of queries and keys stand out in layer 2."),
            Measured(), "not testable here", "layer 2 is a place in GPT-Neo 125M only",
        ),
        *_patching(patching),
        _punctuation(punctuation),
        _cosines(cosines),
        _noise(noise),
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=SCHEMA)


def _values_at_rare_tokens(rare_gradients: pl.DataFrame) -> dict[str, Any]:
    claim = Claim(
        "value_gradients_at_rare_tokens", _P1,
        "The gradient of the values is largest at rare prefix tokens of memorized paragraphs (Spearman within "
        "paragraphs of its size, mean over heads, and surprisal; the null is another text's rarity).",
    )  # fmt: skip
    row = best_head_row(claim, rare_gradients, "spearman", "greater")
    return row | {"reason": row["reason"].replace("Head 0.0 of 1, group", "Mean over heads, group")}


def _punctuation(punctuation: pl.DataFrame) -> dict[str, Any]:
    claim = Claim(
        "a_head_reads_punctuation", "Stoehr et al. 2024, section 6.2",
        "Some head attends to punctuation (Spearman within paragraphs of attention and being punctuation).",
    )  # fmt: skip
    return best_head_row(claim, punctuation, "spearman", "greater")


def _patching(patching: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Both ways: the changed token's activations make the model forget, the true one's make it remember."""
    for receiver, name, other in (
        ("MP", "a memorized paragraph", "its perturbed twin"), ("PMP", "a perturbed paragraph", "the memorized one")
    ):  # fmt: skip
        claim = Claim(
            f"patching_into_{receiver.lower()}", _P1,
            f"Queries, keys or values of {other}, copied into {name} at the changed token, raise the loss of its own "
            "impact token (nats, mean over heads one by one).",
        )  # fmt: skip
        rows = patching.filter(pl.col("component").is_in(["q", "k", "v"]), receiver=receiver)
        each = rows.group_by("paragraph_id", maintain_order=True).agg(
            pl.col("delta_nll_nats").mean(), pl.col("near_duplicate_cluster").first()
        )
        values = each["delta_nll_nats"].to_numpy().astype(float)
        yield judged_row(claim, cluster_mean(values, each["near_duplicate_cluster"].to_numpy(), 0.0), "greater")


def _cosines(cosines: pl.DataFrame) -> dict[str, Any]:
    """Components share their paragraphs, so the mean of the ends is a cautious interval."""
    claim = Claim(
        "gradients_of_groups_differ", _APPENDIX,
        "Parameter gradients of memorized and of other paragraphs point in other directions than those of groups dealt "
        "at random (cosine, mean over components).",
    )  # fmt: skip
    rows = cosines.filter(space="parameter").drop_nulls(["cosine", "lower", "upper", "placebo"])
    if rows.is_empty():
        return claim_row(claim, Measured(), "not testable here", "there are too few paragraphs of both groups")
    numbers = [float(rows[name].to_numpy().mean()) for name in ("cosine", "lower", "upper", "placebo")]
    return judged_row(claim, Measured(*numbers), "less")


def _noise(noise: pl.DataFrame) -> dict[str, Any]:
    """The noise ladder: the loss of exact match at the largest strength, memorized against others, paired by region."""
    claim = Claim(
        "noise_hits_memorized_more", _APPENDIX,
        "Noise on the weights of a head costs memorized paragraphs more of their exact match than others (tokens, mean "
        "over regions at the largest strength).",
    )  # fmt: skip
    if noise.is_empty():
        return claim_row(claim, Measured(), "not testable here", "no noise was put on weights")
    largest = float(noise["strength"].max())  # type: ignore[arg-type]
    keys = ["region", "layer", "component", "head", "paragraph_group"]
    ends = noise.filter(pl.col("strength").is_in([0.0, largest])).sort("strength")
    lost = ends.group_by(keys).agg(lost=pl.col("exact_match_mean").first() - pl.col("exact_match_mean").last())
    by_group = lost.group_by("paragraph_group").agg(pl.col("lost").mean())
    found = dict(by_group.iter_rows())
    if not {"MP", "NMP"} <= set(found):
        return claim_row(claim, Measured(), "not testable here", "noise was read on one group of paragraphs only")
    reason = (
        f"the ladder keeps means over paragraphs, so the difference at {largest:g} standard deviations has no interval"
    )
    return claim_row(claim, Measured(float(found["MP"] - found["NMP"]), null_value=0.0), "not testable here", reason)
