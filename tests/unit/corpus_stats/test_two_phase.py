"""Strata, allocation, and what is kept of what was screened."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from corpus_stats.paragraphs.two_phase import (
    FURTHEST,
    NEARLY,
    OTHER,
    RECITED,
    allocated,
    drawn_from_strata,
    kept_of_screened,
    screening_strata,
)


def _screened(matches: list[int], strata: list[str] | None = None) -> pl.DataFrame:
    names = [f"{index:04d}" for index in range(len(matches))]
    strata = strata or ["one"] * len(matches)
    return pl.DataFrame(
        {"paragraph_id": names, "stratum": strata, "exact_match": matches, "weight": [3.0] * len(names)}
    )


def test_strata_name_occurrences_kind_and_third() -> None:
    strata = screening_strata(np.array([1, 5, 1]), ["code", "prose", "code"], np.array([1.0, 2.0, 3.0]))
    assert strata == ["×1 code, common", "×4-7 prose, middling", "×1 code, rare"]


@pytest.mark.parametrize("total", [4, 10, 57, 200, 1104, 5000])
def test_allocation_gives_what_was_asked_for(total: int) -> None:
    sizes = np.array([1, 3, 100, 1000])
    given = allocated(sizes, total)
    assert (given <= sizes).all() and (given >= np.minimum(sizes, 2)).all()
    assert given.sum() == min(max(total, 7), sizes.sum())


def test_small_strata_are_drawn_more_densely() -> None:
    sizes = np.array([100, 10_000])
    given = allocated(sizes, 1000)
    assert given[0] / sizes[0] > 5 * given[1] / sizes[1]


def test_weights_of_a_draw_add_up_to_every_stratum() -> None:
    strata = ["a"] * 1000 + ["b"] * 40 + ["c"]
    rows, weights = drawn_from_strata(strata, 100, seed=3)
    assert len(set(rows.tolist())) == 100 and (np.diff(rows) > 0).all()
    labels = np.array(strata)[rows]
    assert [round(weights[labels == name].sum(), 6) for name in "abc"] == [1000, 40, 1]


def test_all_that_is_recited_is_kept_with_others_of_its_strata() -> None:
    matches = [50] * 6 + [44] * 4 + [0] * 60 + [3] * 40
    strata = ["code"] * 10 + ["code"] * 30 + ["prose"] * 70
    kept = kept_of_screened(_screened(matches, strata), 50, count=24, seed=1)
    groups = kept["sampling_group"].value_counts().sort("sampling_group").rows()
    assert groups == [(NEARLY, 4), (OTHER, 14), (RECITED, 6)]
    assert kept.filter(pl.col("sampling_group") == OTHER, pl.col("stratum") == "code").height >= 10
    assert kept["weight"].sum() == pytest.approx(3 * 110)


def test_where_nothing_is_recited_the_furthest_stand_in() -> None:
    matches = [25, 20, 18, 11, 10] + [0] * 95
    kept = kept_of_screened(_screened(matches), 50, count=6, seed=1)
    furthest = kept.filter(pl.col("sampling_group") == FURTHEST)
    assert furthest["exact_match"].to_list() == [25, 20, 18]
    assert (furthest["inclusion_probability"] == 1).all() and kept.height == 6
    few = kept_of_screened(_screened(matches), 50, count=60, seed=1)
    assert few.filter(pl.col("sampling_group") == FURTHEST)["exact_match"].to_list() == [25, 20, 18, 11]


def test_more_is_kept_where_more_is_recited() -> None:
    kept = kept_of_screened(_screened([50] * 30 + [0] * 100), 50, count=10, seed=1)
    assert kept.height == 60 and (kept["sampling_group"] == RECITED).sum() == 30


def test_the_draw_depends_on_the_seed() -> None:
    drawn = [kept_of_screened(_screened([50] + [0] * 99), 50, 20, seed)["paragraph_id"].to_list() for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
