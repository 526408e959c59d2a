"""Checkpoints as the world publishes them are accepted, and every number is transformers' own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from probes.architectures import adapter_for
from probes.attention.weights import attention_array, prefix_attention
from probes.checkpoints.inspect import inspect_checkpoint, refuse_non_finite_weights
from probes.checkpoints.load import load_model
from probes.gradients.parameters import all_maps, parameter_gradients
from probes.scoring.teacher_forced import score_paragraphs
from tests.support.checkpoints.published_layouts import LAYOUTS, ROWS, publish

PREFIX, LENGTH = 12, 28


@pytest.fixture(scope="module", params=list(LAYOUTS))
def published(request, tmp_path_factory):
    return publish(request.param, tmp_path_factory.mktemp("published") / request.param)


@pytest.fixture(scope="module")
def theirs(published):
    """The reference: what transformers itself makes of the folder."""
    model = AutoModelForCausalLM.from_pretrained(published, dtype="float32", attn_implementation="eager")
    return model.eval()


@pytest.fixture(scope="module")
def paragraphs(theirs):
    """Random prefixes with the model's own continuation, spoiled from the row's own number on."""
    ids = torch.randint(0, ROWS, (8, LENGTH), generator=torch.Generator().manual_seed(3))
    written = theirs.generate(ids[:, :PREFIX], max_new_tokens=LENGTH - PREFIX, do_sample=False, eos_token_id=None)
    for row in range(8):
        ids[row, PREFIX : PREFIX + 2 * row + 2] = written[row, PREFIX : PREFIX + 2 * row + 2]
    return ids


def test_inspection_accepts_it_and_counts_the_parameters_of_the_model(published, theirs):
    facts = inspect_checkpoint(str(published))
    assert facts.parameter_count == sum(parameter.numel() for parameter in theirs.parameters())
    assert (facts.layer_count, facts.head_count, facts.vocabulary_size) == (2, 4, ROWS)
    refuse_non_finite_weights(str(published))


def test_logits_are_bit_equal(published, theirs, paragraphs):
    ours = load_model(str(published), device="cpu")
    assert torch.equal(ours(paragraphs).logits, theirs(paragraphs).logits)


def test_exact_match_is_that_of_generate_and_nll_that_of_the_loss(published, theirs, paragraphs):
    scores = score_paragraphs(load_model(str(published), device="cpu"), paragraphs, PREFIX).paragraphs
    written = theirs.generate(
        paragraphs[:, :PREFIX], max_new_tokens=LENGTH - PREFIX, do_sample=False, eos_token_id=None
    )[:, PREFIX:]
    matches = (written == paragraphs[:, PREFIX:]).long().cumprod(1).sum(1)
    assert scores["exact_match"].to_list() == matches.tolist()
    assert matches.min() >= 2 and matches.max() == LENGTH - PREFIX
    labels = paragraphs.clone()
    labels[:, :PREFIX] = -100
    losses = [
        float(theirs(input_ids=paragraphs[[row]], labels=labels[[row]]).loss.detach()) for row in range(len(paragraphs))
    ]
    np.testing.assert_allclose(scores["continuation_nll_nats"], losses, rtol=1e-5, atol=1e-5)


def test_attention_is_output_attentions(published, theirs, paragraphs):
    frame = prefix_attention(load_model(str(published), device="cpu"), paragraphs, PREFIX)
    with torch.no_grad():
        layers = theirs(paragraphs, output_attentions=True).attentions
    expected = np.stack([layer.numpy() for layer in layers], axis=1)[:, :, :, PREFIX, :PREFIX]
    np.testing.assert_allclose(attention_array(frame), expected, atol=1e-6)


def test_gradients_are_those_of_autograd(published, theirs, paragraphs):
    """The norm over all pieces of all maps, which no wrong cut can change, against plain backward."""
    frame = parameter_gradients(load_model(str(published), device="cpu"), paragraphs[:1], PREFIX)
    theirs.zero_grad()
    logits = theirs(paragraphs[:1]).logits[:, PREFIX - 1 : -1]
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), paragraphs[:1, PREFIX:].flatten()).backward()
    maps = {id(module): module for module in all_maps(adapter_for(theirs))}.values()
    expected = sum(float(module.weight.grad.double().square().sum()) for module in maps)
    assert float(frame["l2"].pow(2).sum()) == pytest.approx(expected, rel=1e-4)
