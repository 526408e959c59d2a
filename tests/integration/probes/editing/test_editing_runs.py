"""Editing moves what it says it moves: the chosen entries, along the objective, from the unedited weights and back."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probes.architectures import adapter_for
from probes.editing.objective import Objective, freeze, loss_of, target_gradient
from probes.editing.one_run import Recipe, Texts, run_edit
from probes.editing.optimizer import AdamSettings, MaskedAdam
from probes.editing.runs_of_target import measure_subject
from probes.editing.selections import Selection, editable_weights, pieces, select, weight_count
from probes.errors import ProbeError
from tests.support.models.editing_world import LENGTH, PREFIX, program, same, snapshot, subject, world
from tests.support.models.localize_models import FAMILIES, paragraphs, small_model
from tests.support.models.slices import component_slices

SELECTIONS = ("all", "top:0.01", "top-per-component:0.05", "random:0.03", "head:1.1", "layers:1-1")


def gradients_of(model, ids, prefix, kind="unlearn"):
    return target_gradient(model, editable_weights(adapter_for(model)), Objective(kind), ids, prefix)


@pytest.mark.parametrize("family", FAMILIES)
def test_pieces_cover_every_editable_entry_once(family):
    adapter = adapter_for(small_model(family))
    seen = {name: np.zeros(w.numel(), dtype=int) for name, w in editable_weights(adapter).items()}
    for piece in pieces(adapter):
        seen[piece.parameter][piece.indices.numpy()] += 1
    assert all((count == 1).all() for count in seen.values())


@pytest.mark.parametrize("family", ["gpt_neo", "gpt_neox", "gpt2", "llama"])
def test_gradients_equal_plain_autograd(family):
    model, ids = small_model(family).requires_grad_(False), paragraphs(2)
    found = gradients_of(model, ids, 7)
    twin = copy.deepcopy(model).requires_grad_(True)
    logits = twin(ids[:, :-1], use_cache=False).logits[:, 6:]
    (-0.1 * torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 7:].flatten())).backward()
    reference = dict(twin.named_parameters())
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, reference[name].grad, rtol=1e-4, atol=1e-6)


def test_top_picks_the_largest_gradients_of_all_weights_together():
    model, ids = small_model("gpt2").requires_grad_(False), paragraphs(2)
    weights, gradients = editable_weights(adapter_for(model)), gradients_of(model, ids, 7)
    chosen = select(adapter_for(model), Selection.parse("top:0.01"), gradients, seed=0)
    total = sum(w.numel() for w in weights.values())
    assert weight_count(chosen, weights) == round(0.01 * total)
    inside = torch.cat([gradients[n].abs().flatten()[p] for n, p in chosen.items()])
    masks = {n: torch.ones(w.numel(), dtype=bool) for n, w in weights.items()}
    for name, places in chosen.items():
        masks[name][places] = False
    outside = torch.cat([gradients[n].abs().flatten()[m] for n, m in masks.items()])
    assert inside.min() >= outside.max()
    same_size = select(adapter_for(model), Selection.parse("random:0.01"), None, seed=0)
    assert weight_count(same_size, weights) == weight_count(chosen, weights)


@pytest.mark.parametrize("family", ["gpt_neo", "gpt_neox", "gpt2", "llama"])
def test_a_head_is_the_head_of_the_adapter(family):
    model = small_model(family).requires_grad_(False)
    adapter, old = adapter_for(model), adapter_for(copy.deepcopy(model))
    for name, places in select(adapter, Selection.parse("head:1.1"), None, 0).items():
        editable_weights(adapter)[name].data.view(-1)[places] += 1
    group = adapter.head_count // adapter.key_value_head_count
    for layer in range(adapter.layer_count):
        reference = component_slices(old, layer)
        for (component, head), views in component_slices(adapter, layer).items():
            own = 1 // group if component in ("W_K", "W_V") else 1
            is_named = layer == 1 and component[2] in "QKVO" and head == own
            moved = [not torch.equal(a, b) for a, b in zip(views, reference[component, head], strict=True)]
            assert all(moved) if is_named else not any(moved)


@pytest.mark.parametrize("text", ["some", "all:0.1", "top:0", "top:2", "random:x", "head:12", "layers:3-1", "layers:a"])
def test_selections_that_mean_nothing_are_refused(text):
    with pytest.raises(ProbeError, match=r"\.$"):
        Selection.parse(text)


@pytest.mark.parametrize("text", ["head:9.0", "head:0.9", "layers:0-9"])
def test_parts_the_model_does_not_have_are_refused(text):
    with pytest.raises(ProbeError, match="does not exist"):
        select(adapter_for(small_model("gpt_neo")), Selection.parse(text), None, 0)


@pytest.mark.parametrize("text", SELECTIONS)
def test_selections_are_written_as_they_are_read(text):
    assert str(Selection.parse(text)) == text


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    text=st.sampled_from(SELECTIONS),
    steps=st.integers(1, 4),
    decay=st.sampled_from([0.0, 1.0]),
    beta=st.floats(0, 0.99),
    rate=st.floats(1e-4, 1e-1),
    kind=st.sampled_from(["unlearn", "edit"]),
)
def test_weights_outside_the_selection_stay_bit_identical(text, steps, decay, beta, rate, kind):
    model = small_model("gpt_neox", seed=1).requires_grad_(False)
    adapter, ids, before = adapter_for(model), paragraphs(3), snapshot(model)
    weights = editable_weights(adapter)
    chosen = select(adapter, Selection.parse(text), gradients_of(model, ids[:1], 7), 0)
    recipe = Recipe(Objective(kind), AdamSettings(rate, beta1=beta, weight_decay=decay), steps, 7)
    run_edit(model, weights, chosen, recipe, Texts(ids[:1], ids[1:], freeze(model, ids[1:], 7)))
    moved = 0
    for name, value in model.state_dict().items():
        outside = torch.ones(value.numel(), dtype=bool)
        if name in chosen:
            outside[slice(None) if chosen[name] is None else chosen[name]] = False
        bits, old = value.flatten().view(torch.int32), before[name].flatten().view(torch.int32)
        assert torch.equal(bits[outside], old[outside])
        moved += int((bits != old).sum())
    assert moved > 0


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_all_weights_move_as_torch_adam_moves_them(decay):
    model, ids = small_model("gpt2").requires_grad_(False), paragraphs(3)
    twin, weights = copy.deepcopy(model), editable_weights(adapter_for(model))
    recipe = Recipe(Objective("unlearn"), AdamSettings(1e-2, weight_decay=decay), 4, 7)
    frozen = freeze(model, ids[1:], 7)
    run_edit(model, weights, dict.fromkeys(weights), recipe, Texts(ids[:1], ids[1:], frozen))
    theirs = [p.requires_grad_(True) for p in editable_weights(adapter_for(twin)).values()]
    optimizer = torch.optim.Adam(theirs, lr=1e-2, weight_decay=decay)
    for _ in range(4):
        optimizer.zero_grad()
        loss_of(twin, recipe.objective, ids[:1], ids[1:], frozen, 7)[0].backward()
        optimizer.step()
    for ours, reference in zip(weights.values(), theirs, strict=True):
        torch.testing.assert_close(ours, reference.detach(), rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("family", ["gpt_neo", "gpt_neox", "gpt2", "llama"])
def test_the_kl_and_its_gradient_are_zero_at_step_0(family):
    model, ids = small_model(family).requires_grad_(False), paragraphs(6)
    weights, objective = editable_weights(adapter_for(model)), Objective("unlearn")
    frozen = freeze(model, ids[2:], 7)
    _, terms = loss_of(model, objective, ids[:2], ids[2:], frozen, 7)
    assert abs(terms.kl_nats) < 1e-5
    alone = target_gradient(model, weights, objective, ids[:2], 7)
    both = target_gradient(model, weights, objective, ids[:2], 7, ids[2:], frozen)
    for name, gradient in alone.items():
        assert (both[name] - gradient).abs().max() < 1e-4 * gradient.abs().max()


def test_the_kl_is_that_of_torch_once_the_model_has_moved():
    model, ids = small_model("gpt2").requires_grad_(False), paragraphs(5)
    frozen = freeze(model, ids[2:], 7)
    with torch.no_grad():
        before = model(ids[2:, :-1], use_cache=False).logits[:, 6:].log_softmax(-1)
        model.transformer.h[1].mlp.c_fc.weight.mul_(1.5)
        after = model(ids[2:, :-1], use_cache=False).logits[:, 6:].log_softmax(-1)
    reference = torch.nn.functional.kl_div(after, before, log_target=True, reduction="sum")
    loss, terms = loss_of(model, Objective("edit", 1.0, 2.0), ids[:2], ids[2:], frozen, 7)
    assert terms.kl_nats == pytest.approx(float(reference) / (3 * 5), rel=1e-2)
    assert float(loss) == pytest.approx(terms.nll_nats + 2.0 * float(reference) / 3, rel=1e-3)


@pytest.mark.parametrize("architecture", ["gpt_neo", "llama"])
def test_sparse_unlearning_forgets_the_target_and_leaves_the_model_as_it_was(architecture):
    model, (one, controls) = world(architecture)[0], subject(architecture)
    before = snapshot(model)
    frames = measure_subject(model, one, controls, program())
    assert same(model, before) and not any(p.requires_grad for p in model.parameters())
    last = frames["edits"].filter(step=4, evaluation_set="targets", objective="unlearn")
    left = {row["selection"]: row["nll_nats"] for row in last.iter_rows(named=True)}
    assert last["exact_match_before"].to_list() == [LENGTH - PREFIX] * 3
    assert left["top:0.05"] > 2 * left["random:0.05"] and left["top:0.05"] > 2 * last["nll_before_nats"][0]


def test_the_score_card_holds_every_set_probe_and_baseline():
    one, controls = subject()
    frames = measure_subject(world()[0], one, controls, program(adam=AdamSettings(1e-2), step_count=15, kl_weight=0.0))
    runs = frames["edits"].select("objective", "selection").unique()
    assert runs.height == 6
    first = frames["edits"].filter(step=0)
    assert (first["exact_match"] == first["exact_match_before"]).all() and first.height == 6 * 3
    assert set(frames["edits"].filter(step=1)["evaluation_set"]) == {"targets", "controls"}
    assert set(frames["edit_scores"]["evaluation_set"]) == {"targets", "other_memorized", "controls"}
    edited = (
        frames["edits"].filter(step=15, evaluation_set="targets", objective="edit", selection="all").row(0, named=True)
    )
    assert edited["replacement_match"] > edited["replacement_match_before"]
    probes = set(frames["edit_robustness"].filter(objective="unlearn")["probe"])
    assert probes == {
        "perturbed_prefix", "shorter_prefix", "longer_prefix", "sampled_at_1", "sampled_at_0.7", "relearning_steps",
    }  # fmt: skip


def test_a_diverging_rate_is_stopped_and_the_weights_come_back():
    model, (one, controls) = world()[0], subject()
    before = snapshot(model)
    with pytest.raises(ProbeError, match=r"diverged within .* learning rate 1e\+30"):
        measure_subject(model, one, controls, program(adam=AdamSettings(1e30), selections=("all",)))
    assert same(model, before)


@pytest.mark.parametrize(
    "changes",
    [{"adam": AdamSettings(0.0)}, {"adam": AdamSettings(float("nan"))}, {"step_count": 0}, {"nll_weight": 0.0},
     {"adam": AdamSettings(1e-3, beta1=1.0)}, {"selections": ("most",)}, {"kl_weight": -1.0}],
)  # fmt: skip
def test_settings_that_cannot_work_are_refused_before_any_work(changes):
    with pytest.raises(ProbeError, match=r"\.$"):
        program(**changes).check()


def test_moments_exist_for_the_chosen_entries_only():
    model, ids = small_model("gpt_neo").requires_grad_(False), paragraphs(1)
    weights, gradients = editable_weights(adapter_for(model)), gradients_of(model, ids, 7)
    chosen = select(adapter_for(model), Selection.parse("top:0.01"), gradients, 0)
    optimizer = MaskedAdam(weights, chosen, AdamSettings(1e-3))
    optimizer.apply(gradients)
    held = sum(len(part) for pair in optimizer.moments.values() for part in pair)
    assert held == 2 * weight_count(chosen, weights)
