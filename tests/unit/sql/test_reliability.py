"""Reliability of the EM drop against worlds whose variances are known."""

from __future__ import annotations

import duckdb
import numpy as np
import polars as pl
import pytest

import sql


def _reliability(own: float, drawn: float, draws: int) -> dict[str, float]:
    generator = np.random.default_rng(4)
    truth = generator.normal(0, own, (80, 40, 1))
    drops = truth + generator.normal(0, drawn, (80, 40, draws))
    paragraph, position, draw = (axis.ravel() for axis in np.indices(drops.shape))
    names = [f"p{n}" for n in paragraph]
    prefix_changes = pl.DataFrame(  # noqa: F841  read by the query
        {"checkpoint_id": "c", "paragraph_id": names, "position": position, "draw": draw, "policy": "uniform",
         "is_main_policy": True, "em_drop": drops.ravel(), "is_memorized": True, "near_duplicate_cluster": paragraph}
    )  # fmt: skip
    found = duckdb.sql(sql.load("marts")["em_drop_reliability"].text).pl()
    return found.row(0, named=True) if found.height else {}


@pytest.mark.parametrize(("own", "drawn", "draws"), [(1.0, 1.0, 2), (1.0, 3.0, 2), (2.0, 1.0, 4)])
def test_reliability_is_the_share_of_variance_that_is_the_tokens_own(own: float, drawn: float, draws: int) -> None:
    found = _reliability(own, drawn, draws)
    assert found["reliability"] == pytest.approx(own**2 / (own**2 + drawn**2 / draws), abs=0.04)
    assert found["single_reliability"] == pytest.approx(own**2 / (own**2 + drawn**2), abs=0.04)


def test_one_draw_says_nothing_of_it() -> None:
    assert _reliability(1.0, 1.0, 1) == {}
