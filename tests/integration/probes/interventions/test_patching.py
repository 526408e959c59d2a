"""Patching equals a forward with the activation replaced by hand, and pairs that do not match are refused."""

from __future__ import annotations

import pytest
import torch

from probes.architectures import adapter_for
from probes.errors import ProbeError
from probes.interventions.patching import PATCHABLE, activation_patching
from tests.support.models.localize_models import CHANGED, FAMILIES, IMPACT, pairs, small_model


def patched_nll(model, receiver, giver, row, layer, component, head):
    """One row, whole forwards, the activation copied between two recorded runs."""
    (projection,) = adapter_for(model).component(layer, PATCHABLE[component])
    seen, position, impact = [], CHANGED[row], IMPACT[row]

    def remember(module, inputs, output):
        seen.append(inputs[0] if component == "z" else output)

    def swap(features):
        features = features.clone()
        projection.split(features)[0, position, head] = projection.split(seen[0])[0, position, head]
        return features

    with torch.no_grad():
        handle = projection.module.register_forward_hook(remember)
        model(giver[row : row + 1])
        handle.remove()
        if component == "z":
            handle = projection.module.register_forward_pre_hook(lambda m, i: (swap(i[0]),))
        else:
            handle = projection.module.register_forward_hook(lambda m, i, o: swap(o))
        logits = model(receiver[row : row + 1]).logits
        handle.remove()
    return float(-logits[0, impact - 1].log_softmax(-1)[receiver[row, impact]])


@pytest.mark.parametrize("family", FAMILIES)
def test_patching_equals_whole_forwards_with_the_activation_copied(family):
    model, (memorized, perturbed) = small_model(family), pairs()
    frame = activation_patching(model, memorized, perturbed, CHANGED, IMPACT, batch_size=2)
    adapter = adapter_for(model)
    heads = 2 * adapter.head_count + 2 * adapter.key_value_head_count
    assert frame.height == 3 * 2 * adapter.layer_count * heads
    sides = {"MP": (memorized, perturbed), "PMP": (perturbed, memorized)}
    for sample in frame.sample(24, seed=1).iter_rows(named=True):
        receiver, giver = sides[sample["receiver"]]
        place = sample["row"], sample["layer"], sample["component"], sample["head"]
        expected = patched_nll(model, receiver, giver, *place)
        assert sample["nll_nats"] + sample["delta_nll_nats"] == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_a_prefix_query_of_the_last_block_is_read_by_no_later_token():
    model, (memorized, perturbed) = small_model("gpt_neo"), pairs()
    frame = activation_patching(model, memorized, perturbed, CHANGED, IMPACT, components=("q",))
    last = frame.filter(layer=2)
    assert last["delta_nll_nats"].abs().max() < 1e-5
    assert frame.filter(layer=0)["delta_nll_nats"].abs().max() > 1e-4


def test_pairs_that_do_not_match_are_refused():
    model, (memorized, perturbed) = small_model("gpt2"), pairs()
    with pytest.raises(ProbeError, match="pair 0 first differs"):
        activation_patching(model, memorized, perturbed[[1, 0, 2]], CHANGED, IMPACT)
    with pytest.raises(ProbeError, match="not paired"):
        activation_patching(model, memorized, perturbed[:2], CHANGED, IMPACT)
    empty = activation_patching(model, memorized[:0], perturbed[:0], [], [])
    assert empty.schema == activation_patching(model, memorized, perturbed, CHANGED, IMPACT, ("q",)).schema
    with pytest.raises(ProbeError, match="cannot be patched"):
        activation_patching(model, memorized, perturbed, CHANGED, IMPACT, components=("mlp",))
