"""Numbers that go by one name follow one rule: surprisal and probability; what the positions of others predict."""

from __future__ import annotations

import duckdb
import numpy as np
import polars as pl
import pytest

import sql
from probes.triggers.summaries import strongest_triggers
from warehouse.catalog.macros import Macro

_INTERVALS = ("t_quantile", "mean_margin", "mean_lower", "mean_upper")
COUNTS = np.array([0, 1, 1, 3, 40, 0])


def answer(folder: str, name: str, **frames: pl.DataFrame) -> pl.DataFrame:
    params = {key: value for key, value in frames.items() if not isinstance(value, pl.DataFrame)}
    with duckdb.connect() as connection:
        for macro in (Macro.of(sql.load_one("macros", name)) for name in _INTERVALS):
            connection.execute(macro.definition)
        for table, frame in frames.items():
            if isinstance(frame, pl.DataFrame):
                connection.register(table, frame.to_arrow())
        return pl.DataFrame(connection.sql(sql.load_one(folder, name).text, params=params or None).to_arrow_table())


@pytest.mark.parametrize("unseen", ["add_one", "null"])
def test_surprisal_is_that_of_the_probability(unseen):
    vocabulary = pl.DataFrame({"token_id": range(6), "token": list("abcdef")})
    counts = pl.DataFrame({"token_id": np.flatnonzero(COUNTS), "token_count": COUNTS[COUNTS > 0]})
    frame = answer("staging", "unigrams", vocabulary=vocabulary, unigram_counts=counts, unseen=unseen)
    known = frame.drop_nulls("surprisal_bits")
    assert np.allclose(known["surprisal_bits"], -np.log2(known["probability"]))
    assert frame["probability"].sum() == pytest.approx(1) and known.height == (6 if unseen == "add_one" else 4)
    added = int(unseen == "add_one")
    assert np.allclose(frame["probability"], (COUNTS + added) / (COUNTS.sum() + added * len(COUNTS)))


def test_a_subsets_surprisal_is_that_of_its_probability():
    counts = pl.DataFrame({"subset": ["x", "x", "y"], "token_id": [0, 1, 0], "token_count": [3, 1, 9]})
    frame = answer("staging", "subset_unigrams", subset_counts=counts, unseen="add_one", vocabulary_size=4)
    assert np.allclose(frame["surprisal_bits"], -np.log2(frame["probability"]))
    assert frame["probability"].to_list() == pytest.approx([4 / 8, 2 / 8, 10 / 13])


def triggers(paragraphs=7, positions=6, seed=0) -> pl.DataFrame:
    """Rows of the view triggers; paragraphs 0 and 1 are one cluster."""
    rng = np.random.default_rng(seed)
    cluster = np.maximum(np.arange(paragraphs), 1)
    grid = {
        "paragraph": np.repeat(np.arange(paragraphs), positions),
        "position": np.tile(np.arange(positions), paragraphs),
    }
    return pl.DataFrame(grid).with_columns(
        checkpoint_id=pl.lit("c"),
        paragraph_id=pl.col("paragraph").cast(pl.String),
        near_duplicate_cluster=pl.Series(np.repeat(cluster, positions)),
        is_memorized=pl.lit(True),
        em_drop=pl.Series(rng.integers(1, 50, paragraphs * positions).astype(float)),
        surprisal_bits=pl.Series(rng.random(paragraphs * positions)),
        prefix_rarity_percentile=pl.Series(rng.random(paragraphs * positions)),
    )


def expected_elsewhere(frame: pl.DataFrame, column: str) -> np.ndarray:
    rows = frame.to_dicts()

    def is_elsewhere(one: dict, other: dict) -> bool:
        apart = one["near_duplicate_cluster"] != other["near_duplicate_cluster"]
        return apart and one["position"] == other["position"]

    return np.array([np.mean([r[column] for r in rows if is_elsewhere(r, row)]) for row in rows])


def test_what_positions_predict_for_a_trigger_comes_from_other_clusters():
    frame = triggers()
    rank = pl.col("surprisal_bits").rank().over("paragraph_id") - 1
    frame = frame.with_columns(prefix_rarity_percentile=rank / (pl.len().over("paragraph_id") - 1))
    # Copies weigh as one: the mean over other clusters is that of their own means.
    of_cluster = pl.col("prefix_rarity_percentile").mean().over("near_duplicate_cluster", "position")
    once = frame.with_columns(prefix_rarity_percentile=of_cluster).filter(pl.col("paragraph") != 0)
    once = once.with_columns(matched=pl.Series(expected_elsewhere(once, "prefix_rarity_percentile")))
    frame = frame.join(
        once.select("near_duplicate_cluster", "position", "matched"), on=["near_duplicate_cluster", "position"]
    )
    top = frame.filter(pl.col("em_drop") == pl.col("em_drop").max().over("paragraph_id"))
    by_cluster = top.group_by("near_duplicate_cluster").agg(pl.col("matched").mean())
    tested = strongest_triggers(frame.drop("matched")).with_columns(checkpoint_id=pl.lit("c"))
    found = answer("marts", "strongest_triggers", triggers=frame, trigger_summaries=tested)
    assert found["position_matched"][0] == pytest.approx(by_cluster["matched"].mean())


def test_what_positions_predict_by_rarity_comes_from_other_clusters():
    frame = triggers(seed=1)
    matched = pl.Series(expected_elsewhere(frame, "em_drop"))
    found = answer("marts", "em_drop_by_rarity", triggers=frame)
    rank = pl.col("surprisal_bits").rank("ordinal").over("paragraph_id")
    fifth = pl.when(rank <= 2).then(0).otherwise(rank - 2)  # six tokens in five bins: the first holds two
    rows = frame.with_columns(matched=matched, fifth=fifth)
    by_cluster = rows.group_by("fifth", "near_duplicate_cluster").agg(pl.col("matched").mean())
    expected = by_cluster.group_by("fifth").agg(pl.col("matched").mean()).sort("fifth")
    assert found.sort("rarity_fifth")["position_matched_em_drop"].to_list() == pytest.approx(
        expected["matched"].to_list()
    )
