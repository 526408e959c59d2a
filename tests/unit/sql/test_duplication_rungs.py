"""Rungs of duplication: each count where there are few, powers of ten where nearly every paragraph has its own."""

import duckdb
import polars as pl
import pytest
from statsmodels.stats.proportion import proportion_confint

import sql
from warehouse.catalog.macros import Macro
from warehouse.catalog.queries import to_polars


def rungs(copies, shares):
    connection = duckdb.connect()
    for name in ("wilson_lower", "wilson_upper"):
        connection.execute(Macro.of(sql.load_one("macros", name)).definition)
    clusters = pl.DataFrame(  # noqa: F841  read by name
        {"checkpoint_id": "m", "duplication_count": copies, "memorized_share": shares, "paragraph_count": 1},
        schema_overrides={"duplication_count": pl.Int64},
    )
    connection.execute("CREATE TABLE cluster_scores AS SELECT * FROM clusters")
    text = sql.load_one("adhoc", "finding_duplication").text
    return to_polars(connection.sql(text, params={"checkpoint_id": "m"}))


def test_few_counts_are_rungs_of_their_own():
    found = rungs([256, 256, 256, 1, 1, 1, 0, None], [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    assert found["copies"].to_list() == ["256", "1", "0"]
    assert found["memorized_share"].to_list() == pytest.approx([2 / 3, 0, 0])
    assert found["null_share"].to_list() == pytest.approx([2 / 7] * 3), "unknown counts are no evidence about copies"


def test_many_counts_are_binned_and_zero_stays_apart():
    copies = [0, 8, 9, 20, 50, 60, 90, 100, 2000, 3000, 40382]
    found = rungs(copies, [0.0, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1])
    assert found["copies"].to_list() == [
        "10000 to 99999", "1000 to 9999", "100 to 999", "10 to 99", "1 to 9", "0",
    ]  # fmt: skip
    tens = found.filter(copies="10 to 99").row(0, named=True)
    assert tens["memorized_share"] == pytest.approx(3 / 4) and tens["paragraph_count"] == 4
    assert (tens["lower"], tens["upper"]) == pytest.approx(proportion_confint(3, 4, method="wilson"))
