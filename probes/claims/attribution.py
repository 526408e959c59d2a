"""Claims of P2 (Menta et al. 2025, arXiv 2501.05078) beyond exact match: accuracy, entropy, trend over depth, scale.

And those of P1 (Stoehr et al. 2024, section 5.2) on the contrastive objective, at its first step the plain one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from probes.claims.rules import SCHEMA, Claim, Direction, Measured, Verdict, claim_row, judged_row
from probes.interventions.head_choices import single_blocks

_P2, _CONTRAST = "Menta et al. 2025, section 4", "Stoehr et al. 2024, section 5.2"
LEAST_BLOCKS = 8
"""A rank correlation over fewer blocks has no interval worth the name."""


def attribution_claims(
    interventions: pl.DataFrame,
    gradients: pl.DataFrame,
    harness: pl.DataFrame,
    *,
    layer_count: int,
    is_papers_model: bool = False,
) -> pl.DataFrame:
    """Rows of table claims (without checkpoint_id).

    Args:
        interventions: rows of table interventions of one checkpoint.
        gradients: rows of table parameter_gradients; those without paragraph_id are of a group's mean loss.
        harness: rows of table harness_utility.
        layer_count: blocks of the model.
        is_papers_model: whether it is GPT-Neo 125M on the Pile.

    Returns:
        Rows with the columns of SCHEMA.
    """
    memorized = interventions.filter(pl.col("paragraph_group") == "MP")
    deep = _deepest_quarter(memorized, layer_count)
    rows = [
        _accuracy(deep),
        _entropy(deep, memorized),
        *_trends(single_blocks(memorized)),
        _harness(harness),
        claim_row(
            Claim("families_and_scales", _P2, "The pattern holds across families and from 1.3B to 12B parameters."),
            Measured(), "not testable here", "this is one checkpoint; compare the claims of several in the table",
        ),
        *_contrastive(gradients, is_papers_model),
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=SCHEMA)


def _deepest_quarter(memorized: pl.DataFrame, layer_count: int) -> dict[str, Any]:
    lowest = layer_count - max(1, layer_count // 4)
    found = memorized.filter(
        pl.col("head").is_null(), kind="identity", part="attention", layer=lowest, last_layer=layer_count - 1
    )
    return found.row(0, named=True) if found.height else {}


def _accuracy(deep: dict[str, Any]) -> dict[str, Any]:
    claim = Claim(
        "deep_short_circuit_cuts_token_accuracy", _P2,
        "Without the attention of the deepest quarter of the blocks fewer tokens of memorized continuations are "
        "predicted (relative loss of token accuracy).",
    )  # fmt: skip
    ours, lower, upper = (deep.get(f"recital_loss_{end}") for end in ("share", "lower", "upper"))
    return judged_row(claim, Measured(ours, lower, upper, 0.0), "greater")


def _entropy(deep: dict[str, Any], memorized: pl.DataFrame) -> dict[str, Any]:
    claim = Claim(
        "deep_short_circuit_raises_entropy", _P2,
        "Without it the model is less sure of memorized continuations (rise of the mean entropy, nats).",
    )  # fmt: skip
    clean = memorized.filter(kind="none")
    if not deep or clean.is_empty():
        return claim_row(claim, Measured(), "not testable here", "there is nothing to measure it on")
    rise = float(deep["entropy_nats"] - clean["entropy_nats"][0])
    reason = "the table keeps the mean entropy of each intervention and not its spread over paragraphs"
    return claim_row(claim, Measured(rise, null_value=0.0), "not testable here", reason)


def _trends(blocks: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Over depth: recital can be cut at less and less cost; blocks are the sample, so few of them say nothing."""
    trends: tuple[tuple[str, str, str, Direction], ...] = (
        ("utility_cost_falls_with_depth", "utility_drop_share", "the less its short-circuit costs other text", "less"),
        ("selectivity_rises_with_depth", "excess", "the more specific to recital is its short-circuit", "greater"),
    )
    for name, column, words, direction in trends:
        claim = Claim(name, _P2, f"The deeper the block, {words} (Spearman over blocks).")
        rows = blocks.drop_nulls(column)
        if rows.height < LEAST_BLOCKS:
            reason = f"a trend over {rows.height} blocks has no interval; {LEAST_BLOCKS} are needed"
            yield claim_row(claim, Measured(), "not testable here", reason)
            continue
        measured = _rank_correlation(rows["layer"].to_numpy(), rows[column].to_numpy())
        yield judged_row(claim, measured, direction)


def _rank_correlation(one: np.ndarray, other: np.ndarray) -> Measured:
    """Spearman's rho with Fisher's interval (variance of Bonett and Wright 2000), by t for few."""
    from scipy.stats import spearmanr, t

    ours = float(spearmanr(one, other).statistic)
    if np.isnan(ours):
        return Measured(null_value=0.0)
    half = float(t.ppf(0.975, len(one) - 2)) * np.sqrt((1 + ours**2 / 2) / (len(one) - 3))
    z = np.arctanh(np.clip(ours, -0.999999, 0.999999))
    return Measured(ours, float(np.tanh(z - half)), float(np.tanh(z + half)), 0.0)


def _harness(harness: pl.DataFrame) -> dict[str, Any]:
    claim = Claim(
        "deep_short_circuit_spares_benchmarks", _P2,
        "Without the attention of deep blocks the model does as well on the tasks of lm-evaluation-harness.",
    )  # fmt: skip
    reason = (
        "no task of lm-evaluation-harness was asked for (localization.harness_tasks)"
        if harness.is_empty()
        else "its tasks come with standard errors of their own documents, see table harness_utility"
    )
    return claim_row(claim, Measured(), "not testable here", reason)


def _contrastive(gradients: pl.DataFrame, is_papers_model: bool) -> Iterator[dict[str, Any]]:
    """At the unedited weights the divergence is at its minimum: its gradient is zero, whatever model and text."""
    yield claim_row(
        Claim(
            "kl_gradient_is_zero_at_start", _CONTRAST,
            "The contrastive objective's first gradient is that of the memorized paragraphs alone.",
        ),
        Measured(), "not testable here",
        "that is so for every model by construction (a divergence from itself is at its minimum), so no measurement "
        "could say otherwise",
    )  # fmt: skip
    claim = Claim(
        "value_of_head_1_2_contrastive", _CONTRAST,
        "Under the contrastive objective the value matrix of head 1.2 has the largest gradient of all components "
        "(excess over the runner-up, of the mean loss of memorized paragraphs, which is all of it at the first step).",
    )  # fmt: skip
    if not is_papers_model:
        yield claim_row(claim, Measured(), "not testable here", "head 1.2 is a name in GPT-Neo 125M only")
        return
    rows = gradients.filter(pl.col("paragraph_id").is_null(), paragraph_group="MP")
    named = rows.filter(component="W_V", layer=1, head=2)["max_abs"]
    others = rows.filter((pl.col("component") != "W_V") | (pl.col("layer") != 1) | (pl.col("head") != 2))["max_abs"]
    ours = float(named[0]) - float(others.to_numpy().max()) if len(named) and len(others) else None
    reason = "the gradient of a batch's mean loss is one number, whose error over paragraphs was not measured"
    verdict: Verdict = "not testable here" if ours is None else "undecided"
    yield claim_row(claim, Measured(ours, null_value=0.0), verdict, reason)
