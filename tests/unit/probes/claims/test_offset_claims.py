"""The claim of positional fragility is judged by what is lost and gained, and a no can be reached."""

from __future__ import annotations

import polars as pl
import pytest
from scipy.stats import binomtest

from probes.claims.offsets import offset_claims
from probes.claims.verdicts import ClaimSubject, settle


def _recall(at_start: list[bool], far: list[bool]) -> pl.DataFrame:
    rows = [
        {"paragraph_id": f"p{i}", "near_duplicate_cluster": i, "preceding_text": "unrelated", "preceding_length": n,
         "context_length": 50, "is_recited": recited[i]}
        for n, recited in ((0, at_start), (64, far))
        for i in range(len(at_start))
    ]  # fmt: skip
    return pl.DataFrame(rows)


@pytest.mark.parametrize(
    ("lost", "gained", "verdict"),
    [
        (0, 0, "no effect of interest"),
        (30, 0, "supported"),
        (6, 6, "undecided"),
        (0, 30, "contradicted"),
        (60, 0, "supported"),
    ],
)
def test_verdict_follows_what_is_lost(lost: int, gained: int, verdict: str) -> None:
    start = [True] * 60 + [False] * gained
    far = [False] * lost + [True] * (60 - lost) + [True] * gained
    claims = settle(offset_claims(_recall(start, far)), ClaimSubject("toy", "texts", "uniform replacements"))
    assert claims["verdict"][0] == verdict


def test_interval_is_that_of_wilson_where_nothing_is_gained() -> None:
    row = offset_claims(_recall([True] * 40, [False] * 10 + [True] * 30)).row(0, named=True)
    lost = binomtest(10, 40).proportion_ci(method="wilson")
    none = binomtest(0, 40).proportion_ci(method="wilson")
    assert row["ours"] == pytest.approx(-0.25)
    assert (row["lower"], row["upper"]) == pytest.approx((-lost.high, none.high - lost.low))


def test_three_clusters_decide_nothing() -> None:
    assert offset_claims(_recall([True] * 3, [False] * 3))["verdict"][0] == "undecided"


def test_who_is_recited_at_neither_place_does_not_count() -> None:
    few = offset_claims(_recall([True] * 20, [False] * 20))
    many = offset_claims(_recall([True] * 20 + [False] * 500, [False] * 520))
    assert few.equals(many)


def test_nothing_recited_is_not_testable() -> None:
    assert offset_claims(_recall([False] * 5, [False] * 5))["verdict"][0] == "not testable here"
