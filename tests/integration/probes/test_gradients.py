"""Gradients equal those of plain autograd, one paragraph at a time, on matrices unfused by hand."""

from __future__ import annotations

import copy

import numpy as np
import polars as pl
import pytest
import torch

from probes.architectures import adapter_for
from probes.errors import ProbeError
from probes.forward.unembedding import nll_gradient
from probes.gradients.activations import activation_gradients
from probes.gradients.cosines import cosine_of_folds, gradient_cosines
from probes.gradients.parameters import gradient_norms, group_gradient, parameter_gradients
from tests.support.models.localize_models import FAMILIES, paragraphs, small_model
from tests.support.models.slices import component_slices

PREFIX = 7


def continuation_nll(model, token_ids, prefix_length=PREFIX):
    logits = model(token_ids).logits[:, prefix_length - 1 : -1]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), token_ids[:, prefix_length:].flatten())


def unfused(family, weights, layer, component, head):
    """The entries of one head's matrix, cut out of the state by hand, from what each family's code does."""
    neo = f"transformer.h.{layer}.attn.attention."
    if family == "gpt_neo":
        names = {"W_Q": "q_proj", "W_K": "k_proj", "W_V": "v_proj", "W_O": "out_proj"}
        if component in names:
            w = weights[neo + names[component] + ".weight"]
            return w[:, head * 4 : head * 4 + 4] if component == "W_O" else w[head * 4 : head * 4 + 4]
        return weights[f"transformer.h.{layer}.mlp.{'c_fc' if component == 'W_in' else 'c_proj'}.weight"]
    if family.startswith("gpt_neox"):
        stem = f"gpt_neox.layers.{layer}."
        if component == "W_O":
            return weights[stem + "attention.dense.weight"][:, head * 4 : head * 4 + 4]
        if component in ("W_in", "W_out"):
            return weights[stem + f"mlp.dense_{'h_to_4h' if component == 'W_in' else '4h_to_h'}.weight"]
        start = head * 12 + 4 * ("W_Q", "W_K", "W_V").index(component)
        return weights[stem + "attention.query_key_value.weight"][start : start + 4]
    if family == "gpt2":
        stem = f"transformer.h.{layer}."
        if component == "W_O":
            return weights[stem + "attn.c_proj.weight"][head * 4 : head * 4 + 4]
        if component in ("W_in", "W_out"):
            return weights[stem + f"mlp.{'c_fc' if component == 'W_in' else 'c_proj'}.weight"]
        start = 12 * ("W_Q", "W_K", "W_V").index(component) + head * 4
        return weights[stem + "attn.c_attn.weight"][:, start : start + 4]
    stem = f"model.layers.{layer}."
    if component == "W_in":
        return torch.cat([weights[stem + "mlp.gate_proj.weight"], weights[stem + "mlp.up_proj.weight"]])
    if component == "W_out":
        return weights[stem + "mlp.down_proj.weight"]
    w = weights[stem + "self_attn." + {"W_Q": "q", "W_K": "k", "W_V": "v", "W_O": "o"}[component] + "_proj.weight"]
    return w[:, head * 4 : head * 4 + 4] if component == "W_O" else w[head * 4 : head * 4 + 4]


def reference(model, token_ids):
    """Gradients of one mean loss by plain backward on a copy, by parameter name."""
    model = copy.deepcopy(model)
    model.zero_grad()
    continuation_nll(model, token_ids).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def assert_equals_reference(frame, family, gradients):
    assert frame.height > 0
    for layer, component, head, max_abs, mean_abs, l2 in frame.select(
        "layer", "component", "head", "max_abs", "mean_abs", "l2"
    ).iter_rows():
        entries = unfused(family, gradients, layer, component, head)
        expected = [entries.abs().max(), entries.abs().mean(), entries.norm()]
        np.testing.assert_allclose([max_abs, mean_abs, l2], [float(e) for e in expected], rtol=2e-4, atol=1e-7)


@pytest.mark.parametrize("family", FAMILIES)
def test_paragraph_gradients_equal_one_backward_per_paragraph(family):
    model, token_ids = small_model(family), paragraphs(5)
    frame = parameter_gradients(model, token_ids, PREFIX, batch_size=3)
    assert frame["row"].unique().to_list() == [0, 1, 2, 3, 4]
    for row in range(5):
        assert_equals_reference(frame.filter(pl.col("row") == row), family, reference(model, token_ids[row : row + 1]))


@pytest.mark.parametrize("family", FAMILIES)
def test_norms_by_inner_products_equal_the_norms_of_the_gradients(family):
    model, token_ids = small_model(family), paragraphs(5)
    exact = parameter_gradients(model, token_ids, PREFIX)
    norms = gradient_norms(model, token_ids, PREFIX, batch_size=3)
    assert norms.drop("l2").equals(exact.select("row", "layer", "component", "head"))
    np.testing.assert_allclose(norms["l2"], exact["l2"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_group_gradient_equals_backward_of_the_mean(family):
    model, token_ids = small_model(family, seed=1), paragraphs(5, seed=1)
    assert_equals_reference(group_gradient(model, token_ids, PREFIX, batch_size=2), family, reference(model, token_ids))


@pytest.mark.parametrize("family", FAMILIES)
def test_cosine_equals_that_of_plain_gradients(family):
    model, first, second = small_model(family), paragraphs(3), paragraphs(4, seed=8)
    one, two = reference(model, first), reference(model, second)
    frame = gradient_cosines(model, first, second, PREFIX, batch_size=2)
    labels = frame.filter(space="parameter").select("layer", "component", "head", "cosine")
    for layer, component, head, cosine in labels.iter_rows():
        a, b = (unfused(family, gradients, layer, component, head).flatten() for gradients in (one, two))
        assert cosine == pytest.approx(float(torch.cosine_similarity(a, b, dim=0)), abs=1e-4)
    assert gradient_cosines(model, first, first, PREFIX)["cosine"].min() == pytest.approx(1.0)


@pytest.mark.parametrize("family", ["gpt_neo", "gpt_neox", "llama"])
def test_cosine_of_activations_equals_that_of_gradients_kept_by_autograd(family):
    model = small_model(family)
    adapter = adapter_for(model)
    groups = [paragraphs(3), paragraphs(4, seed=8)]
    frame = gradient_cosines(model, *groups, PREFIX).filter(space="activation", layer=1)
    names = {"v": "W_V", "mlp_out": "W_out"}
    for component, written_by in names.items():
        means = []
        (projection,) = adapter.component(1, written_by)
        for token_ids in groups:
            kept = []
            handle = projection.module.register_forward_hook(lambda m, i, o, kept=kept: kept.append(o))
            loss = continuation_nll(model, token_ids)
            handle.remove()
            (gradient,) = torch.autograd.grad(loss, kept)
            means.append(gradient.mean(0)[:PREFIX])
        a, b = (projection.split(mean)[:, 1].flatten() if component == "v" else mean.flatten() for mean in means)
        row = frame.filter(pl.col("component") == component, pl.col("head").fill_null(1) == 1)
        assert row["cosine"].item() == pytest.approx(float(torch.cosine_similarity(a, b, dim=0)), abs=1e-4)
    heads = frame["component"].value_counts()
    assert dict(heads.iter_rows())["k"] == adapter.key_value_head_count


def test_cosine_interval_and_placebo_tell_two_directions_from_one():
    rng = np.random.default_rng(0)
    one, other = np.eye(2, 50)
    apart = np.concatenate([one + 0.02 * rng.normal(size=(4, 50)), other + 0.02 * rng.normal(size=(4, 50))])
    alike = one + 0.02 * rng.normal(size=(8, 50))
    found = cosine_of_folds(apart @ apart.T)
    assert found.lower < found.cosine < found.upper < found.placebo_lower
    same = cosine_of_folds(alike @ alike.T)
    assert same.placebo_lower <= same.cosine <= same.placebo_upper
    assert cosine_of_folds(apart[[0, 4]] @ apart[[0, 4]].T).lower is None
    assert cosine_of_folds(np.zeros((8, 8))).cosine is None


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_of_the_blocks_belongs_to_exactly_one_slice(family):
    model = small_model(family)
    adapter = adapter_for(model)
    with torch.no_grad():
        for layer in range(adapter.layer_count):
            for p in adapter.block(layer).parameters():
                if p.ndim == 2:
                    p.zero_()
            for views in component_slices(adapter, layer).values():
                for view in views:
                    view += 1
            assert all(bool((p == 1).all()) for p in adapter.block(layer).parameters() if p.ndim == 2)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_head_with_no_query_looks_everywhere_alike(family):
    """Ties the slices to their meaning: without q (or k) all scores of that head, and of it alone, are equal."""
    for component in ("W_Q", "W_K"):
        model, token_ids = small_model(family), paragraphs(2)
        before = model(token_ids, output_attentions=True).attentions[0].detach()
        adapter = adapter_for(model)
        slices = component_slices(adapter, 0)
        with torch.no_grad():
            for projection in adapter.component(0, component):
                if projection.module.bias is not None:
                    projection.layout.split(projection.module.bias)[1].zero_()
            slices[component, 1][0].zero_()
        after = model(token_ids, output_attentions=True).attentions[0].detach()
        group = adapter.head_count // adapter.key_value_head_count if component == "W_K" else 1
        silenced = list(range(group, 2 * group))
        others = [h for h in range(adapter.head_count) if h not in silenced]
        assert torch.equal(before[:, others], after[:, others])
        first_window = min(adapter.window(0) or 12, 12)
        expected = torch.full((2, len(silenced)), 1 / first_window)
        torch.testing.assert_close(after[:, silenced, -1].amax(-1), expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_head_without_values_is_a_head_without_output(family):
    model, token_ids = small_model(family), paragraphs(2)
    adapter = adapter_for(model)
    group = adapter.head_count // adapter.key_value_head_count
    silent_value, silent_output = copy.deepcopy(model), copy.deepcopy(model)
    with torch.no_grad():
        component_slices(adapter_for(silent_value), 1)["W_V", 0][0].zero_()
        (projection,) = adapter_for(silent_value).component(1, "W_V")
        if projection.module.bias is not None:
            projection.layout.split(projection.module.bias)[0].zero_()
        for head in range(group):
            component_slices(adapter_for(silent_output), 1)["W_O", head][0].zero_()
        torch.testing.assert_close(silent_value(token_ids).logits, silent_output(token_ids).logits)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_activation_gradients_equal_one_by_one(family, attention):
    if (family, attention) == ("gpt_neo", "sdpa"):
        pytest.skip("GPT-Neo has no SDPA attention in transformers")
    model, token_ids = small_model(family, attention=attention), paragraphs(4)
    together = activation_gradients(model, token_ids, PREFIX, batch_size=3)
    alone = [activation_gradients(model, token_ids[r : r + 1], PREFIX)["score"] for r in range(4)]
    np.testing.assert_allclose(together["score"], pl.concat(alone), rtol=1e-3, atol=1e-7)
    kv, q = adapter_for(model).key_value_head_count, adapter_for(model).head_count
    assert together.height == 4 * 3 * (q + 2 * kv) * PREFIX
    assert together["position"].max() == PREFIX - 1


def test_activation_gradient_of_values_equals_a_finite_difference():
    model, token_ids = small_model("gpt2").double(), paragraphs(1)
    frame = activation_gradients(model, token_ids, PREFIX)
    (projection,) = adapter_for(model).component(1, "W_V")
    slopes = []
    for feature in range(4):
        losses = []
        for step in (1e-5, -1e-5):

            def nudge(module, inputs, output, feature=feature, step=step):
                output = output.clone()
                projection.split(output)[:, 3, 2, feature] += step
                return output

            handle = projection.module.register_forward_hook(nudge)
            losses.append(continuation_nll(model, token_ids).item())
            handle.remove()
        slopes.append(abs(losses[0] - losses[1]) / 2e-5)
    ours = frame.filter(layer=1, component="v", head=2, position=3)["score"].item()
    assert ours == pytest.approx(max(slopes), rel=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_of_what_attention_and_mlp_add_equal_autograd(family):
    model, token_ids = small_model(family), paragraphs(3)
    frame = activation_gradients(model, token_ids, PREFIX, components=("attention_out", "mlp_out"))
    adapter, outputs = adapter_for(model), {}
    for layer in range(adapter.layer_count):
        for name, module in (("attention_out", adapter.attention(layer)), ("mlp_out", adapter.mlp(layer))):

            def keep(module, inputs, output, key=(layer, name)):
                outputs[key] = output[0] if isinstance(output, tuple) else output
                outputs[key].retain_grad()

            module.register_forward_hook(keep)
    (continuation_nll(model, token_ids) * 3).backward()
    for (layer, name), output in outputs.items():
        ours = frame.filter(layer=layer, component=name)
        assert ours["head"].null_count() == ours.height
        expected = output.grad[:, :PREFIX].abs().amax(-1).flatten()
        np.testing.assert_allclose(ours["score"], expected, rtol=1e-3, atol=1e-7)
    with pytest.raises(ProbeError, match="no activation gradient"):
        activation_gradients(model, token_ids, PREFIX, components=("z",))


def test_loss_at_the_impact_token_is_that_tokens_nll():
    model, token_ids = small_model("gpt2"), paragraphs(3)
    picked = activation_gradients(model, token_ids, PREFIX, loss=[7, 9, 11])
    short = activation_gradients(model, token_ids[:1, :8], PREFIX)  # the continuation is position 7 alone
    np.testing.assert_allclose(picked.filter(row=0)["score"], short["score"], rtol=1e-3, atol=1e-7)
    with pytest.raises(ProbeError, match="one for each"):
        activation_gradients(model, token_ids, PREFIX, loss=[7])
    with pytest.raises(ProbeError, match="7 to 11"):
        activation_gradients(model, token_ids, PREFIX, loss=[7, 6, 8])


def test_the_model_is_left_as_it_was_found():
    model, token_ids = small_model("llama"), paragraphs(3)
    model.train()
    model.model.layers[1].eval()
    continuation_nll(model, token_ids).backward()
    first = next(model.parameters())
    first.requires_grad_(False)
    state = [(p.requires_grad, None if p.grad is None else p.grad.clone()) for p in model.parameters()]
    modes = [m.training for m in model.modules()]
    with torch.no_grad():
        for measure in (parameter_gradients, group_gradient, activation_gradients):
            measure(model, token_ids, PREFIX)
    assert modes == [m.training for m in model.modules()]
    assert not any(m._forward_hooks for m in model.modules())
    for parameter, (flag, grad) in zip(model.parameters(), state, strict=True):
        assert parameter.requires_grad == flag
        assert (grad is None and parameter.grad is None) or torch.equal(grad, parameter.grad)


def test_frozen_parameters_and_callers_without_gradients_are_no_obstacle():
    model, token_ids = small_model("gpt_neo"), paragraphs(2)
    expected = parameter_gradients(model, token_ids, PREFIX)
    model.requires_grad_(False)
    with torch.inference_mode():
        assert parameter_gradients(model, token_ids, PREFIX).equals(expected)


def test_no_paragraphs_give_no_rows_with_the_same_columns():
    model, some = small_model("gpt_neo"), paragraphs(1)
    for measure in (parameter_gradients, activation_gradients):
        assert measure(model, some[:0], PREFIX).schema == measure(model, some, PREFIX).schema
    with pytest.raises(ProbeError, match="no paragraphs"):
        group_gradient(model, some[:0], PREFIX)


def test_requests_that_cannot_be_met_say_why():
    model, token_ids = small_model("gpt2"), paragraphs(2)
    with pytest.raises(ProbeError, match="ask for a shorter prefix"):
        parameter_gradients(model, token_ids, 12)
    with pytest.raises(ProbeError, match="1 axes"):
        parameter_gradients(model, token_ids[0], 5)
    with pytest.raises(ProbeError, match="give integers"):
        parameter_gradients(model, token_ids.float() + 0.5, 5)
    with pytest.raises(ProbeError, match="another tokenizer"):
        parameter_gradients(model, token_ids + 10**6, 5)
    with pytest.raises(ProbeError, match="prefix_length is 0"):
        parameter_gradients(model, token_ids, 0)
    with pytest.raises(ProbeError, match="supported are gpt_neo"):
        adapter_for(torch.nn.Linear(2, 2))


@pytest.mark.parametrize("size", [7, 512])
@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_gradient_of_the_loss_summed_in_tiles_is_that_of_autograd(monkeypatch, size, scale):
    monkeypatch.setattr("probes.forward.logits.VOCABULARY_TILES", {"cpu": size})
    model, targets = small_model("gpt2"), paragraphs(2).flatten()
    hidden = (torch.randn(len(targets), 12) * scale).requires_grad_()  # at scale 60 logits reach hundreds
    loss = torch.nn.functional.cross_entropy(model.lm_head(hidden), targets, reduction="sum")
    (expected,) = torch.autograd.grad(loss, hidden)
    with torch.no_grad():
        ours = nll_gradient(model, hidden, targets)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
