"""Every localization finds the head that carries the recall, and finds nothing where there is nothing to find."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch
from scipy.stats import binom

from probes.architectures import HeadRef, adapter_for
from probes.errors import ProbeError
from probes.gradients.parameters import parameter_gradients
from probes.interventions.nulls import NOISE_SEEDS, NOISE_STRENGTHS, Noise, Nulls, all_weights_noised, as_best, noises
from probes.interventions.patching import activation_patching
from probes.interventions.score_card import score_card
from probes.interventions.selectivity import PairedScores, bootstrap_interval, bootstrap_weights, losses, widening
from probes.interventions.sweep import UTILITY, Intervention, block_sweep, head_sweep, measure_interventions, outcomes
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


@pytest.mark.parametrize(("family", "head", "seed"), [(*WORLDS[0], 1), (*WORLDS[1], 2)], ids=["gpt_neo", "gpt_neox"])
def test_noise_on_all_weights_is_no_finding_though_exact_match_dies(family, head, seed):
    """Models, noise seeds and strengths that nothing was tuned on: one more noise lies within what t predicts of it.

    In eight such models, 40 noises each, 1.9 % were called selective (0 to 5 % a model); 2.5 % are meant to be.
    """
    world = planted_recall(head, family, seed=seed)
    adapter, texts = adapter_for(world.model), {"MP": (world.paragraphs, PREFIX), UTILITY: (world.held_out, 1)}
    before = [weight.clone() for weight in world.model.parameters()]
    clean = {name: outcomes(adapter, *text, [()], None, 16)[0] for name, text in texts.items()}
    weights = tuple(bootstrap_weights(np.arange(len(texts[name][0])), 0, 200) for name in texts)

    def lost(noise):
        with all_weights_noised(world.model, noise):
            after = {name: outcomes(adapter, *text, [()], None, 16)[0] for name, text in texts.items()}
        return losses(after["MP"], clean["MP"], after[UTILITY], clean[UTILITY], weights, 6)

    nulls = Nulls({}, [lost(noise) for noise in noises()])
    strengths = np.random.default_rng(seed).choice([0.2, 0.4, 0.6, 0.9, 1.2], 24)
    damaged = [lost(Noise(float(strength), 100 + index)) for index, strength in enumerate(strengths)]
    assert np.mean([found.exact_match[0] for found in damaged]) > 0.3
    found = sum(bool(nulls.beside(one, "noise", ())["is_selective"]) for one in damaged)
    assert found <= binom.ppf(0.999, len(damaged), 0.05)
    assert all(map(torch.equal, before, world.model.parameters()))


@pytest.mark.parametrize("kind", ["mean", "zero"])
def test_ablated_mlps_are_not_selective(world, kind):
    """Without MLPs gpt_neo has nothing left. In gpt_neox attention reads the block's input beside the MLP, so that with
    zeros in the MLPs' place 62 % of the held-out tokens survive: damage to both, and no selectivity either."""
    frame = measured(world, [Intervention(kind, (0, 1, 2), part="mlp")]).drop_nulls("layer")
    is_sequential = world.model.config.model_type == "gpt_neo"
    assert frame["memorization_drop_share"][0] > 0.5
    assert frame["utility_drop_share"][0] > (0.9 if is_sequential else 0.3)
    assert frame["is_collapsed"][0] == is_sequential
    assert frame["noise_mean"].null_count() == 0 and frame["random_mean"].null_count() == 1
    assert not frame["is_selective"].any()


def test_the_best_of_many_blocks_pays_for_having_been_picked():
    """Twelve blocks that do nothing to recital beyond other text: the best one's own interval errs too often."""
    rng = np.random.default_rng(7)
    naive = paid = 0
    for seed in range(150):
        recall, use = outcome(rng, 30, 1.0), outcome(rng, 30, 1.0)
        draws = bootstrap_weights(np.arange(30), seed, 300), bootstrap_weights(np.arange(30), seed + 1, 300)
        blocks = [losses(outcome(rng, 30, 0.7), recall, outcome(rng, 30, 0.7), use, draws, 30) for _ in range(12)]
        wider = widening(np.array([found.selectivity for found in blocks]))
        best = max(blocks, key=lambda found: abs(found.selectivity[0]))
        estimate, low, high = bootstrap_interval(best.selectivity, 30)
        row = as_best({"excess": estimate, "excess_lower": low, "excess_upper": high}, wider)
        naive += not low <= 0 <= high
        paid += not row["family_lower"] <= 0 <= row["family_upper"]
    assert naive / 150 > 0.15
    assert paid / 150 <= 0.08


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


def beside(found, others, noise=None):
    """Place of one intervention on one head among random heads."""
    random = {("zero", 1): [((HeadRef(9, index),), other) for index, other in enumerate(others)]}
    return Nulls(random, noise or []).beside(found, "zero", (HeadRef(0, 0),))


def drawn_losses(rng, draws, recall, use, levels):
    return losses(outcome(rng, 60, levels[0]), recall, outcome(rng, 60, levels[1]), use, draws, 60)


def test_a_random_choice_is_called_selective_in_one_case_of_twenty_at_most():
    """Null world: the intervention is one of its own random choices, and recital is the more fragile for all."""
    rng = np.random.default_rng(0)
    found = 0
    for seed in range(200):
        recall, use = outcome(rng, 60, 1.0), outcome(rng, 60, 1.0)
        draws = bootstrap_weights(np.arange(60), seed, 100), bootstrap_weights(np.arange(60), seed + 1, 100)
        several = [drawn_losses(rng, draws, recall, use, (rng.uniform(0.3, 0.6), 0.7)) for _ in range(20)]
        found += beside(several[0], several[1:])["is_selective"]
    assert found / 200 <= 0.08


def test_selectivity_measures_both_sides_alike():
    """A tenth of all tokens lost on either side: exact match falls to a fraction, selectivity stays at zero."""
    rng = np.random.default_rng(5)
    hit = rng.random((400, 50)) < 0.9
    exact = hit.cumprod(1).sum(1).astype(float)
    after = PairedScores(exact, np.ones(400), hit.mean(1), np.ones(400))
    clean = PairedScores(np.full(400, 50.0), np.ones(400), np.ones(400), np.ones(400))
    weights = bootstrap_weights(np.arange(400), 0, 200)
    found = losses(after, clean, after, clean, (weights, weights), 400)
    assert found.exact_match[0] > 0.7 and found.recital[0] == pytest.approx(0.1, abs=0.01)
    assert found.selectivity[0] == 0.0


def test_a_real_difference_is_found():
    rng = np.random.default_rng(1)
    draws = bootstrap_weights(np.arange(60), 0, 500), bootstrap_weights(np.arange(60), 1, 500)
    recall, use = outcome(rng, 60, 1.0), outcome(rng, 60, 1.0)
    ours = drawn_losses(rng, draws, recall, use, (0.3, 0.95))
    others = [drawn_losses(rng, draws, recall, use, (0.8, 0.8)) for _ in range(20)]
    noise = [
        drawn_losses(rng, draws, recall, use, (1 - 0.5 * strength, 1 - 0.5 * strength))
        for _ in NOISE_SEEDS
        for strength in NOISE_STRENGTHS
    ]
    result = beside(ours, others, noise)
    assert result["is_selective"] and result["p_value"] == pytest.approx(1 / 21)
    assert result["excess_lower"] < 0.65 < result["excess_upper"]
    assert abs(result["noise_mean"]) < 0.15


def test_what_noise_of_the_same_cost_reaches_is_not_selective():
    rng = np.random.default_rng(3)
    draws = bootstrap_weights(np.arange(60), 0, 300), bootstrap_weights(np.arange(60), 1, 300)
    recall, use = outcome(rng, 60, 1.0), outcome(rng, 60, 1.0)
    ours = drawn_losses(rng, draws, recall, use, (0.5, 0.8))
    others = [drawn_losses(rng, draws, recall, use, (0.98, 0.99)) for _ in range(20)]
    noise = [
        drawn_losses(rng, draws, recall, use, (max(0.0, 1 - strength), max(0.0, 1 - 0.4 * strength)))
        for _ in NOISE_SEEDS
        for strength in NOISE_STRENGTHS
    ]
    assert beside(ours, others)["is_selective"], "random heads alone would let it pass"
    assert not beside(ours, others, noise)["is_selective"]


def test_copies_of_one_paragraph_do_not_narrow_the_interval():
    rng = np.random.default_rng(2)
    few, clean, use = outcome(rng, 6, 0.5), outcome(rng, 6, 1.0), outcome(rng, 40, 1.0)
    copied, copied_clean = (PairedScores(*(np.repeat(column, 50) for column in o)) for o in (few, clean))
    of_use = bootstrap_weights(np.arange(40), 1, 400)
    alone = losses(few, clean, use, use, (bootstrap_weights(np.arange(6), 0, 400), of_use), 6)
    units = np.repeat(np.arange(6), 50)
    many = losses(copied, copied_clean, use, use, (bootstrap_weights(units, 0, 400), of_use), 6)
    assert bootstrap_interval(many.selectivity, 6) == pytest.approx(bootstrap_interval(alone.selectivity, 6))


def outcome(rng, count, level):
    """Counts and accuracies around a level, and the NLL that goes with it."""
    exact_match = rng.binomial(50, level * rng.beta(8, 8, count) * 0.9).astype(float)
    accuracy = rng.binomial(50, level * rng.beta(8, 8, count) * 0.9) / 50
    return PairedScores(exact_match, np.full(count, 2 - level), accuracy, np.ones(count))
