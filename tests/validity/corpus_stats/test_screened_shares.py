"""Shares of the corpus from a screened sample: the truth lies in their interval as often as 95 % say."""

from __future__ import annotations

import functools
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

import sql
from corpus_stats.paragraphs.two_phase import drawn_from_strata, kept_of_screened
from warehouse.catalog.publish import open_record
from warehouse.home import Home

WINDOWS, SCREENED, KEPT, DRAWS = 12_000, 3_000, 400, 100
TABLES = (
    *("screening_windows", "screened_windows", "paragraph_weights"),
    *("scored_paragraphs", "paragraphs", "checkpoints"),
)


@functools.cache
def corpus() -> pl.DataFrame:
    """Windows in strata, recited the more often the rarer the stratum; documents of 20 windows that are alike."""
    generator = np.random.default_rng(3)
    documents = np.repeat(np.arange(WINDOWS // 20), 20)
    stratum = generator.choice(4, WINDOWS // 20, p=[0.7, 0.2, 0.08, 0.02])[documents]
    rate = np.array([0.001, 0.01, 0.05, 0.3])[stratum] * generator.choice([0.5, 1.5], WINDOWS // 20)[documents]
    is_recited = generator.random(WINDOWS) < rate
    match = np.where(is_recited, 50, generator.integers(0, 30, WINDOWS))
    return pl.DataFrame(
        {"paragraph_id": [f"{i:05d}" for i in range(WINDOWS)], "document_id": documents,
         "stratum": [f"s{s}" for s in stratum], "exact_match": match}
    )  # fmt: skip


def estimates(connection: duckdb.DuckDBPyConnection, seed: int) -> pl.DataFrame:
    """The mart over one screening, for the checkpoint that was asked and for one that recites something else."""
    everything = corpus()
    rows, weights = drawn_from_strata(everything["stratum"].to_list(), SCREENED, seed)
    screening = everything[rows].with_columns(weight=pl.Series(weights), corpus_id=pl.lit("c"), window_count=1)
    screening_windows = screening.drop("exact_match").with_columns(token_offset=0)
    screened_windows = screening.select(
        "corpus_id", "paragraph_id", "exact_match", screen_checkpoint_id=pl.lit("asked")
    )
    paragraph_weights = kept_of_screened(screening.drop("corpus_id"), 50, KEPT, seed).with_columns(
        corpus_id=pl.lit("c")
    )
    same = paragraph_weights.select("corpus_id", "paragraph_id", "exact_match", near_duplicate_cluster="document_id")
    other = same.with_columns(exact_match=pl.when(_other(same["paragraph_id"])).then(50).otherwise(0))
    paragraph_weights = paragraph_weights.drop("exact_match")
    scored_paragraphs = pl.concat(
        [same.with_columns(checkpoint_id=pl.lit("asked")), other.with_columns(checkpoint_id=pl.lit("other"))],
        how="diagonal_relaxed",
    )
    paragraphs = pl.DataFrame({"corpus_id": ["c"], "continuation_length": [50]})
    checkpoints = pl.DataFrame({"checkpoint_id": ["asked", "other"], "corpus_id": ["c", "c"], "training_step": [1, 2]})
    found = locals()
    for name in TABLES:
        connection.register(name, found[name].to_arrow())
    return connection.sql(sql.load("marts")["corpus_share_recited"].text).pl().filter(least_exact_match=50)


def _other(names: pl.Series) -> pl.Series:
    """Every tenth window, whatever the asked checkpoint recites."""
    return names.str.slice(4).is_in(["7"])


def test_the_corpus_share_is_found_without_bias_and_within_its_interval(tmp_path: Path) -> None:
    with open_record(Home(tmp_path).prepare()) as connection:
        for name in TABLES:
            connection.execute(f"DROP VIEW {name}")
        found = pl.concat([estimates(connection, seed) for seed in range(DRAWS)])
    asked, other = (corpus()["exact_match"] == 50).mean(), _other(corpus()["paragraph_id"]).mean()
    for (name, basis), rows in found.group_by("checkpoint_id", "basis"):
        truth = asked if name == "asked" else other
        spread = rows["corpus_share"].std() / np.sqrt(DRAWS)
        assert abs(rows["corpus_share"].mean() - truth) < 3.5 * spread + 1e-12, (name, basis)
        covered = ((rows["lower"] <= truth) & (truth <= rows["upper"])).mean()
        assert covered >= 0.9, (name, basis, covered)
    own = found.filter(checkpoint_id="asked", basis="paragraphs")
    assert own["sample_share"].mean() > 3 * asked  # what the weights are for
