"""Claims of P1 (Stoehr et al. 2024, arXiv 2403.19851), section 5.3: sparse unlearning and editing.

Twelve numbers of the paper belong to GPT-Neo 125M and are judged on that model alone; the two relations behind them
are judged everywhere, paired by target.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from probes.claims.rules import SCHEMA, Claim, Measured, claim_row, cluster_mean, judged_row, same_number_row

SECTION = "Stoehr et al. 2024, section 5.3"
REPORTED = {
    ("unlearn", "all"): (26.90, 45.11),
    ("unlearn", "top"): (26.75, 45.84),
    ("unlearn", "random"): (49.80, 44.86),
    ("edit", "all"): (25.65, 37.57),
    ("edit", "top"): (33.65, 38.67),
    ("edit", "random"): (49.80, 44.86),
}
AS_MUCH_TOKENS = 5.0
"""Sparse tuning forgets as much as all weights where at most a tenth of the continuation more is left."""
_VERBS = {"unlearn": "Unlearning", "edit": "Editing"}
_WEIGHTS = {"all": "all weights", "top": "the weights with the largest gradient", "random": "as many random weights"}
_SETS = (("targets", "the memorized paragraph"), ("controls", "other paragraphs"))


def editing_claims(
    summaries: pl.DataFrame, edits: pl.DataFrame | None = None, *, is_papers_model: bool = False
) -> pl.DataFrame:
    """Rows of table claims (without checkpoint_id) for P1 section 5.3.

    Args:
        summaries: rows of table edit_summaries of one checkpoint; may be empty.
        edits: rows of table edits of the same with near_duplicate_cluster of the target, for comparisons at equal
            forgetting; not testable without.
        is_papers_model: whether the checkpoint is GPT-Neo 125M on the Pile.

    Returns:
        claim_id, paper, statement, reported, ours, lower, upper, null_value, verdict, reason.
    """
    rows = [*_numbers(summaries, is_papers_model), *_relations(summaries), *_of_edits(summaries)]
    return pl.DataFrame([*rows, _at_equal_forgetting(edits), _harder_to_unlearn()], schema=SCHEMA)


def _row_of(
    summaries: pl.DataFrame, objective: str, rule: str, evaluation_set: str, measure: str = "exact_match"
) -> dict[str, Any]:
    """One measure of one kind of run, single targets; empty where it was not run."""
    found = summaries.filter(
        pl.col("selection").str.split(":").list.first() == rule,
        protocol="single", objective=objective, evaluation_set=evaluation_set, measure=measure,
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
    """Sparse unlearning forgets more than chance would, as much as all weights, and spares other paragraphs more."""
    row = _row_of(summaries, "unlearn", "top", "targets")
    claim = Claim(
        "sparse_unlearning_beats_random", SECTION,
        "Unlearning with the few weights of largest gradient lowers the exact match of the memorized paragraph more "
        "than with as many random weights (difference in tokens).",
        REPORTED["unlearn", "top"][0] - REPORTED["unlearn", "random"][0],
    )  # fmt: skip
    yield judged_row(claim, _difference(row, "random"), "less")
    claim = Claim(
        "sparse_unlearning_forgets_as_much", SECTION,
        f"Unlearning with the few weights of largest gradient leaves the memorized paragraph no more than "
        f"{AS_MUCH_TOKENS:g} tokens of exact match more than with all weights.",
        round(REPORTED["unlearn", "top"][0] - REPORTED["unlearn", "all"][0], 2),
    )  # fmt: skip
    yield judged_row(claim, replace(_difference(row, "all"), null_value=AS_MUCH_TOKENS), "less")
    row = _row_of(summaries, "unlearn", "top", "controls")
    claim = Claim(
        "sparse_unlearning_spares_others", SECTION,
        "Unlearning with few weights leaves other paragraphs a higher exact match than with all weights "
        "(difference in tokens, after the same number of steps; see sparse_spares_others_at_equal_forgetting).",
        round(REPORTED["unlearn", "top"][1] - REPORTED["unlearn", "all"][1], 2),
    )  # fmt: skip
    yield judged_row(claim, _difference(row, "all"), "greater")


def _difference(row: dict[str, Any], name: str) -> Measured:
    return Measured(row.get(f"{name}_difference"), row.get(f"{name}_lower"), row.get(f"{name}_upper"), 0.0)


def _of_edits(summaries: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Editing with few weights: it moves the paragraph, and towards what it is edited into."""
    claim = Claim(
        "sparse_editing_beats_random", SECTION,
        "Editing with the few weights of largest gradient lowers the exact match of the memorized paragraph more than "
        "with as many random weights (difference in tokens).",
        round(REPORTED["edit", "top"][0] - REPORTED["edit", "random"][0], 2),
    )  # fmt: skip
    yield judged_row(claim, _difference(_row_of(summaries, "edit", "top", "targets"), "random"), "less")
    claim = Claim(
        "all_weights_edit_more", SECTION,
        "Editing with all weights lowers the exact match of the memorized paragraph more than with few (few minus all, "
        "tokens).",
        round(REPORTED["edit", "top"][0] - REPORTED["edit", "all"][0], 2),
    )  # fmt: skip
    yield judged_row(claim, _difference(_row_of(summaries, "edit", "top", "targets"), "all"), "greater")
    claim = Claim(
        "sparse_editing_writes_the_replacement", SECTION,
        "Editing with few weights makes the model recite the replacement further than with as many random weights "
        "(difference in tokens of exact match to the perturbed paragraph's continuation).",
    )  # fmt: skip
    row = _row_of(summaries, "edit", "top", "targets", "replacement_match")
    yield judged_row(claim, _difference(row, "random"), "greater")


def _at_equal_forgetting(edits: pl.DataFrame | None) -> dict[str, Any]:
    """Sparse against all weights where both have forgotten the target as far, paired by target."""
    claim = Claim(
        "sparse_spares_others_at_equal_forgetting", SECTION,
        "Unlearning with few weights leaves other paragraphs a higher exact match than with all weights, at the step "
        "of the latter where the target is forgotten as far (difference in tokens; steps between are interpolated).",
    )  # fmt: skip
    if edits is None or edits.is_empty():
        return claim_row(claim, Measured(), "not testable here", "no paragraph was unlearned")
    pairs = [found for _, run in _single_runs(edits).group_by("target", maintain_order=True) if (found := _pair(run))]
    if not pairs:
        return claim_row(
            claim, Measured(), "not testable here", "no target was forgotten as far by all weights as by few"
        )
    values, clusters = (np.array(column) for column in zip(*pairs, strict=True))
    return judged_row(claim, cluster_mean(values, clusters, 0.0), "greater")


def _single_runs(edits: pl.DataFrame) -> pl.DataFrame:
    """Unlearning of single targets: target, rule, step, exact match of target and of controls."""
    rows = edits.filter(protocol="single", objective="unlearn").with_columns(
        rule=pl.col("selection").str.split(":").list.first()
    )
    index = ["target", "near_duplicate_cluster", "rule", "selection", "step"]
    of_set = [rows.filter(evaluation_set=name).select(*index, pl.col("exact_match").alias(name)) for name, _ in _SETS]
    return of_set[0].join(of_set[1], on=index, how="inner", maintain_order="left").sort("target", "selection", "step")


def _pair(run: pl.DataFrame) -> tuple[float, int] | None:
    """Controls under few weights at the last step minus those under all where the target is left as much.

    The path of all weights is read where it first comes down to what few weights leave of the target.
    """
    sparse, every = run.filter(rule="top"), run.filter(rule="all")
    if sparse.is_empty() or every.is_empty():
        return None
    last = sparse.row(-1, named=True)
    path, before = every.select("targets", "controls").to_numpy(), every.row(0, named=True)
    for (high, left), (low, right) in itertools.pairwise(path):
        if low <= last["targets"] <= high:
            share = 0.0 if high == low else (high - last["targets"]) / (high - low)
            return float(last["controls"] - (left + share * (right - left))), before["near_duplicate_cluster"]
    return None


def _harder_to_unlearn() -> dict[str, Any]:
    claim = Claim(
        "memorized_harder_to_unlearn", "Stoehr et al. 2024, abstract",
        "Memorized paragraphs are harder to unlearn than others.",
    )  # fmt: skip
    reason = "only memorized paragraphs are unlearned; other ones, with the model's own continuation, are not yet"
    return claim_row(claim, Measured(), "not testable here", reason)
