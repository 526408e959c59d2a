"""Head layouts, activations, gradients, ablations and patches equal TransformerLens on the same models.

TransformerLens 4 wraps the very transformers model (TransformerBridge), found by other people's adapters. It is the
reference of these tests, not a dependency: without it they are skipped (`pip install transformer-lens`).
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from probes.architectures import adapter_for
from probes.forward.capture import recorded
from probes.gradients.activations import activation_gradients
from probes.interventions.patching import activation_patching
from probes.interventions.sweep import Intervention, activation_means, intervened
from tests.support.models.localize_models import CHANGED, IMPACT, VOCABULARY, pairs, paragraphs, small_model
from tests.support.models.slices import component_slices

bridges = pytest.importorskip("transformer_lens.model_bridge", reason="transformer-lens is not installed")

PREFIX = 7
LAYER, HEAD = 1, 1
HOOKS = {"q": "hook_q", "k": "hook_k", "v": "hook_v", "z": "hook_z"}


@pytest.fixture(params=["gpt_neo", "gpt2", "gpt_neox", "llama"])
def both(request, tmp_path):
    """(ordinary model, TransformerBridge around an equal one)."""
    model, wrapped = small_model(request.param), small_model(request.param)
    wrapped.save_pretrained(tmp_path)
    words = Tokenizer(models.WordLevel({str(token): token for token in range(VOCABULARY)}, unk_token="0"))
    special = {"unk_token": "0", "eos_token": "1", "bos_token": "1", "pad_token": "2"}
    PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained(tmp_path)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    bridge = bridges.TransformerBridge.boot_transformers(str(tmp_path), hf_model=wrapped, tokenizer=tokenizer)
    return model, bridge.eval()


def hook_name(name, layer=LAYER):
    return f"blocks.{layer}.attn.{HOOKS.get(name, name)}"


def test_logits_and_activations_are_equal(both):
    model, bridge = both
    token_ids, adapter = paragraphs(3), adapter_for(both[0])
    with torch.no_grad():
        reference, cache = bridge.run_with_cache(token_ids)
        projections = {
            n: adapter.component(LAYER, c)[0] for n, c in (("q", "W_Q"), ("k", "W_K"), ("v", "W_V"), ("z", "W_O"))
        }
        with recorded(list({p.module for p in projections.values()})) as seen:
            attentions = model(token_ids, output_attentions=True)
    torch.testing.assert_close(attentions.logits, reference, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(attentions.attentions[LAYER], cache[hook_name("hook_pattern")], rtol=1e-4, atol=1e-6)
    for name, projection in projections.items():
        read, wrote = seen[projection.module]
        ours = projection.split(read if name == "z" else wrote)
        torch.testing.assert_close(ours, cache[hook_name(name)].reshape(ours.shape), rtol=1e-4, atol=1e-6)


def test_weights_are_cut_into_heads_alike(both):
    model, bridge = both
    adapter = adapter_for(model)
    attention = bridge.blocks[LAYER].attn
    for (component, head), views in component_slices(adapter, LAYER).items():
        if head is None:
            continue
        theirs = getattr(attention, component)
        if component in ("W_K", "W_V") and theirs.shape[0] == adapter.head_count:  # repeated for the query heads
            theirs = theirs[:: adapter.head_count // adapter.key_value_head_count]
        theirs = theirs[head].T if component == "W_O" else theirs[head]
        torch.testing.assert_close(views[0], theirs.detach(), rtol=0, atol=0)


def test_activation_gradients_are_equal(both):
    model, bridge = both
    token_ids, kept = paragraphs(2), {}

    def keeper(name):
        def keep(tensor, hook):
            kept[name] = tensor.clone()
            kept[name].retain_grad()
            return kept[name]

        return keep

    logits = bridge.run_with_hooks(token_ids, fwd_hooks=[(hook_name(n), keeper(n)) for n in "qkv"])
    predicted = logits[:, PREFIX - 1 : -1].flatten(0, 1)
    torch.nn.functional.cross_entropy(predicted, token_ids[:, PREFIX:].flatten(), reduction="sum").div(5).backward()
    frame = activation_gradients(model, token_ids, PREFIX)
    adapter = adapter_for(model)
    for name in "qkv":
        heads = adapter.head_count if name == "q" else adapter.key_value_head_count
        gradient = kept[name].grad.reshape(2, 12, heads, -1)[:, :PREFIX]
        ours = frame.filter(layer=LAYER, component=name)["score"].to_numpy().reshape(2, heads, PREFIX)
        np.testing.assert_allclose(ours, gradient.abs().amax(-1).transpose(1, 2), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("head", [None, HEAD])
@pytest.mark.parametrize("kind", ["identity", "uniform", "zero", "mean"])
def test_interventions_equal_hooks_on_pattern_and_z(both, kind, head):
    model, bridge = both
    token_ids, adapter = paragraphs(3), adapter_for(both[0])
    means = activation_means(model, paragraphs(4, seed=5))
    picked = slice(None) if head is None else slice(head, head + 1)
    window = adapter.window(LAYER) or 12
    sees = torch.ones(12, 12).tril().triu(1 - window)
    pattern = torch.eye(12) if kind == "identity" else sees / sees.sum(1, keepdim=True)
    ablated = (
        means.z[LAYER].unflatten(0, (adapter.head_count, -1)) if kind == "mean" else torch.zeros(adapter.head_count, 1)
    )

    # TransformerBridge only observes the pattern of GPT-Neo; there z is replaced by pattern · v from its own cache.
    through_pattern = kind in ("identity", "uniform") and model.config.model_type != "gpt_neo"

    def replace(tensor, hook):
        tensor = tensor.clone()
        if through_pattern:
            tensor[:, picked] = pattern
            return tensor
        z = tensor.view(3, 12, adapter.head_count, -1)
        values = cache[hook_name("v")].reshape_as(z) if kind in ("identity", "uniform") else None
        wanted = ablated.expand_as(z) if values is None else torch.einsum("qk,bkhs->bqhs", pattern, values)
        z[:, :, picked] = wanted[:, :, picked]
        return tensor

    name = hook_name("hook_pattern" if through_pattern else "z")
    with torch.no_grad():
        _, cache = bridge.run_with_cache(token_ids)
    with torch.no_grad(), intervened(model, Intervention(kind, (LAYER,), head), means):
        ours = model(token_ids).logits
        theirs = bridge.run_with_hooks(token_ids, fwd_hooks=[(name, replace)])
    assert not torch.allclose(theirs, bridge(token_ids))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("component", ["q", "k", "v", "z"])
def test_patching_is_equal(both, component):
    model, bridge = both
    memorized, perturbed = pairs()
    frame = activation_patching(model, memorized, perturbed, CHANGED, IMPACT, (component,))
    for row in range(2):
        with torch.no_grad():
            _, cache = bridge.run_with_cache(perturbed[row : row + 1])

            def patch(tensor, hook, cache=cache, position=CHANGED[row]):
                tensor, source = tensor.clone(), cache[hook.name]
                heads = frame["head"].max() + 1
                tensor.view(1, 12, heads, -1)[0, position, HEAD] = source.reshape(1, 12, heads, -1)[0, position, HEAD]
                return tensor

            logits = bridge.run_with_hooks(memorized[row : row + 1], fwd_hooks=[(hook_name(component), patch)])
        nll = -logits[0, IMPACT[row] - 1].log_softmax(-1)[memorized[row, IMPACT[row]]]
        ours = frame.filter(row=row, receiver="MP", layer=LAYER, head=HEAD).row(0, named=True)
        assert ours["nll_nats"] + ours["delta_nll_nats"] == pytest.approx(float(nll), rel=1e-4)
