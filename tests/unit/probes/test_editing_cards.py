"""Summaries, claims and plans of editing: intervals over clusters, paired baselines, verdicts by rule, refusals."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from probes.claims.editing import editing_claims
from probes.editing.planning import check_disjoint, check_targets, folds
from probes.editing.summaries import summarise
from probes.errors import ProbeError
from warehouse.registry import TABLES


def scores(top: float, random: float, everything: float, targets: int = 6, controls: float = 40.0) -> pl.DataFrame:
    """Score rows of single-target runs: what is left of each target, and of two controls read in every run."""
    rng, rows = np.random.default_rng(0), []
    for selection, left in (("top:0.01", top), ("random:0.01", random), ("all", everything)):
        for target in range(targets):
            keys = {"protocol": "single", "objective": "unlearn", "selection": selection, "target": f"t{target}"}
            kept = controls if selection != "all" else controls - 20
            for name, paragraph, cluster, value in (
                ("targets", f"t{target}", target, left + rng.normal()),
                *(("controls", f"c{i}", 100 + i, kept + rng.normal()) for i in range(4)),
            ):
                rows.append(keys | {
                    "evaluation_set": name, "paragraph_id": paragraph, "near_duplicate_cluster": cluster,
                    "exact_match_before": 50, "exact_match": min(max(value, 0.0), 50.0),
                    "replacement_match_before": None, "replacement_match": None,
                    "nll_before_nats": 0.1, "nll_nats": 1.0,
                })  # fmt: skip
    types = {"replacement_match_before": pl.Int32, "replacement_match": pl.Int32}
    return pl.DataFrame(rows, schema_overrides=types)


def robustness() -> pl.DataFrame:
    keys = {"protocol": "single", "objective": "unlearn", "selection": "top:0.01", "probe": "relearning_steps"}
    rows = [keys | {"target": f"t{i}", "before": 0.0, "after": float(i)} for i in range(4)]
    return pl.DataFrame(rows)


def row(summary: pl.DataFrame, **keys: str) -> dict:
    return summary.filter(**keys, measure="exact_match").row(0, named=True)


def test_summaries_have_the_columns_of_their_table():
    summary = summarise(scores(25, 50, 2), robustness())
    names = set(TABLES["edit_summaries"].arrow_schema.names) - {"checkpoint_id", "target"}
    assert names <= set(summary.columns)


def test_baselines_are_those_of_the_same_size_and_differences_are_paired():
    summary = summarise(scores(25, 50, 2), robustness())
    ours = row(summary, selection="top:0.01", evaluation_set="targets")
    assert ours["estimate"] == pytest.approx(25, abs=1) and ours["random_estimate"] == pytest.approx(50, abs=1)
    assert ours["random_difference"] == pytest.approx(ours["estimate"] - ours["random_estimate"])
    assert ours["all_upper"] > ours["all_difference"] > ours["all_lower"] > 0 > ours["random_upper"]
    assert ours["before"] == 50 and ours["cluster_count"] == 6


def test_controls_that_are_read_in_every_run_count_once():
    ours = row(summarise(scores(25, 50, 2), robustness()), selection="top:0.01", evaluation_set="controls")
    assert ours["cluster_count"] == 4


def test_an_empty_stage_has_an_empty_summary_and_claims_that_say_so():
    empty = summarise(scores(1, 1, 1).clear(), robustness().clear())
    assert empty.is_empty()
    claims = editing_claims(empty)
    assert claims.height == 20 and set(claims["verdict"]) == {"not testable here"}


def verdicts(top: float, random: float, **worlds: float) -> dict[str, str]:
    claims = editing_claims(summarise(scores(top, random, 2, **worlds), robustness()))
    return dict(claims.select("claim_id", "verdict").iter_rows())


def test_verdicts_follow_the_planted_direction():
    assert verdicts(25, 50)["sparse_unlearning_beats_random"] == "supported"
    assert verdicts(50, 25)["sparse_unlearning_beats_random"] == "contradicted"
    assert verdicts(50, 50)["sparse_unlearning_beats_random"] == "undecided"
    assert verdicts(25, 50)["sparse_unlearning_spares_others"] == "supported"


def test_numbers_of_the_paper_are_judged_on_its_model_only():
    summary = summarise(scores(26.75, 49.8, 2, targets=30), robustness())
    elsewhere, there = (
        dict(editing_claims(summary, is_papers_model=flag).select("claim_id", "verdict").iter_rows())
        for flag in (False, True)
    )
    assert elsewhere["unlearn_top_targets"] == "not testable here"
    assert there["unlearn_top_targets"] == "supported" and there["unlearn_all_targets"] == "contradicted"


def test_folds_hold_out_whole_clusters():
    clusters = [3, 3, 5, 7, 7, 9]
    fold = folds(clusters, 2, seed=1)
    assert set(fold) == {0, 1} and fold[0] == fold[1] and fold[3] == fold[4]
    with pytest.raises(ProbeError, match="cannot be held out"):
        folds([1, 1], 2, seed=1)


def test_targets_that_are_none_are_refused():
    with pytest.raises(ProbeError, match="no target"):
        check_targets([], [], 50)
    with pytest.raises(ProbeError, match="b is not memorized"):
        check_targets(["a", "b"], [50, 49], 50)
    with pytest.raises(ProbeError, match="cluster 7"):
        check_disjoint([1, 7], [7, 9])
    check_targets(["a"], [50], 50)
    check_disjoint([1], [2])
