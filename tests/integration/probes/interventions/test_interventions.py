"""Interventions do what attention says they do, and leave the model as transformers made it."""

from __future__ import annotations

import copy

import pytest
import torch

from probes.architectures import adapter_for
from probes.errors import ProbeError
from probes.forward.trunk import clean_trunk
from probes.interventions.hooks import SWEEPS
from probes.interventions.sweep import (
    Intervention,
    activation_means,
    block_sweep,
    head_sweep,
    intervened,
    interventions_named,
    last_quartile,
    measure_interventions,
)
from tests.support.models.localize_models import FAMILIES, paragraphs, small_model
from tests.support.models.slices import component_slices

PREFIX = 7
KINDS = ("identity", "uniform", "zero")


def logits(model, token_ids):
    with torch.no_grad():
        return model(token_ids, use_cache=False).logits


def attention_output(model, token_ids, layer):
    """What the layer's attention adds to the residual stream."""
    seen = []
    handle = adapter_for(model).attention(layer).register_forward_hook(lambda m, i, o: seen.append(o[0]))
    with torch.no_grad():
        model(token_ids, use_cache=False)
    handle.remove()
    return seen[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_bit_equal_once_the_hooks_are_gone(family):
    model, token_ids = small_model(family), paragraphs(3)
    before = logits(model, token_ids)
    means = activation_means(model, token_ids)
    for kind in (*KINDS, "mean"):
        with intervened(model, Intervention(kind, (1,)), means):
            assert not torch.equal(logits(model, token_ids), before)
        assert torch.equal(logits(model, token_ids), before)
    with pytest.raises(RuntimeError), intervened(model, Intervention("zero", (0,))):
        raise RuntimeError
    assert torch.equal(logits(model, token_ids), before)


@pytest.mark.parametrize("family", FAMILIES)
def test_position_0_of_a_short_circuited_block_is_unchanged(family):
    model, token_ids = small_model(family), paragraphs(3)
    before = attention_output(model, token_ids, 1)
    with intervened(model, Intervention("identity", (1,))):
        after = attention_output(model, token_ids, 1)
    torch.testing.assert_close(after[:, 0], before[:, 0], rtol=1e-6, atol=1e-6)
    assert not torch.allclose(after[:, 1:], before[:, 1:])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["identity", "uniform"])
def test_one_token_alone_gives_bit_equal_logits(family, kind):
    model, token_ids = small_model(family), paragraphs(5)[:, :1]
    before = logits(model, token_ids)
    with intervened(model, Intervention(kind, (0, 1, 2))):
        assert torch.equal(logits(model, token_ids), before)


@pytest.mark.parametrize("family", FAMILIES)
def test_with_all_blocks_short_circuited_the_past_is_gone(family):
    model, token_ids = small_model(family), paragraphs(2)
    other = paragraphs(2, seed=9)
    other[:, 8] = token_ids[:, 8]
    with intervened(model, Intervention("identity", (0, 1, 2))):
        first, second = logits(model, token_ids), logits(model, other)
    assert torch.equal(first[:, 8], second[:, 8])
    assert not torch.equal(first[:, 7], second[:, 7])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_local_change_is_bounded_by_values_and_output_projection(family):
    """‖SC(X) − A(X)‖ ≤ 2·max_s ‖LN(X)_s‖·Σ_heads ‖W_V W_O‖ at each position (P2's bound, written per head)."""
    model, token_ids = small_model(family), paragraphs(3)
    adapter = adapter_for(model)
    (projection,) = adapter.component(1, "W_V")
    if projection.module.bias is not None:
        torch.nn.init.zeros_(projection.module.bias)
    reads = []
    handle = adapter.attention_norm(1).register_forward_hook(lambda m, i, o: reads.append(o))
    before = attention_output(model, token_ids, 1)
    handle.remove()
    with intervened(model, Intervention("identity", (1,))):
        change = (attention_output(model, token_ids, 1) - before).norm(dim=-1)
    slices = component_slices(adapter, 1)
    group = adapter.head_count // adapter.key_value_head_count
    gain = sum(
        float(torch.linalg.matrix_norm(slices["W_V", h // group][0] @ slices["W_O", h][0].T, 2))
        for h in range(adapter.head_count)
    )
    largest = reads[0].norm(dim=-1).cummax(dim=1).values
    assert bool((change <= 2 * largest * gain * (1 + 1e-5)).all())
    assert float(change.max()) > 0


@pytest.mark.parametrize("family", ["gpt_neox", "gpt_neox_sequential", "gpt_neo"])
def test_only_sequential_blocks_pass_the_change_to_their_own_mlp(family):
    model, token_ids = small_model(family), paragraphs(2)
    adapter, seen = adapter_for(model), []
    handle = adapter.mlp(1).register_forward_pre_hook(lambda m, i: seen.append(i[0]))
    logits(model, token_ids)
    with intervened(model, Intervention("identity", (1,))):
        logits(model, token_ids)
    handle.remove()
    assert torch.equal(*seen) == adapter.is_parallel


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", KINDS)
def test_all_heads_one_by_one_are_the_block(family, kind):
    model, token_ids = small_model(family), paragraphs(2)
    with intervened(model, Intervention(kind, (1,))):
        block = logits(model, token_ids)
    head_count = adapter_for(model).head_count
    with intervened(model, Intervention(kind, (1,), 0)):
        one = logits(model, token_ids)
    contexts = [intervened(model, Intervention(kind, (1,), head)) for head in range(head_count)]
    for context in contexts:
        context.__enter__()
    every = logits(model, token_ids)
    for context in reversed(contexts):
        context.__exit__(None, None, None)
    torch.testing.assert_close(every, block, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(one, block)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layer", [0, 1])
def test_uniform_attention_is_what_a_model_without_queries_does(family, layer):
    """Reference: with all queries and their biases zero every visible score is equal and softmax is uniform."""
    model, token_ids = small_model(family), paragraphs(3)
    with intervened(model, Intervention("uniform", (layer,), 1)):
        ours = logits(model, token_ids)
    silent = copy.deepcopy(model)
    (projection,) = adapter_for(silent).component(layer, "W_Q")
    with torch.no_grad():
        component_slices(adapter_for(silent), layer)["W_Q", 1][0].zero_()
        if projection.module.bias is not None:
            projection.layout.split(projection.module.bias)[1].zero_()
    torch.testing.assert_close(ours, logits(silent, token_ids), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_zero_ablation_is_a_model_without_that_output(family):
    model, token_ids = small_model(family), paragraphs(3)
    silent = copy.deepcopy(model)
    component_slices(adapter_for(silent), 2)["W_O", 1][0].zero_()
    with intervened(model, Intervention("zero", (2,), 1)):
        torch.testing.assert_close(logits(model, token_ids), logits(silent, token_ids), rtol=1e-5, atol=1e-6)
    for projection in adapter_for(silent).component(0, "W_out"):
        torch.nn.init.zeros_(projection.module.weight)
        if projection.module.bias is not None:
            torch.nn.init.zeros_(projection.module.bias)
    with intervened(model, Intervention("zero", (2,), 1)), intervened(model, Intervention("zero", (0,), part="mlp")):
        torch.testing.assert_close(logits(model, token_ids), logits(silent, token_ids), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("part", ["attention", "mlp"])
def test_mean_ablation_writes_the_reference_mean_everywhere(family, part):
    """After it, what the part adds to the residual stream is one vector, that of the mean, whatever the text."""
    model, token_ids = small_model(family), paragraphs(4)
    adapter = adapter_for(model)
    means = activation_means(model, paragraphs(6, seed=3))
    module = adapter.mlp(1) if part == "mlp" else adapter.component(1, "W_O")[0].module
    expected = means.mlp[1] if part == "mlp" else module(means.z[1][None])[0]
    seen = []
    with intervened(model, Intervention("mean", (1,), part=part), means):
        handle = module.register_forward_hook(lambda m, i, o: seen.append(o))
        logits(model, token_ids)
        handle.remove()
    torch.testing.assert_close(seen[0], expected.expand_as(seen[0]), rtol=1e-5, atol=1e-6)


def test_activation_means_are_means_over_positions_and_paragraphs():
    model, token_ids = small_model("gpt2"), paragraphs(5)
    adapter, seen = adapter_for(model), []
    handles = [
        adapter.mlp(1).register_forward_hook(lambda m, i, o: seen.append(o)),
        adapter.component(2, "W_O")[0].module.register_forward_pre_hook(lambda m, i: seen.append(i[0])),
    ]
    logits(model, token_ids)
    for handle in handles:
        handle.remove()
    means = activation_means(model, token_ids, batch_size=2)
    torch.testing.assert_close(means.mlp[1], seen[0].mean((0, 1)), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(means.z[2], seen[1].mean((0, 1)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_resuming_at_a_block_is_bit_equal_to_the_whole_forward(family, attention):
    if (family, attention) == ("gpt_neo", "sdpa"):
        pytest.skip("GPT-Neo has no SDPA attention in transformers")
    model, token_ids = small_model(family, attention=attention), paragraphs(3)
    adapter = adapter_for(model)
    trunk = clean_trunk(adapter, token_ids)
    for layer in range(adapter.layer_count + 1):
        assert torch.equal(adapter.unembedding(trunk.resume(layer)), logits(model, token_ids))
        if layer < adapter.layer_count:
            with intervened(model, Intervention("identity", (layer,), 1)):
                assert torch.equal(adapter.unembedding(trunk.resume(layer)), logits(model, token_ids))


@pytest.mark.parametrize("family", FAMILIES)
def test_positions_that_are_not_asked_for_do_not_change_the_others(family):
    model, token_ids = small_model(family), paragraphs(3)
    trunk = clean_trunk(adapter_for(model), token_ids)
    means = activation_means(model, token_ids)
    for intervention in (Intervention("uniform", (1,)), Intervention("mean", (2,), part="mlp")):
        with intervened(model, intervention, means):
            whole, later = trunk.resume(1), trunk.resume(1, PREFIX)
        torch.testing.assert_close(later, whole[:, PREFIX:], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_exact_match_under_intervention_equals_greedy_decoding(family):
    """The reference is transformers' own generate with the hooks on."""
    model = small_model(family)
    token_ids = torch.cat([paragraphs(4)[:, :PREFIX], _decoded(model, paragraphs(4))], dim=1)
    todo = [Intervention("identity", (2,), 0), Intervention("zero", (1,), 2), Intervention("identity", (0, 1, 2))]
    frame = measure_interventions(model, {"MP": token_ids}, paragraphs(3, seed=4), todo, PREFIX, batch_size=3)
    assert frame["em_mean"][0] == 5.0
    for row, intervention in enumerate(todo, start=1):
        with intervened(model, intervention):
            written = _decoded(model, token_ids)
        leading = (written == token_ids[:, PREFIX:]).long().cumprod(1).sum(1)
        assert frame["em_mean"][row] == pytest.approx(float(leading.float().mean()))


def _decoded(model, token_ids):
    prefix = token_ids[:, :PREFIX]
    options = {"max_new_tokens": 5, "min_new_tokens": 5, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    return model.generate(prefix, attention_mask=torch.ones_like(prefix), **options)[:, PREFIX:]


def test_levels_equal_a_plain_forward_with_hooks():
    model, token_ids, held_out = small_model("gpt_neox"), paragraphs(5), paragraphs(4, seed=2)
    sweep = block_sweep(model, "zero")
    frame = measure_interventions(model, {"MP": token_ids}, held_out, sweep, PREFIX, batch_size=2)
    assert frame["layer"].to_list() == [None, 0, 1, 2]
    for row, intervention in enumerate(sweep, start=1):
        with intervened(model, intervention):
            tokens = logits(model, token_ids)[:, PREFIX - 1 : -1].log_softmax(-1)
            text = logits(model, held_out)[:, :-1].log_softmax(-1)
        nll = torch.nn.functional.nll_loss(tokens.flatten(0, 1), token_ids[:, PREFIX:].flatten())
        assert frame["nll_nats"][row] == pytest.approx(float(nll), rel=1e-4)
        entropy = torch.distributions.Categorical(logits=tokens).entropy().mean()
        assert frame["entropy_nats"][row] == pytest.approx(float(entropy), rel=1e-4)
        utility = torch.nn.functional.nll_loss(text.flatten(0, 1), held_out[:, 1:].flatten())
        assert frame["utility_perplexity"][row] == pytest.approx(float(utility.exp()), rel=1e-3)
        accuracy = (text.argmax(-1) == held_out[:, 1:]).float().mean()
        assert frame["utility_accuracy_share"][row] == pytest.approx(float(accuracy), abs=1e-6)


def test_the_same_call_gives_the_same_table_and_nothing_recited_means_no_selectivity():
    model = small_model("gpt2")
    arguments = ({"MP": paragraphs(6)}, paragraphs(5, seed=1), head_sweep(model), PREFIX)
    frame = measure_interventions(model, *arguments)
    assert frame.equals(measure_interventions(model, *arguments))
    assert frame.height == 1 + 9
    silent = frame.filter(frame["memorization_drop_share"].is_null())
    assert silent["selectivity"].null_count() == silent.height
    assert not silent["is_selective"].any()


def test_sweeps_name_every_intervention_once():
    model = small_model("gpt_neo", layers=3)
    blocks, ranged = (
        interventions_named(model, ["identity_blocks"]),
        interventions_named(model, ["identity_blocks", "identity_range"]),
    )
    assert blocks == ranged == block_sweep(model)  # the last quartile of three blocks is the last one
    every = interventions_named(model, SWEEPS)
    assert len(every) == len(set(every)) == 4 * (3 + 9) + 2 * 3
    assert interventions_named(small_model("gpt2", layers=8), ["zero_range"]) == [Intervention("zero", (6, 7))]
    with pytest.raises(ProbeError, match="sweep 'zero_everything' does not exist"):
        interventions_named(model, ["zero_everything"])


def test_impossible_interventions_say_why():
    model, token_ids = small_model("gpt2"), paragraphs(2)
    cases = {
        "layer 3 does not exist": Intervention("zero", (3,)),
        "head 3 does not exist": Intervention("zero", (0,), 3),
        "does not apply to an MLP": Intervention("identity", (0,), part="mlp"),
        "names no layer": Intervention("zero", ()),
        "needs reference means": Intervention("mean", (0,)),
    }
    for message, intervention in cases.items():
        with pytest.raises(ProbeError, match=message), intervened(model, intervention):
            pass
    with pytest.raises(ProbeError, match="3 clusters for the 2 paragraphs of MP"):
        measure_interventions(model, {"MP": token_ids}, token_ids, [], PREFIX, clusters={"MP": [1, 2, 3]})
    with pytest.raises(ProbeError, match="holds no paragraphs"):
        measure_interventions(model, {"MP": token_ids[:0]}, token_ids, [], PREFIX)
    assert last_quartile(model).layers == (2,)
