"""What a changed token costs a paragraph that is recited in full, in part, and hardly at all."""

from __future__ import annotations

import duckdb
import polars as pl
import pytest

import sql


@pytest.fixture(scope="module")
def changes() -> pl.DataFrame:
    rows = [("whole", "corpus", 20), ("partly", "corpus", 10), ("partly", "corpus", 45), ("hardly", "model", 30)]
    perturbations = pl.DataFrame(  # noqa: F841  read by the query
        [
            {"checkpoint_id": "c", "paragraph_id": name, "position": 1 + i, "policy": "uniform", "is_main_policy": True,
             "draw": 0, "reference": reference, "replacement_id": 7, "exact_match": left, "em_drop": 50 - left,
             "delta_nll_nats": 1.0}
            for i, (name, reference, left) in enumerate(rows)
        ]
    )  # fmt: skip
    scored_paragraphs = pl.DataFrame(  # noqa: F841
        {"checkpoint_id": "c", "corpus_id": "k", "paragraph_id": ["whole", "partly", "hardly"],
         "exact_match": [50, 40, 2], "is_memorized": [True, False, False], "continuation_length": 50,
         "near_duplicate_cluster": [0, 1, 2]}
    )  # fmt: skip
    return duckdb.sql(sql.load("views")["prefix_changes"].text).pl().sort("position")


def test_losses_of_a_stand_in_are_relative_to_what_it_recites(changes: pl.DataFrame) -> None:
    assert changes["em_drop"].to_list() == [30, 50 * (1 - 10 / 40), 0, 20]


def test_stand_ins_are_of_the_recited_and_named(changes: pl.DataFrame) -> None:
    assert changes["is_memorized"].to_list() == [True, True, True, False]
    assert changes["is_stand_in"].to_list() == [False, True, True, False]
