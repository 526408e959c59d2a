"""Rarity in SQL against its plain definition, against scipy's ranks, and in a planted world."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

import sql
from warehouse.catalog.publish import connect_workspace
from warehouse.catalog.queries import to_polars
from warehouse.registry import TABLES

POLICIES = ("add_one", "null")


def asked(name: str, parameters: dict, **tables: pl.DataFrame) -> pl.DataFrame:
    with connect_workspace(1) as connection:
        for table, rows in tables.items():
            connection.register(table, rows.to_arrow())
        return to_polars(connection.sql(sql.load_one("staging", name).text, params=parameters))


def unigrams(counts: np.ndarray, unseen: str = "add_one") -> pl.DataFrame:
    """Rows of the table for counts by token id, [token_id]; they come from two shards."""
    vocabulary = pl.DataFrame(
        {"token_id": range(len(counts)), "token": [str(i) for i in range(len(counts))]},
        schema_overrides={"token_id": pl.Int32},
    )
    halves = [counts // 2, counts - counts // 2]
    rows = pl.concat(
        [pl.DataFrame({"token_id": np.flatnonzero(half), "token_count": half[half > 0]}) for half in halves]
    )
    return asked("unigrams", {"unseen": unseen}, vocabulary=vocabulary, unigram_counts=rows)


@settings(max_examples=25, deadline=None)
@given(counts=st.lists(st.integers(0, 50), min_size=1, max_size=30).filter(any), unseen=st.sampled_from(POLICIES))
def test_rarity_is_its_definition(counts, unseen):
    counts = np.array(counts)
    frame = unigrams(counts, unseen)
    smoothed = unseen == "add_one"
    assert frame["token_count"].to_list() == counts.tolist() and frame["probability"].sum() == pytest.approx(1)
    ranked = counts >= (0 if smoothed else 1)
    probability = (counts + smoothed) / (counts.sum() + smoothed * len(counts))
    assert frame["surprisal_bits"].is_null().to_list() == (~ranked).tolist()
    assert np.allclose(frame["surprisal_bits"].drop_nulls(), -np.log2(probability[ranked]))
    ranks = rankdata(counts[ranked], method="dense") - 1
    assert frame["rarity_rank"].drop_nulls().to_list() == ranks.tolist()


def test_columns_have_the_registrys_types():
    schema, found = TABLES["unigrams"].arrow_schema, unigrams(np.array([1, 2])).to_arrow().schema
    numeric = [field for field in found if field.name not in ("token", "unseen_policy")]
    assert {field.name: field.type for field in numeric} == {
        field.name: schema.field(field.name).type for field in numeric
    }


@settings(max_examples=8, deadline=None)
@given(unseen=st.sampled_from(POLICIES), seed=st.integers(0, 99))
def test_one_subset_has_the_rarity_of_the_corpus(unseen, seed):
    counts = np.random.default_rng(seed).integers(0, 5, 30) + (np.arange(30) == 0)
    whole = unigrams(counts, unseen).filter(pl.col("token_count") > 0)
    rows = pl.DataFrame({"subset": ["a"] * 30, "token_id": range(30), "token_count": counts})
    seen = rows.filter(pl.col("token_count") > 0)
    found = asked("subset_unigrams", {"unseen": unseen, "vocabulary_size": 30}, subset_counts=seen)
    assert np.allclose(found["surprisal_bits"], whole["surprisal_bits"])
    assert np.allclose(found["probability"], whole["probability"])


def test_planted_rarity_is_recovered():
    """Surprisal of a counted sample equals that of the distribution it was drawn from, for all common tokens."""
    size = 3000
    truth = 1 / np.arange(1, size + 1)
    truth /= truth.sum()
    ids = np.random.default_rng(12).choice(size, size=200_000, p=truth)
    frame = unigrams(np.bincount(ids, minlength=size))
    common = frame["token_count"].to_numpy() > 400
    assert common.sum() > 30
    assert np.abs(frame["surprisal_bits"].to_numpy() + np.log2(truth))[common].max() < 0.3
    assert frame.sort("token_count")["rarity_rank"].is_sorted()
