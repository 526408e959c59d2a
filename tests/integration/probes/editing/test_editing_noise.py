"""Noise lies on the head it names, at the strength it names, and is gone afterwards."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from probes.architectures import HeadRef, adapter_for
from probes.editing.noise import component_regions, head_regions, noise_ladder, noised, top_of
from probes.editing.objective import Objective, target_gradient
from probes.editing.selections import editable_weights, head_entries, weight_count
from probes.errors import ProbeError
from tests.support.models.editing_world import PREFIX, same, snapshot, world
from tests.support.models.localize_models import paragraphs, small_model
from tests.support.models.slices import component_slices


@pytest.mark.parametrize("family", ["gpt_neo", "gpt_neox", "gpt2", "llama"])
def test_noise_changes_the_output_of_the_named_head_alone(family):
    model = small_model(family).requires_grad_(False)
    adapter, weights, before = adapter_for(model), editable_weights(adapter_for(model)), snapshot(model)
    slices = component_slices(adapter, 1)
    old = {key: [view.clone() for view in views] for key, views in slices.items()}
    group = adapter.head_count // adapter.key_value_head_count
    with noised(weights, head_entries(adapter, HeadRef(1, 2)), 0.5, seed=3):
        for (component, head), views in slices.items():
            is_named = component in ("W_Q", "W_O") and head == 2
            is_named |= component in ("W_K", "W_V") and head == 2 // group
            for view, clean in zip(views, old[component, head], strict=True):
                assert bool((view != clean).all()) == is_named
        others = {n: v for n, v in model.state_dict().items() if n not in head_entries(adapter, HeadRef(1, 2))}
        assert all(torch.equal(value, before[name]) for name, value in others.items())
    assert same(model, before)


def test_the_strength_is_in_standard_deviations_of_the_weight():
    model = small_model("gpt2").requires_grad_(False)
    weights = editable_weights(adapter_for(model))
    name, weight = next(iter(weights.items()))
    clean = weight.clone()
    with noised(weights, {name: None}, 0.2, seed=0):
        ratio = float((weight - clean).std() / clean.std())
    assert ratio == pytest.approx(0.2, rel=0.15)
    with pytest.raises(ProbeError, match="negative"), noised(weights, {name: None}, -1.0, seed=0):
        pass


@pytest.mark.parametrize("family", ["gpt_neo", "llama"])
def test_regions_are_all_heads_and_all_components(family):
    adapter = adapter_for(small_model(family))
    assert len(list(head_regions(adapter))) == adapter.layer_count * adapter.head_count
    weights = editable_weights(adapter)
    total = sum(weight_count(region.chosen, weights) for region in component_regions(adapter))
    assert total == sum(weight.numel() for weight in weights.values())


def test_the_top_of_a_region_has_its_largest_gradients():
    model, ids = small_model("gpt_neo").requires_grad_(False), paragraphs(2)
    adapter, weights = adapter_for(model), editable_weights(adapter_for(model))
    gradients = target_gradient(model, weights, Objective("edit"), ids, 7)
    region = next(head_regions(adapter))
    cut = top_of(region, gradients, 0.1)
    sizes = torch.cat([gradients[n].abs().flatten()[p] for n, p in region.chosen.items()])
    kept = torch.cat([gradients[n].abs().flatten()[p] for n, p in cut.chosen.items()])
    assert len(kept) == round(0.1 * len(sizes)) and kept.min() >= sizes.sort(descending=True).values[len(kept) - 1]


def test_the_ladder_starts_clean_and_has_its_null_beside():
    model, recited, others = world()
    before, clusters = snapshot(model), np.arange(4)
    groups = {"MP": (recited, clusters), "NMP": (others[:4], clusters)}
    frame = noise_ladder(model, groups, strengths=(0.0, 3.0), prefix_length=PREFIX, share=0.5)
    assert same(model, before)
    assert (frame.filter(strength=0.0)["exact_match_mean"] == 12).all()
    assert set(frame["region"]) == {"head", "random"}
    assert frame.filter(region="head", strength=3.0)["exact_match_mean"].min() < 12
    sizes = frame["weight_count"].unique()
    assert sizes.max() - sizes.min() <= 1
