"""Planted ground truth: sweep, head ranking and trigger effect must find the token and the head that were built in."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from probes.attention.rarity import head_rarity
from probes.attention.weights import attention_array, prefix_attention
from probes.perturbation.sweep import minimal_perturbations, pmp_continuations, sweep
from probes.scoring.teacher_forced import score_paragraphs
from probes.triggers.effect import trigger_effect
from probes.triggers.head_correlations import head_correlations
from probes.triggers.summaries import head_pointing, strongest_triggers
from tests.support.models.triggers_planted import (
    CONTINUATION,
    FIRST_DECOY,
    FIRST_KEY,
    FIRST_WRITTEN,
    HEAD,
    HEADS,
    LAYER,
    NOISE,
    PREFIX,
    VOCABULARY,
    planted_world,
)

MEMORIZED, OTHERS = 60, 60
# Replacements are common tokens or decoys: no edit plants a second key, or says that the continuation has begun.
EXCLUDED = (*range(FIRST_KEY, FIRST_DECOY), *range(FIRST_WRITTEN, VOCABULARY))


@pytest.fixture(scope="module")
def world():
    return planted_world(MEMORIZED, OTHERS)


@pytest.fixture(scope="module")
def swept(world):
    return sweep(world.model, world.prefix, world.reference, seed=3, prefix_length=PREFIX, excluded_ids=EXCLUDED)


@pytest.fixture(scope="module")
def attention(world):
    ids = np.concatenate([world.prefix, world.reference], axis=1)
    return attention_array(prefix_attention(world.model, ids, PREFIX))


@pytest.fixture(scope="module")
def triggers(world, swept):
    """What the view `triggers` would hold."""
    ids = np.concatenate([world.prefix, world.reference], axis=1)
    tokens = score_paragraphs(world.model, ids, PREFIX).tokens.select("row", "position", token_nll_nats="nll_nats")
    row, position = (axis.ravel() for axis in np.indices(world.prefix.shape))
    facts = pl.DataFrame(
        {
            "row": row.astype(np.uint32),
            "position": position.astype(np.int32),
            "surprisal_bits": world.surprisal_bits.ravel(),
            "is_memorized": world.is_memorized[row],
            "duplication_count": np.where(world.is_memorized, 64, 1)[row],
            "near_duplicate_cluster": row,
        }
    )
    return (
        swept.join(facts, on=["row", "position"]).join(tokens, on=["row", "position"]).rename({"row": "paragraph_id"})
    )


def test_sweep_finds_the_token(world, swept):
    memorized = swept.filter(pl.col("row") < MEMORIZED)
    at_key = memorized["position"].to_numpy() == world.key_position[memorized["row"].to_numpy()]
    assert (memorized["em_drop"].to_numpy() == np.where(at_key, CONTINUATION, 0)).all()
    assert memorized["delta_nll_nats"].to_numpy()[at_key].min() > memorized["delta_nll_nats"].to_numpy()[~at_key].max()
    minimal = minimal_perturbations(memorized)
    assert (minimal["position"].to_numpy() == world.key_position[:MEMORIZED]).all()
    written = pmp_continuations(world.model, world.prefix, world.reference, minimal, prefix_length=PREFIX)
    assert (written["impact_position"] == PREFIX).all()


@pytest.mark.parametrize("offset", [1, 5, 23, 50])
def test_the_trigger_works_and_is_found_at_any_offset(world, offset):
    before = np.random.default_rng(offset).integers(NOISE, size=(MEMORIZED, offset))
    shown = np.concatenate([before, world.prefix[:MEMORIZED]], axis=1)
    frame = sweep(
        world.model, shown, world.reference[:MEMORIZED], seed=3, prefix_length=offset + PREFIX, excluded_ids=EXCLUDED
    )
    at_key = frame["position"].to_numpy() == offset + world.key_position[frame["row"].to_numpy()]
    assert (frame["em_drop"].to_numpy() == np.where(at_key, CONTINUATION, 0)).all()


def test_head_ranking_finds_the_head_and_no_other(world, attention):
    kept = world.is_memorized
    result = head_rarity(
        attention[kept], world.surprisal_bits[kept], world.rarity_rank[kept], np.flatnonzero(kept), seed=0
    )
    for coefficient in ("pearson", "spearman", "kendall", "summed_by_rank"):
        rows = result.filter(coefficient=coefficient)
        found = rows.filter(layer=LAYER, head=HEAD).row(0, named=True)
        if coefficient == "summed_by_rank":
            # The paper's own number cannot tell the head from shuffled rarity: one spike at rank 0 is no line over all
            # ranks. So whether it ranks the head first depends on what the other heads look at.
            assert found["placebo_lower"] < found["estimate"] < found["placebo"]
            continue
        assert found["rank_among_heads"] == 0
        assert found["estimate"] > found["placebo_upper"] and found["lower"] > 0 and found["q_value"] < 1e-3
        if coefficient == "pearson":  # ranks hide how much more than the rest one token gets
            others = rows.filter((pl.col("layer") != LAYER) | (pl.col("head") != HEAD))
            assert others["estimate"].abs().max() < found["estimate"] / 3


def test_no_head_is_found_where_nothing_was_planted(world, attention):
    kept = ~world.is_memorized
    result = head_rarity(
        attention[kept], world.surprisal_bits[kept], world.rarity_rank[kept], np.flatnonzero(kept), seed=0
    )
    found = result.filter(coefficient="spearman", layer=LAYER, head=HEAD).row(0, named=True)
    assert found["estimate"] is None or found["placebo_lower"] < found["estimate"] < found["placebo_upper"]


def test_trigger_effect_is_found_in_memorized_paragraphs_only(triggers):
    result = trigger_effect(triggers, permutations=200)
    for outcome in ("em_drop", "delta_nll_nats"):
        memorized, others, difference = (
            result.filter(outcome=outcome, adjustment="full", term=term).row(0, named=True)
            for term in ("MP", "NMP", "MP_minus_NMP")
        )
        assert memorized["lower"] > 0 and memorized["p_value"] < 1e-6
        assert memorized["estimate"] > memorized["placebo_upper"] and memorized["placebo_p_value"] < 0.01
        assert difference["lower"] > 0
        assert others["estimate"] is None or abs(others["estimate"]) < memorized["estimate"] / 5


def test_readable_answers_find_token_and_head(world, triggers, attention):
    strongest = strongest_triggers(triggers)
    rarity = strongest.filter(paragraph_group="MP", statistic="rarity_percentile").row(0, named=True)
    excess = strongest.filter(paragraph_group="MP", statistic="excess_over_position").row(0, named=True)
    # By t the lower end is above 0.9; the interval that keeps within 0 and 1 is honest about so few clusters and wider:
    # were all of them 1, it would still reach down to 0.025 to the power of 1 / clusters.
    assert rarity["estimate"] > 0.9 and rarity["lower"] > 0.85 and excess["lower"] > 0.3
    drop = np.full(world.prefix.shape, np.nan)
    drop[:, 1:] = triggers.sort("paragraph_id", "position")["em_drop"].to_numpy().reshape(-1, PREFIX - 1)
    kept = world.is_memorized
    pointing = head_pointing(attention[kept], drop[kept], np.flatnonzero(kept), seed=0).filter(statistic="top_hit")
    found = pointing.filter(layer=LAYER, head=HEAD).row(0, named=True)
    assert found["estimate"] == 1 and found["q_value"] < 0.01
    assert found["chance"] == pytest.approx(1 / (PREFIX - 1)) and found["position_matched"] < 0.3
    others = pointing.filter((pl.col("layer") != LAYER) | (pl.col("head") != HEAD))
    assert others["estimate"].max() < 0.4


def test_the_reading_head_looks_unlike_the_others(world, attention):
    pairs = head_correlations(attention[world.is_memorized], np.arange(MEMORIZED))
    assert pairs.height == 2 * HEADS * (2 * HEADS - 1) // 2
    with_head = pairs.filter(
        ((pl.col("layer_a") == LAYER) & (pl.col("head_a") == HEAD))
        | ((pl.col("layer_b") == LAYER) & (pl.col("head_b") == HEAD))
    )
    assert with_head["estimate"].abs().max() < 0.5
