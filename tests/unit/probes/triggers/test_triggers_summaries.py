"""Readable answers: strongest triggers, heads that point at them, heads that look alike."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from probes.errors import ProbeError
from probes.statistics.clusters import cluster_t_test
from probes.triggers.head_correlations import head_correlations
from probes.triggers.summaries import head_pointing, strongest_triggers, trigger_shares
from tests.support.worlds.triggers_worlds import trigger_world


def pick(frame: pl.DataFrame, **where) -> dict:
    return frame.filter(**where).row(0, named=True)


def test_cluster_t_test_equals_scipys_on_cluster_means():
    rng = np.random.default_rng(0)
    values, clusters = rng.normal(0.4, size=(40, 2)), np.repeat(np.arange(20), 2)
    ours = cluster_t_test(values, clusters, null=0.1)
    theirs = stats.ttest_1samp(values.reshape(20, 2, 2).mean(axis=1), 0.1)
    assert np.allclose(ours.p_value, theirs.pvalue)
    interval = theirs.confidence_interval()
    assert np.allclose([ours.lower, ours.upper], [interval.low, interval.high])


def test_cluster_t_test_of_too_few_or_equal_clusters():
    few = cluster_t_test(np.array([1.0, 2.0]), np.array([0, 1]))
    assert few.estimate == 1.5 and np.isnan(few.lower) and np.isnan(few.p_value)
    equal = cluster_t_test(np.ones(5), np.arange(5))
    assert equal.lower == equal.upper == 1 and equal.p_value == 0
    assert cluster_t_test(np.zeros(5), np.arange(5)).p_value == 1


def test_ties_share_the_title_of_strongest_trigger():
    shares = trigger_shares(np.array([[np.nan, 3, 3, 1], [np.nan, 0, 0, 0], [np.nan, 1, 2, 5]]))
    assert np.array_equal(shares, [[0, 0.5, 0.5, 0], [np.nan] * 4, [0, 0, 0, 1]], equal_nan=True)


def test_strongest_triggers_by_hand():
    frame = pl.DataFrame(
        {
            "paragraph_id": ["a"] * 3 + ["b"] * 3 + ["c"] * 3,
            "position": [1, 2, 3] * 3,
            "em_drop": [0, 9, 1, 7, 0, 0, 0, 0, 0],
            "surprisal_bits": [1.0, 5, 2, 1, 2, 3, 3, 2, 1],
            "is_memorized": [True] * 6 + [False] * 3,
            "near_duplicate_cluster": [0] * 3 + [1] * 3 + [2] * 3,
        }
    )
    result = strongest_triggers(frame)
    rarity = pick(result, paragraph_group="MP", statistic="rarity_percentile")
    assert rarity["estimate"] == pytest.approx((1 + 0) / 2) and rarity["cluster_count"] == 2
    # a's trigger (position 2, percentile 1) meets b's 0.5 there; b's (position 1, percentile 0) meets a's 0.
    excess = pick(result, paragraph_group="MP", statistic="excess_over_position")
    assert excess["estimate"] == pytest.approx(((1 - 0.5) + (0 - 0)) / 2)
    assert pick(result, paragraph_group="NMP", statistic="rarity_percentile")["estimate"] is None
    assert pick(result, paragraph_group="all", statistic="rarity_drop_correlation")["cluster_count"] == 2


def test_rare_triggers_are_found_and_a_position_habit_is_not_mistaken_for_rarity():
    rare = strongest_triggers(trigger_world(clusters=60, effect=12, memorized_share=1, seed=1))
    for statistic, null in (("rarity_percentile", 0.5), ("excess_over_position", 0), ("rarity_drop_correlation", 0)):
        row = pick(rare, paragraph_group="MP", statistic=statistic)
        assert row["null_value"] == pytest.approx(null, abs=0.02) and row["null_value"] < row["lower"]
        assert row["p_value"] is None if statistic == "rarity_percentile" else row["p_value"] < 1e-3
    habit = trigger_world(clusters=60, seed=2).with_columns(
        em_drop=pl.col("em_drop") + 50 * (pl.col("position") == 4),
        surprisal_bits=pl.col("surprisal_bits") + 30 * (pl.col("position") == 4),
    )
    result = strongest_triggers(habit)
    assert pick(result, paragraph_group="all", statistic="rarity_percentile")["estimate"] > 0.95
    excess = pick(result, paragraph_group="all", statistic="excess_over_position")
    assert excess["lower"] <= 0 <= excess["upper"] or abs(excess["estimate"]) < 0.01


def pointing_world(paragraphs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Head 0.0 looks at the trigger, 0.1 always at position 3, 1.0 and 1.1 anywhere; position 0 is not perturbed."""
    rng = np.random.default_rng(seed)
    attention = rng.dirichlet(np.ones(12), size=(paragraphs, 2, 2))
    trigger = rng.integers(1, 12, size=paragraphs)
    attention[np.arange(paragraphs), 0, 0, trigger] += 1
    attention[:, 0, 1, 3] += 1
    attention[:, :, :, 0] += 2  # a sink on the position that was not perturbed
    em_drop = rng.integers(0, 5, size=(paragraphs, 12)).astype(float)
    em_drop[np.arange(paragraphs), trigger] = 50
    em_drop[:, 0] = np.nan
    return attention, em_drop


def test_the_head_that_points_at_triggers_is_found_and_no_other():
    attention, em_drop = pointing_world(60, seed=0)
    result = head_pointing(attention, em_drop, np.arange(60), seed=1, permutations=500)
    for statistic in ("top_hit", "attention_percentile"):
        rows = result.filter(statistic=statistic).sort("layer", "head")
        assert rows["estimate"][0] == 1 and rows["q_value"][0] < 0.01
        assert (rows["q_value"][1:] > 0.05).all()
        assert rows["chance"][0] == pytest.approx(1 / 11 if statistic == "top_hit" else 0.5)
    assert result.height == 8


def test_a_head_with_a_favourite_position_is_judged_against_that_habit():
    attention, em_drop = pointing_world(80, seed=3)
    em_drop[:, 3] = 60  # triggers now always lie where head 0.1 always looks
    row = pick(head_pointing(attention, em_drop, np.arange(80), seed=0), statistic="top_hit", layer=0, head=1)
    assert row["estimate"] > 0.9 > row["chance"]
    assert row["position_matched"] == pytest.approx(row["estimate"], abs=0.02) and row["p_value"] > 0.05


def test_pointing_without_triggers_is_an_empty_table():
    attention, em_drop = pointing_world(5, seed=0)
    assert head_pointing(attention, np.zeros_like(em_drop), np.arange(5), seed=0).is_empty()
    few = head_pointing(attention[:2], em_drop[:2], np.arange(2), seed=0)
    assert few["lower"].is_null().all() and few["p_value"].is_null().all() and few["estimate"].null_count() == 0


def test_head_correlations_equal_scipys():
    attention = np.random.default_rng(0).dirichlet(np.ones(9), size=(6, 2, 3))
    clusters = np.array([0, 0, 1, 2, 3, 3])
    result = head_correlations(attention, clusters)
    assert result.height == 15
    flat = attention.reshape(6, 6, 9)
    for row in result.iter_rows(named=True):
        a, b = row["layer_a"] * 3 + row["head_a"], row["layer_b"] * 3 + row["head_b"]
        each = np.array([stats.spearmanr(flat[p, a], flat[p, b]).statistic for p in range(6)])
        expected = np.mean([each[:2].mean(), each[2], each[3], each[4:].mean()])
        assert row["estimate"] == pytest.approx(expected)
        across = [stats.spearmanr(flat[p, a], flat[q, b]).statistic for p in (2, 3) for q in (2, 3) if p != q]
        pair = head_correlations(attention[2:4], clusters[2:4])
        found = pick(pair, layer_a=row["layer_a"], head_a=row["head_a"], layer_b=row["layer_b"], head_b=row["head_b"])
        assert found["position_null"] == pytest.approx(np.mean(across))


def test_heads_that_look_alike_or_apart_and_constant_heads():
    rng = np.random.default_rng(1)
    base = rng.random((30, 1, 1, 10))
    attention = np.concatenate([base, base**2, 1 - base, np.full_like(base, 0.1)], axis=2)
    result = head_correlations(attention, np.arange(30))
    assert pick(result, head_a=0, head_b=1)["estimate"] == pytest.approx(1)
    assert pick(result, head_a=0, head_b=2)["estimate"] == pytest.approx(-1)
    assert abs(pick(result, head_a=0, head_b=1)["position_null"]) < 0.2
    assert pick(result, head_a=0, head_b=3)["estimate"] is None


def test_misfits_are_refused():
    attention, em_drop = pointing_world(5, seed=0)
    with pytest.raises(ProbeError, match="do not fit"):
        head_pointing(attention, em_drop[:4], np.arange(5), seed=0)
    with pytest.raises(ProbeError, match="one label each"):
        head_correlations(attention, np.arange(4))
    with pytest.raises(ProbeError, match="lacks em_drop"):
        strongest_triggers(trigger_world().drop("em_drop"))
    with pytest.raises(ProbeError, match="different positions"):
        strongest_triggers(trigger_world().head(20))
