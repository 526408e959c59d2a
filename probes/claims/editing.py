"""Claims of P1 (Stoehr et al. 2024, arXiv 2403.19851), section 5.3: sparse unlearning and editing.

Twelve numbers of the paper belong to GPT-Neo 125M and are judged on that model alone; the two relations behind them
are judged everywhere, paired by target.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from probes.claims.rules import SCHEMA, Claim, Measured, judged_row, same_number_row

SECTION = "Stoehr et al. 2024, section 5.3"
REPORTED = {
    ("unlearn", "all"): (26.90, 45.11),
    ("unlearn", "top"): (26.75, 45.84),
    ("unlearn", "random"): (49.80, 44.86),
    ("edit", "all"): (25.65, 37.57),
    ("edit", "top"): (33.65, 38.67),
    ("edit", "random"): (49.80, 44.86),
}
_VERBS = {"unlearn": "Unlearning", "edit": "Editing"}
_WEIGHTS = {"all": "all weights", "top": "the weights with the largest gradient", "random": "as many random weights"}
_SETS = (("targets", "the memorized paragraph"), ("controls", "other paragraphs"))


def editing_claims(summaries: pl.DataFrame, *, is_papers_model: bool = False) -> pl.DataFrame:
    """Rows of table claims (without checkpoint_id) for P1 section 5.3.

    Args:
        summaries: rows of table edit_summaries of one checkpoint; may be empty.
        is_papers_model: whether the checkpoint is GPT-Neo 125M on the Pile.

    Returns:
        claim_id, paper, statement, reported, ours, lower, upper, null_value, verdict, reason.
    """
    return pl.DataFrame([*_numbers(summaries, is_papers_model), *_relations(summaries)], schema=SCHEMA)


def _row_of(summaries: pl.DataFrame, objective: str, rule: str, evaluation_set: str) -> dict[str, Any]:
    """The exact match of one kind of run, single targets; empty where it was not run."""
    found = summaries.filter(
        pl.col("selection").str.split(":").list.first() == rule,
        protocol="single", objective=objective, evaluation_set=evaluation_set, measure="exact_match",
    ).sort("selection")  # fmt: skip
    return {} if found.is_empty() else found.row(0, named=True)


def _numbers(summaries: pl.DataFrame, is_papers_model: bool) -> Iterator[dict[str, Any]]:
    for (objective, rule), numbers in REPORTED.items():
        for (evaluation_set, name), reported in zip(_SETS, numbers, strict=True):
            claim = Claim(
                f"{objective}_{rule}_{evaluation_set}", SECTION,
                f"{_VERBS[objective]} with {_WEIGHTS[rule]} leaves {name} an exact match of {reported:.2f} tokens.",
                reported,
            )  # fmt: skip
            row = _row_of(summaries, objective, rule, evaluation_set)
            measured = Measured(row.get("estimate"), row.get("lower"), row.get("upper"), row.get("random_estimate"))
            yield same_number_row(claim, measured, is_papers_model)


def _relations(summaries: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Sparse unlearning forgets more than chance would, and spares other paragraphs more than all weights do."""
    row = _row_of(summaries, "unlearn", "top", "targets")
    claim = Claim(
        "sparse_unlearning_beats_random", SECTION,
        "Unlearning with the few weights of largest gradient lowers the exact match of the memorized paragraph more "
        "than with as many random weights (difference in tokens).",
        REPORTED["unlearn", "top"][0] - REPORTED["unlearn", "random"][0],
    )  # fmt: skip
    yield judged_row(claim, _difference(row, "random"), "less")
    row = _row_of(summaries, "unlearn", "top", "controls")
    claim = Claim(
        "sparse_unlearning_spares_others", SECTION,
        "Unlearning with few weights leaves other paragraphs a higher exact match than with all weights "
        "(difference in tokens).",
        round(REPORTED["unlearn", "top"][1] - REPORTED["unlearn", "all"][1], 2),
    )  # fmt: skip
    yield judged_row(claim, _difference(row, "all"), "greater")


def _difference(row: dict[str, Any], name: str) -> Measured:
    return Measured(row.get(f"{name}_difference"), row.get(f"{name}_lower"), row.get(f"{name}_upper"), 0.0)
