"""What a resumed forward leaves out does not change what it computes."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import pytest
import torch

from probes.architectures import adapter_for
from probes.forward.trunk import clean_trunk, score_tokens
from probes.interventions.partial_forward import applied, layers_of_heads
from probes.interventions.sweep import Intervention, activation_means, intervened, measure_interventions
from tests.support.models.localize_models import FAMILIES, VOCABULARY, paragraphs, small_model
from tests.support.models.slices import component_slices

PREFIX = 7


def bundles(kind):
    """Simultaneous interventions of every sort that is taken apart differently."""
    return [
        [],
        *([Intervention(kind, (layer,), head)] for layer in range(3) for head in range(2)),
        *([Intervention(kind, (layer,))] for layer in range(3)),
        [Intervention(kind, (1, 2))],
        [Intervention(kind, (0, 2), 1)],
        [Intervention(kind, (1,), 0), Intervention("zero", (1,), 2)],
        [Intervention(kind, (2,), 1), Intervention(kind, (0,), 0)],
        [Intervention(kind, (1,), 0), Intervention("mean", (1,), part="mlp")],
        [Intervention(kind, (1,)), Intervention("zero", (1,), 2)],
    ]


def logits_with_hooks(model, token_ids, bundle, means):
    with ExitStack() as stack, torch.no_grad():
        for intervention in bundle:
            stack.enter_context(intervened(model, intervention, means))
        return model(token_ids, use_cache=False).logits


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["identity", "uniform", "zero", "mean"])
def test_what_is_left_out_does_not_change_the_logits(family, kind):
    model, token_ids = small_model(family), paragraphs(3)
    adapter, means = adapter_for(model), activation_means(model, paragraphs(4, seed=5))
    before = logits_with_hooks(model, token_ids, [], None)
    trunk = clean_trunk(adapter, token_ids, layers_of_heads(bundles(kind)))
    for bundle in bundles(kind):
        with applied(trunk, bundle, means, is_plain=True) as start:
            ours = adapter.unembedding(trunk.resume(start, PREFIX)).detach()
        expected = logits_with_hooks(model, token_ids, bundle, means)[:, PREFIX:]
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(logits_with_hooks(model, token_ids, [], None), before)
    assert not any("forward" in vars(module) for module in model.modules())


@pytest.mark.parametrize("family", ["gpt_neo", "gpt_neox", "llama"])
@pytest.mark.parametrize("head", [None, 1])
def test_queries_are_not_needed(family, head):
    model, token_ids = small_model(family), paragraphs(2)
    adapter, bundle = adapter_for(model), [Intervention("identity", (1,), head)]
    trunk = clean_trunk(adapter, token_ids, layers_of_heads([bundle]))
    for view in component_slices(adapter, 1)["W_Q", 0]:
        view.fill_(torch.nan)
    with applied(trunk, bundle, None, is_plain=True) as start:
        assert trunk.resume(start).isfinite().all()
    with applied(trunk, bundle, None, is_plain=False) as start:
        assert trunk.resume(start).isfinite().all() == (head is None)


def test_a_model_that_carries_somebodys_hook_runs_as_it_is():
    model, token_ids, held_out = small_model("gpt2"), paragraphs(4), paragraphs(3, seed=2)
    todo = [Intervention("identity", (1,), 0), Intervention("zero", (1,))]
    adapter_for(model).attention(1).register_forward_hook(lambda m, i, output: (output[0] * 3, *output[1:]))
    frame = measure_interventions(model, {"MP": token_ids}, held_out, todo, PREFIX)
    for row, bundle in enumerate([[], *([intervention] for intervention in todo)]):
        tokens = logits_with_hooks(model, token_ids, bundle, None)[:, PREFIX - 1 : -1]
        nll = torch.nn.functional.cross_entropy(tokens.flatten(0, 1), token_ids[:, PREFIX:].flatten())
        assert frame["nll_nats"][row] == pytest.approx(float(nll), rel=1e-5)


@pytest.mark.parametrize("size", [7, VOCABULARY, 512])
def test_scores_in_tiles_are_those_of_whole_rows_of_logits(monkeypatch, size):
    monkeypatch.setattr("probes.forward.logits.VOCABULARY_TILES", {"cpu": size})
    model, targets = small_model("gpt2"), paragraphs(3)
    hidden = torch.randn(3, 12, 12) * 4
    hidden[0, 0] = 0  # every logit is 0, and the first id wins
    targets[0, 0] = 0
    scores = score_tokens(adapter_for(model), hidden, targets)
    logp = torch.log_softmax(model.lm_head(hidden).detach(), -1)
    np.testing.assert_allclose(scores.nll, -logp.gather(-1, targets[..., None])[..., 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scores.entropy, -(logp.exp() * logp).sum(-1), rtol=1e-4, atol=1e-6)
    assert torch.equal(scores.is_argmax, logp.argmax(-1) == targets)
    assert scores.is_argmax[0, 0]
