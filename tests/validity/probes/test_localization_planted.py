"""Every localization finds the head that carries the recall, and finds nothing where there is nothing to find."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from probes.architectures import HeadRef
from probes.errors import ProbeError
from probes.gradients.parameters import parameter_gradients
from probes.interventions.patching import activation_patching
from probes.interventions.score_card import score_card
from probes.interventions.selectivity import PairedScores, bootstrap_weights, selectivity
from probes.interventions.sweep import Intervention, block_sweep, head_sweep, measure_interventions
from tests.support.models.localize_planted import PREFIX, TRIGGER_POSITION, planted_recall, untrained

WORLDS = [("gpt_neo", HeadRef(1, 2)), ("gpt_neox", HeadRef(1, 1))]


@pytest.fixture(scope="module", params=WORLDS, ids=["gpt_neo 1.2", "gpt_neox 1.1"])
def world(request):
    family, head = request.param
    return planted_recall(head, family)


def measured(world, interventions):
    return measure_interventions(world.model, {"MP": world.paragraphs}, world.held_out, interventions, PREFIX)


def test_the_untouched_model_recites(world):
    assert measured(world, [])["em_mean"].item() > 7
    assert measured(world, [])["utility_accuracy_share"].item() == 1.0


@pytest.mark.parametrize("kind", ["identity", "uniform", "zero", "mean"])
def test_ablations_rank_the_planted_head_and_block_first(world, kind):
    heads = measured(world, head_sweep(world.model, kind)).drop_nulls("head").sort("memorization_drop_share")
    assert (heads["layer"][-1], heads["head"][-1]) == (world.head.layer, world.head.head)
    assert heads["is_selective"][-1]
    assert heads["memorization_drop_share"][-2] < heads["memorization_drop_share"][-1] / 2
    blocks = measured(world, block_sweep(world.model, kind)).drop_nulls("layer").sort("memorization_drop_share")
    assert blocks["layer"][-1] == world.head.layer
    assert not blocks["is_selective"][:-1].any()


def test_patching_the_trigger_ranks_the_planted_head_first(world):
    other = world.paragraphs.roll(1, 0)
    differs = (world.paragraphs[:, PREFIX:] != other[:, PREFIX:]).long().argmax(1) + PREFIX
    triggers = [TRIGGER_POSITION] * len(other)
    frame = activation_patching(world.model, world.paragraphs, other, triggers, differs.tolist())
    effects = frame.group_by("receiver", "layer", "component", "head").agg(pl.col("delta_nll_nats").mean())
    for receiver in ("MP", "PMP"):
        first = effects.filter(receiver=receiver).sort("delta_nll_nats", descending=True).row(0, named=True)
        assert (first["layer"], first["head"]) == (world.head.layer, world.head.head)
        assert first["component"] in ("k", "v")


def test_parameter_gradients_rank_the_planted_head_first(world):
    frame = parameter_gradients(world.model, world.paragraphs, PREFIX).filter(component="W_V")
    first = frame.group_by("layer", "head").agg(pl.col("l2").mean()).sort("l2", descending=True).row(0, named=True)
    assert (first["layer"], first["head"]) == (world.head.layer, world.head.head)


def test_a_model_that_breaks_down_counts_as_collapse_not_as_success(world):
    frame = measured(world, [Intervention("zero", (0, 1, 2), part="mlp"), Intervention("mean", (0, 1, 2), part="mlp")])
    broken = frame.filter(pl.col("utility_drop_share") >= 0.5)
    assert broken.height > 0
    assert broken["is_collapsed"].all()
    assert not broken["is_selective"].any()


def test_the_score_card_tells_the_planted_head_from_random_heads(world):
    layer, head = world.head.layer, world.head.head
    wrong = [HeadRef((layer + 1) % 3, 0), HeadRef((layer + 1) % 3, 3)]
    choices = {
        "planted": [world.head],
        "planted and one more": [world.head, HeadRef(layer, (head + 1) % 4)],
        "wrong": wrong,
    }
    groups = {"self": world.paragraphs[:3], "other": world.paragraphs[3:]}
    card = score_card(world.model, groups, world.held_out, choices, prefix_length=PREFIX, random_count=60)
    assert card["choice"].to_list() == list(choices) * 3
    unrelated, card = card.filter(evaluation="unrelated"), card.filter(pl.col("evaluation") != "unrelated")
    assert unrelated["drop_share"].max() < 0.1
    assert unrelated["is_selective"].null_count() == unrelated["selectivity"].null_count() == 3
    assert (card.filter(choice="planted")["drop_share"] > 0.3).all()
    found, missed = card.filter(pl.col("choice") != "wrong"), card.filter(choice="wrong")
    # One head in twelve is the planted one, two heads hold it one time in six: no p value can be smaller.
    assert found["p_value"].max() < 0.3
    assert (found["selectivity"] > found["random_mean"]).all()
    assert not missed["is_selective"].any()
    assert missed["p_value"].min() > 0.15
    with pytest.raises(ProbeError, match="names no head"):
        score_card(world.model, groups, world.held_out, {"none": []}, prefix_length=PREFIX)


def test_an_untrained_model_has_nothing_to_find():
    world = untrained("gpt_neo")
    frame = measured(world, block_sweep(world.model) + head_sweep(world.model, "mean"))
    assert not frame["is_selective"].any()


def test_equal_losses_of_recall_and_use_are_called_selective_no_more_often_than_stated():
    """Null world: recall and utility lose the same true share; the 95 % interval leaves 2.5 % above 0."""
    rng = np.random.default_rng(0)
    found = 0
    for seed in range(300):
        recall, use = outcome(rng, 60, 1.0), outcome(rng, 60, 1.0)
        after = outcome(rng, 60, 0.7), outcome(rng, 60, 0.7)
        draws = bootstrap_weights(np.arange(60), seed, 200), bootstrap_weights(np.arange(60), seed + 1, 200)
        found += bool(selectivity(after[0], recall, after[1], use, draws)["is_selective"])
    assert found / 300 < 0.06


def test_a_real_difference_is_found():
    rng = np.random.default_rng(1)
    draws = bootstrap_weights(np.arange(60), 0, 500), bootstrap_weights(np.arange(60), 1, 500)
    result = selectivity(
        outcome(rng, 60, 0.3), outcome(rng, 60, 1.0), outcome(rng, 60, 0.95), outcome(rng, 60, 1.0), draws
    )
    assert result["is_selective"]
    assert result["lower"] < 0.65 < result["upper"]


def test_copies_of_one_paragraph_do_not_narrow_the_interval():
    rng = np.random.default_rng(2)
    few, clean, use = outcome(rng, 6, 0.5), outcome(rng, 6, 1.0), outcome(rng, 40, 1.0)
    copied, copied_clean = (PairedScores(*(np.repeat(column, 50) for column in o)) for o in (few, clean))
    of_use = bootstrap_weights(np.arange(40), 1, 400)
    alone = selectivity(few, clean, use, use, (bootstrap_weights(np.arange(6), 0, 400), of_use))
    units = np.repeat(np.arange(6), 50)
    many = selectivity(copied, copied_clean, use, use, (bootstrap_weights(units, 0, 400), of_use))
    assert many["upper"] - many["lower"] == pytest.approx(alone["upper"] - alone["lower"])


def outcome(rng, count, level):
    """Counts and accuracies around a level, likelihood untouched."""
    exact_match = rng.binomial(50, level * rng.beta(8, 8, count) * 0.9).astype(float)
    accuracy = rng.binomial(50, level * rng.beta(8, 8, count) * 0.9) / 50
    return PairedScores(exact_match, np.ones(count), accuracy, np.ones(count))
