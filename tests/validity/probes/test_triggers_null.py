"""Null worlds: nothing is there, so findings at the 5 % level may appear in 2 to 8 % of seeded repetitions."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from probes.attention.rarity import head_rarity
from probes.attention.weights import attention_array, prefix_attention
from probes.perturbation.sweep import sweep
from probes.triggers.effect import trigger_effect
from probes.triggers.summaries import head_pointing, strongest_triggers
from tests.support.models.triggers_planted import FIRST_DECOY, FIRST_KEY, PREFIX, planted_world
from tests.support.worlds.triggers_worlds import trigger_world

REPETITIONS = 300


def assert_rare(shares: dict[str, float]) -> None:
    """Shares of findings by name; all between 2 and 8 %."""
    assert shares and all(0.02 <= share <= 0.08 for share in shares.values()), shares


def shares_below(frames: list[pl.DataFrame], by: str, columns: list[str]) -> dict[str, float]:
    counted = pl.concat(frames).group_by(by).agg((pl.col(column) <= 0.05).mean() for column in columns)
    return {f"{row[by]} {column}": row[column] for row in counted.iter_rows(named=True) for column in columns}


def test_trigger_effect_with_near_duplicates_and_skewed_outcomes():
    frames = [
        trigger_effect(
            trigger_world(clusters=40, positions=12, copies=2, seed=seed), seed=seed, permutations=39,
            outcomes=["em_drop"], adjustments=["full"],
        )
        for seed in range(400)
    ]  # fmt: skip
    assert_rare(shares_below(frames, "term", ["p_value", "placebo_p_value"]))
    covered = pl.concat(frames).select(((pl.col("lower") <= 0) & (pl.col("upper") >= 0)).mean()).item()
    assert 0.92 <= covered <= 0.98


def test_strongest_triggers():
    frames = [
        strongest_triggers(trigger_world(clusters=24, positions=12, copies=2, seed=seed)) for seed in range(REPETITIONS)
    ]
    counted = [frame.filter(pl.col("p_value").is_not_null(), paragraph_group="all") for frame in frames]
    assert_rare(shares_below(counted, "statistic", ["p_value"]))


@pytest.fixture(scope="module")
def world():
    """A model that memorized none of its paragraphs."""
    return planted_world(0, 40, seed=5)


@pytest.fixture(scope="module")
def forgetful(world):
    """A real sweep of a model that memorized nothing; the last prefix token drives its next word."""
    frame = sweep(
        world.model,
        world.prefix,
        world.reference,
        seed=1,
        prefix_length=PREFIX,
        excluded_ids=range(FIRST_KEY, FIRST_DECOY),
    )
    assert (frame["em_drop"] > 0).any()
    return frame


def test_a_model_that_memorized_nothing_with_rarity_dealt_at_random(forgetful):
    rows = forgetful["row"].to_numpy()
    base = forgetful.select("position", "em_drop", "delta_nll_nats", paragraph_id="row").with_columns(
        is_memorized=pl.Series(rows % 2 == 0),
        duplication_count=pl.lit(1),
        near_duplicate_cluster=pl.col("paragraph_id"),
    )
    frames = []
    for seed in range(REPETITIONS):
        rng = np.random.default_rng(seed)
        dealt = base.with_columns(
            surprisal_bits=pl.Series(rng.gamma(3, 3, size=base.height)),
            token_nll_nats=pl.Series(rng.exponential(size=base.height)),
        )
        frames.append(trigger_effect(dealt, permutations=19, outcomes=["delta_nll_nats"], adjustments=["full"]))
    measured = [frame.filter(pl.col("estimate").is_not_null()) for frame in frames]
    assert_rare(shares_below(measured, "term", ["p_value"]))


def null_attention(seed: int, clusters: int = 24, copies: int = 2, positions: int = 14) -> dict[str, np.ndarray]:
    """Spiky attention with habits of place, shared by near duplicates; rarity has nothing to do with it."""
    rng = np.random.default_rng(seed)
    habit = rng.gamma(0.5, size=(1, 2, 2, positions))
    attention = np.repeat(rng.gamma(0.4, size=(clusters, 2, 2, positions)) * habit, copies, axis=0)
    attention *= rng.uniform(0.9, 1.1, size=attention.shape)
    token = np.repeat(np.minimum(rng.zipf(1.4, size=(clusters, positions)), 400), copies, axis=0)
    return {
        "attention": attention / attention.sum(axis=-1, keepdims=True),
        "surprisal_bits": np.log2(token + 1.0),
        "rarity_rank": 400 - token,
        "clusters": np.repeat(np.arange(clusters), copies),
    }


def test_head_rarity():
    frames = [
        head_rarity(**null_attention(seed), seed=seed, bootstrap_draws=200, permutations=99).with_columns(
            seed=pl.lit(seed)
        )
        for seed in range(200)
    ]
    assert_rare(shares_below(frames, "coefficient", ["p_value"]))
    within = pl.concat(frames).filter(pl.col("coefficient") != "summed_by_rank")
    covered = within.select(((pl.col("lower") <= 0) & (pl.col("upper") >= 0)).mean()).item()
    assert 0.9 <= covered <= 0.98
    # With four heads tested, any finding at q < 0.05 is as rare as the level says.
    any_finding = within.group_by("seed", "coefficient").agg((pl.col("q_value") < 0.05).any())["q_value"].mean()
    assert any_finding <= 0.08


def test_heads_of_a_model_that_memorized_nothing_with_rarity_dealt_at_random(world):
    """Real attention: each head as often as the level says, whatever its taste for positions."""
    ids = np.concatenate([world.prefix, world.reference], axis=1)[:24]
    attention = attention_array(prefix_attention(world.model, ids, PREFIX))
    frames = []
    for seed in range(200):
        rng = np.random.default_rng([seed, 2])
        token = np.minimum(rng.zipf(1.4, size=(len(ids), PREFIX)), 400)
        dealt = {"surprisal_bits": np.log2(token + 1.0), "rarity_rank": 400 - token}
        options = {"bootstrap_draws": 100, "permutations": 39, "seed": seed}
        frames.append(head_rarity(attention, clusters=np.arange(len(ids)), **dealt, **options))
    # One head looks at the same places in every text: every re-pairing is alike, so it finds nothing by construction.
    measured = [frame.filter(pl.col("p_value") < 1) for frame in frames]
    assert_rare(shares_below(measured, "coefficient", ["p_value"]))


def test_head_pointing_with_habits_of_place():
    frames = []
    for seed in range(REPETITIONS):
        arrays = null_attention(seed)
        rng = np.random.default_rng([seed, 1])
        place = np.repeat(rng.choice(14, size=24, p=np.arange(1, 15) / 105), 2)  # triggers lie late in the prefix
        drop = rng.uniform(size=(48, 14))
        drop[np.arange(48), place] = 9
        frames.append(head_pointing(arrays["attention"], drop, arrays["clusters"], seed=seed, permutations=99))
    assert_rare(shares_below(frames, "statistic", ["p_value"]))
