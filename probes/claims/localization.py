"""Claims on where recital lives: P1 (Stoehr et al. 2024, arXiv 2403.19851, §5.1) on gradients, P2 (Menta et al. 2025,
arXiv 2501.05078, §4) on attention short-circuits.

P1's numbers come from weights with the LayerNorm folded in; ours are of the checkpoint's own parameters, so sizes are
compared only on the paper's model and relations everywhere.
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
from probes.interventions.head_choices import single_blocks

_P1, _P2 = "Stoehr et al. 2024, section 5.1", "Menta et al. 2025, section 4"
LITTLE_SHARE = 0.1
"""Little cost to utility is called supported when the whole interval of the loss lies below this share."""

REPORTED_BINS = (
    ("MP", "memorized", 9.71, 0.59),
    ("NMP", "other", 53.01, 0.29),
    ("11-29", "half recited", 27.14, 0.40),
    ("30-49", "mostly recited", 14.30, 0.54),
)
"""Paragraph group, its name, and what P1 reports: sum of largest entries and the lower half's share of it."""

Values = tuple[np.ndarray, np.ndarray]


def localization_claims(
    gradients: pl.DataFrame, interventions: pl.DataFrame, *, layer_count: int, is_papers_model: bool = False
) -> pl.DataFrame:
    """Rows of table claims (without checkpoint_id) for P1 section 5 and P2.

    Args:
        gradients: rows of table parameter_gradients of one checkpoint, with near_duplicate_cluster; rows of groups
            (without paragraph_id) are the gradient of the group's mean loss.
        interventions: rows of table interventions of the same checkpoint.
        layer_count: blocks of the model.
        is_papers_model: whether it is GPT-Neo 125M on the Pile, the only model P1's numbers can be tested on.

    Returns:
        claim_id, paper, statement, reported, ours, lower, upper, null_value, verdict, reason.
    """
    single = gradients.drop_nulls("paragraph_id")
    rows = [
        *_size_claims(gradients, layer_count, is_papers_model),
        *_relation_claims(single, layer_count),
        *_component_claims(single, is_papers_model),
        *_short_circuit_claims(interventions.filter(pl.col("paragraph_group") == "MP"), layer_count),
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


def _per_paragraph(gradients: pl.DataFrame, group: str, amount: pl.Expr) -> Values:
    """One number per paragraph of a group, and its cluster."""
    rows = gradients.filter(pl.col("paragraph_group") == group).group_by("paragraph_id", maintain_order=True)
    found = rows.agg(amount.alias("amount"), pl.col("near_duplicate_cluster").first())
    return found["amount"].to_numpy().astype(float), found["near_duplicate_cluster"].to_numpy()


def _low_share(layer_count: int) -> pl.Expr:
    return pl.col("max_abs").filter(pl.col("layer") < layer_count / 2).sum() / pl.col("max_abs").sum()


def _size_claims(gradients: pl.DataFrame, layer_count: int, is_papers_model: bool) -> Iterator[dict[str, Any]]:
    """P1's eight numbers: sum of the components' largest entries and the lower half's share, for each bin.

    P1 takes them of the gradient of a batch's mean loss, in which paragraphs cancel; means over paragraphs of their own
    gradients are several times larger. So ours is the row of the group, which has no interval of its own.
    """
    of_batch = gradients.filter(pl.col("paragraph_id").is_null())
    for group, name, total, share in REPORTED_BINS:
        short, rows = group.lower().replace("-", "_"), of_batch.filter(paragraph_group=group)
        claim = Claim(
            f"gradient_sum_{short}", _P1,
            f"The largest entries of all components in the gradient of the mean loss of {name} paragraphs sum to "
            f"{total}.", total,
        )  # fmt: skip
        yield _batch_number(claim, rows, pl.col("max_abs").sum(), is_papers_model)
        claim = Claim(
            f"gradient_lower_share_{short}", _P1,
            f"The lower half of the layers holds {share:.0%} of that sum for {name} paragraphs.", share,
        )  # fmt: skip
        yield _batch_number(claim, rows, _low_share(layer_count), is_papers_model)


def _batch_number(claim: Claim, rows: pl.DataFrame, amount: pl.Expr, is_papers_model: bool) -> dict[str, Any]:
    """A number of one batch: shown beside the paper's, and judged only where there is an interval, which it lacks."""
    ours = float(rows.select(amount).item()) if rows.height else None
    if ours is None or not is_papers_model:
        return same_number_row(claim, Measured(ours), is_papers_model)
    reason = "the gradient of a batch's mean loss is one number, whose error over paragraphs was not measured"
    return claim_row(claim, Measured(ours), "undecided", reason)


def _relation_claims(gradients: pl.DataFrame, layer_count: int) -> Iterator[dict[str, Any]]:
    """Memorized paragraphs have smaller gradients, in every layer, and more of them in lower layers."""
    low, total = _low_share(layer_count), pl.col("max_abs").sum()
    claim = Claim(
        "gradient_lies_lower", _P1,
        "A larger share of the gradient lies in the lower half of the layers for memorized paragraphs than for others.",
        0.59 - 0.29,
    )  # fmt: skip
    pair = [_per_paragraph(gradients, group, low) for group in ("MP", "NMP")]
    yield judged_row(claim, mean_difference(*pair), "greater")
    claim = Claim(
        "gradient_smaller", _P1, "The gradient of memorized paragraphs is smaller than that of others.", 53.01 - 9.71
    )
    pair = [_per_paragraph(gradients, group, total) for group in ("NMP", "MP")]
    yield judged_row(claim, mean_difference(*pair), "greater")
    claim = Claim(
        "gradient_smaller_in_every_layer", _P1,
        "In every layer the gradient of memorized paragraphs is smaller than that of others (weakest layer shown).",
    )  # fmt: skip
    layers = [gradients.filter(pl.col("layer") == layer) for layer in range(layer_count)]
    differences = [mean_difference(*(_per_paragraph(one, g, total) for g in ("NMP", "MP"))) for one in layers]
    known = [found for found in differences if found.lower is not None]
    weakest = min(known or differences, key=lambda found: found.lower if found.lower is not None else 0.0)
    yield judged_row(claim, weakest, "greater")


def _component_claims(gradients: pl.DataFrame, is_papers_model: bool) -> Iterator[dict[str, Any]]:
    """Value weights carry the largest entries among attention's; and the one head P1 names."""
    memorized = gradients.filter(pl.col("paragraph_group") == "MP")
    heads = memorized.drop_nulls("head")
    claim = Claim(
        "value_weights_most_salient", _P1,
        "In memorized paragraphs the largest gradient entry of the attention lies in a value matrix (excess over the "
        "largest entry elsewhere in the attention).",
    )  # fmt: skip
    is_value = pl.col("component") == "W_V"
    excess = pl.col("max_abs").filter(is_value).max() - pl.col("max_abs").filter(~is_value).max()
    yield judged_row(claim, cluster_mean(*_per_paragraph(heads, "MP", excess), 0.0), "greater")
    claim = Claim(
        "value_of_head_1_2_most_salient", _P1,
        "The most salient component of all is the value matrix of head 1.2 (excess over the runner-up).",
    )  # fmt: skip
    is_named = is_value & (pl.col("layer") == 1) & (pl.col("head") == 2)
    named = is_named.fill_null(False)
    excess = pl.col("max_abs").filter(named).max() - pl.col("max_abs").filter(~named).max()
    if is_papers_model:
        yield judged_row(claim, cluster_mean(*_per_paragraph(memorized, "MP", excess), 0.0), "greater")
    else:
        yield claim_row(claim, Measured(), "not testable here", "head 1.2 is a name in GPT-Neo 125M only")


def _short_circuit_claims(memorized: pl.DataFrame, layer_count: int) -> Iterator[dict[str, Any]]:
    """Deep attention can go, the first block's cannot; each against its null, whatever the size of the loss."""
    deep, first = _last_quartile(memorized, layer_count), _row_of(single_blocks(memorized), 0)
    claim = Claim(
        "deep_short_circuit_cuts_recital", _P2,
        "Without the attention of the deepest quarter of the blocks recital loses more of its tokens than other text "
        "does (selectivity, less what as many random heads and noise that costs other text as much reach).",
    )  # fmt: skip
    beyond = _against_null(deep)
    verdict, reason = judge(beyond, "greater")
    if verdict == "supported" and not deep["is_selective"]:
        verdict, reason = "undecided", f"{reason}, but as many random heads do as much (p {deep['p_value']:.2f})"
    yield claim_row(claim, beyond, verdict, f"{reason}{_other_kinds(memorized, deep)}", "greater")
    deepest = "the attention of the deepest quarter of the blocks"
    others: tuple[tuple[str, str, Measured, Direction], ...] = (
        ("deep_short_circuit_costs_little",
         f"Without {deepest} utility falls by little (less than {LITTLE_SHARE:.0%} of the tokens predicted).",
         _drop(deep, "utility", LITTLE_SHARE), "less"),
        ("first_block_collapses",
         "Without the attention of the first block utility collapses: it falls by more than without that of the "
         "deepest quarter (difference of the relative losses).",
         _difference(first, deep, ("utility_drop_share", "utility_drop_lower", "utility_drop_upper")), "greater"),
        ("deep_more_selective_than_first",
         f"{deepest.capitalize()} is more specific to recital than that of the first block (difference of what "
         "selectivity exceeds its null by).",
         _difference(deep, first, ("excess", "excess_lower", "excess_upper")), "greater"),
    )  # fmt: skip
    for name, statement, measured, direction in others:
        yield judged_row(Claim(name, _P2, statement), measured, direction)


def _against_null(row: dict[str, Any]) -> Measured:
    """Selectivity beyond its null; the null is measured on the same paragraphs, so its error is in the interval."""
    return Measured(row.get("excess"), row.get("excess_lower"), row.get("excess_upper"), 0.0)


def _other_kinds(memorized: pl.DataFrame, deep: dict[str, Any]) -> str:
    """What other ways of taking the same attention away say, where they were measured."""
    if not deep:
        return ""
    same = memorized.filter(
        pl.col("head").is_null(), part="attention", layer=deep["layer"], last_layer=deep["last_layer"]
    )
    rows = same.filter(pl.col("kind") != "identity").drop_nulls("excess").sort("kind")
    said = [f"{row['kind']} {row['excess']:+.2f}" for row in rows.iter_rows(named=True)]
    return f"; beyond the null by {deep['excess']:+.2f} (identity), {', '.join(said)}" if said else ""


def _last_quartile(memorized: pl.DataFrame, layer_count: int) -> dict[str, Any]:
    """The row of the range, which in a model of few layers is a single block."""
    lowest = layer_count - max(1, layer_count // 4)
    whole = memorized.filter(pl.col("head").is_null(), kind="identity", part="attention", last_layer=layer_count - 1)
    return _row_of(whole, lowest)


def _row_of(rows: pl.DataFrame, layer: int) -> dict[str, Any]:
    found = rows.filter(pl.col("layer") == layer)
    return found.row(0, named=True) if found.height else {}


def _drop(row: dict[str, Any], name: str, null: float) -> Measured:
    ours, lower, upper = (row.get(f"{name}_drop_{end}") for end in ("share", "lower", "upper"))
    return Measured(ours, lower, upper, null)


def _difference(one: dict[str, Any], other: dict[str, Any], names: tuple[str, str, str]) -> Measured:
    """Difference of two estimates with their intervals (MOVER: Zou and Donner 2008); taken as independent, which is
    cautious for numbers of the same paragraphs."""
    numbers = [row.get(name) for row in (one, other) for name in names]
    if any(value is None for value in numbers):
        return Measured(null_value=0.0)
    a, a_low, a_high, b, b_low, b_high = (float(value) for value in numbers if value is not None)
    below, above = np.hypot(a - a_low, b_high - b), np.hypot(a_high - a, b - b_low)
    return Measured(a - b, a - b - float(below), a - b + float(above), 0.0)
