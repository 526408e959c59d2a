"""Results across checkpoints: when memorized and forgotten, what early shows of late, what copies do over time."""

from __future__ import annotations

import duckdb
import numpy as np
import polars as pl
import pytest
from scipy.stats import ttest_ind
from statsmodels.stats.proportion import proportion_confint

import sql
from warehouse.catalog.macros import Macro
from warehouse.catalog.publish import connect_workspace, dependency_order

STEPS = (0, 10, 20, 30)
COPIES = (0, 4, 64)
CLUSTERS = 12
NAMES = ("checkpoint_series", "cluster_scores", "memorization_dynamics", "memorization_flow", "early_predicts_late",
         "duplication_effect", "wilson_lower", "wilson_upper", "t_quantile", "welch_degrees",
         "difference_margin")  # fmt: skip


def scores() -> pl.DataFrame:
    """Two series over one corpus; exact match grows with step and copies, two paragraphs in a cluster now and then."""
    chance = np.random.default_rng(3)
    rows = []
    for run in ("neo", "other"):
        for step in STEPS:
            for copies in COPIES:
                for cluster in range(CLUSTERS):
                    for member in range(1 + (cluster % 3 == 0)):
                        gain = chance.normal(step * (1 + copies) ** 0.4 / 3, 15)
                        match = int(np.clip(gain, 0, 50))
                        rows.append(
                            {
                                "checkpoint_id": f"{run}-step-{step:03d}",
                                "corpus_id": "library",
                                "paragraph_id": f"p{copies}-{cluster}-{member}",
                                "training_step": step,
                                "exact_match": match,
                                "is_memorized": match == 50,
                                "continuation_nll_nats": 1.0,
                                "duplication_count": copies,
                                "near_duplicate_cluster": copies * 100 + cluster,
                            }
                        )
    return pl.DataFrame(rows)


@pytest.fixture(scope="module")
def scored() -> pl.DataFrame:
    return scores()


@pytest.fixture(scope="module")
def connection(scored: pl.DataFrame) -> duckdb.DuckDBPyConnection:
    connection = connect_workspace(threads=1)
    connection.register("scored", scored.to_arrow())
    connection.execute("CREATE TABLE scored_paragraphs AS SELECT * FROM scored")
    connection.execute(
        "CREATE TABLE checkpoints AS SELECT DISTINCT checkpoint_id, corpus_id, training_step FROM scored"
    )
    connection.execute(
        "INSERT INTO checkpoints VALUES ('final', 'library', NULL), ('EleutherAI--x--step7', 'library', 7)"
    )
    queries = {**sql.load("macros"), **sql.load("views"), **sql.load("marts")}
    for name in dependency_order({name: queries[name] for name in NAMES}):
        is_macro = name in sql.load("macros")
        connection.execute(
            Macro.of(queries[name]).definition if is_macro else f"CREATE VIEW {name} AS {queries[name].text}"
        )
    return connection


def ask(connection: duckdb.DuckDBPyConnection, text: str) -> pl.DataFrame:
    frame = pl.from_arrow(connection.sql(text).to_arrow_table())
    assert isinstance(frame, pl.DataFrame)
    return frame


def test_series_are_told_apart_by_name_and_ordered_by_step(connection: duckdb.DuckDBPyConnection) -> None:
    rows = ask(connection, "SELECT checkpoint_id, series_id, series_index, is_last FROM checkpoint_series").rows()
    assert ("neo-step-010", "neo", 1, False) in rows and ("other-step-030", "other", 3, True) in rows
    assert ("EleutherAI--x--step7", "EleutherAI--x", 0, True) in rows
    assert not [row for row in rows if row[0] == "final"]


def test_moments_equal_a_walk_through_each_paragraphs_history(
    connection: duckdb.DuckDBPyConnection, scored: pl.DataFrame
) -> None:
    expected = {}
    for (run, name), rows in scored.with_columns(run=pl.col("checkpoint_id").str.split("-").list[0]).group_by(
        "run", "paragraph_id"
    ):
        first = forgotten = recovered = None
        for step, memorized in rows.sort("training_step").select("training_step", "is_memorized").rows():
            if first is None:
                first = step if memorized else None
            elif forgotten is None:
                forgotten = None if memorized else step
            elif recovered is None:
                recovered = step if memorized else None
        if first is not None:
            expected[run, name] = (first, forgotten, recovered)
    rows = ask(
        connection,
        "SELECT series_id, paragraph_id, first_memorized_at, forgotten_at, recovered_at FROM memorization_dynamics",
    )
    assert {row[:2]: row[2:] for row in rows.rows()} == expected
    assert any(forgotten is not None for _, forgotten, _ in expected.values())


def clusters_at(scored: pl.DataFrame, run: str, step: int) -> dict[tuple[int, int], bool]:
    rows = scored.filter(pl.col("checkpoint_id") == f"{run}-step-{step:03d}")
    found = rows.group_by("duplication_count", "near_duplicate_cluster").agg(pl.col("is_memorized").mean())
    return {row[:2]: row[2] >= 0.5 for row in found.rows()}


@pytest.mark.parametrize("step", [10, 20])
def test_precision_and_recall_stand_beside_wilson_intervals_and_a_random_choice(
    connection: duckdb.DuckDBPyConnection, scored: pl.DataFrame, step: int
) -> None:
    early, late = clusters_at(scored, "neo", step), clusters_at(scored, "neo", 30)
    hits, predicted, there = sum(early[k] and late[k] for k in early), sum(early.values()), sum(late.values())
    row = ask(connection, f"SELECT * FROM early_predicts_late WHERE checkpoint_id = 'neo-step-{step:03d}'").row(
        0, named=True
    )
    assert (row["hit_count"], row["predicted_count"], row["late_memorized_count"]) == (hits, predicted, there)
    assert row["precision_null"] == pytest.approx(there / len(late)) and row["recall_null"] == pytest.approx(
        predicted / len(early)
    )
    for name, count in (("precision", predicted), ("recall", there)):
        assert row[f"{name}_share"] == (pytest.approx(hits / count) if count else None)
        if count < 3:
            assert (row[f"{name}_lower"], row[f"{name}_upper"]) == (None, None)
            continue
        low, high = proportion_confint(hits, count, method="wilson")
        assert (row[f"{name}_lower"], row[f"{name}_upper"]) == pytest.approx((low, high), abs=1e-9)


def test_difference_in_differences_equals_welchs_interval(
    connection: duckdb.DuckDBPyConnection, scored: pl.DataFrame
) -> None:
    means = scored.group_by("checkpoint_id", "duplication_count", "near_duplicate_cluster").agg(
        pl.col("exact_match").mean()
    )

    def gains(copies: int) -> np.ndarray:
        rows = means.filter(pl.col("duplication_count") == copies)
        late, early = (
            rows.filter(pl.col("checkpoint_id") == f"neo-step-{s}")
            .sort("near_duplicate_cluster")["exact_match"]
            .to_numpy()
            for s in ("020", "000")
        )
        return late - early

    row = ask(
        connection, "SELECT * FROM duplication_effect WHERE checkpoint_id = 'neo-step-020' AND duplication_count = 64"
    ).row(0, named=True)
    welch = ttest_ind(gains(64), gains(0), equal_var=False)
    low, high = welch.confidence_interval(0.95)
    assert row["effect_tokens"] == pytest.approx(gains(64).mean() - gains(0).mean())
    assert row["degrees_of_freedom"] == pytest.approx(welch.df)
    assert (row["lower"], row["upper"]) == pytest.approx((low, high), rel=1e-6)
    assert row["null_tokens"] == 0 and row["placebo_tokens"] is not None


def test_gains_and_losses_add_up(connection: duckdb.DuckDBPyConnection, scored: pl.DataFrame) -> None:
    flow = ask(connection, "SELECT * FROM memorization_flow WHERE series_id = 'neo'")
    for step in STEPS:
        rows = flow.filter(pl.col("training_step") == step)
        now = rows.select(pl.sum_horizontal("gained_count", "recovered_count", "kept_count")).sum().item()
        assert now == sum(clusters_at(scored, "neo", step).values())
        assert rows["null_gained_count"].sum() == pytest.approx(rows["gained_count"].sum())
    kept_or_lost = flow["kept_count"].sum() + flow["forgotten_count"].sum()
    assert kept_or_lost == sum(sum(clusters_at(scored, "neo", step).values()) for step in STEPS[:-1])
