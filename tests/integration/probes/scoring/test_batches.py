"""Running out of memory halves the batch and goes on; fused kernels leave the model as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from probes.errors import ProbeError
from probes.forward.batches import in_batches, is_out_of_memory
from probes.forward.fused import fused
from probes.scoring.generation import greedy_continuations
from probes.scoring.teacher_forced import score_paragraphs
from tests.support.models.scoring_models import ARCHITECTURES, greedy, random_model, reciting_model

CPU = torch.device("cpu")
WORDS = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"
    ),
    MemoryError(),
)


def starved(monkeypatch, model, largest_batch: int, error: Exception) -> list[int]:
    """Let `model` fail on batches above a size, and record the batches it meets."""
    met: list[int] = []
    forward = model.base_model.forward

    def forward_if_small(input_ids=None, **settings):
        met.append(len(input_ids))
        if len(input_ids) > largest_batch:
            raise error
        return forward(input_ids=input_ids, **settings)

    monkeypatch.setattr(model.base_model, "forward", forward_if_small)
    return met


@pytest.mark.parametrize("error", WORDS)
def test_scoring_goes_on_with_half_the_batch(monkeypatch, error):
    model, paragraphs = reciting_model("gpt_neo")
    expected = score_paragraphs(model, paragraphs, 12, batch_size=4)
    met = starved(monkeypatch, model, 5, error)
    found = score_paragraphs(model, paragraphs, 12, batch_size=16)
    assert met[2:] == [16, 8, 4, 4, 4, 4]
    assert found.paragraphs["exact_match"].equals(expected.paragraphs["exact_match"])
    np.testing.assert_allclose(found.tokens["nll_nats"], expected.tokens["nll_nats"], rtol=1e-4, atol=1e-5)


def test_decoding_goes_on_with_half_the_batch(monkeypatch):
    model, paragraphs = reciting_model("llama")
    expected = greedy(model, paragraphs[:, :6], 9)
    starved(monkeypatch, model, 3, WORDS[0])
    np.testing.assert_array_equal(greedy_continuations(model, paragraphs[:, :6], 9), expected)


def test_a_single_paragraph_that_does_not_fit_is_one_sentence(monkeypatch):
    model, paragraphs = reciting_model("gpt_neo")
    starved(monkeypatch, model, 0, WORDS[0])
    with pytest.raises(ProbeError, match="single paragraph"):
        list(in_batches(3, 2, 10, CPU, lambda start, stop: model.base_model(input_ids=paragraphs[start:stop])))


def test_other_errors_pass_through():
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        list(in_batches(1, 1, 1, CPU, lambda *_: (_ for _ in ()).throw(RuntimeError("shapes"))))


def test_boundaries_do_not_depend_on_anything_but_the_arguments():
    for rows, size in ((0, 4), (1, 4), (9, 4), (8, 4)):
        cuts = list(in_batches(rows, size, 10, CPU, lambda start, stop: (start, stop)))
        assert cuts == [(start, min(start + size, rows)) for start in range(0, rows, size)]
    assert list(in_batches(40, 64, 100, CPU, lambda start, stop: stop - start)) == [16, 16, 8]
    assert list(in_batches(40, 64, 100, torch.device("cuda"), lambda start, stop: stop - start)) == [40]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_fused_kernels_agree_with_transformers_and_leave_the_model_alone(architecture, attention, tmp_path):
    model = random_model(architecture)
    if attention == "sdpa" and model._supports_sdpa:
        model.set_attn_implementation("sdpa")
    _, paragraphs = reciting_model(architecture)
    before = model(paragraphs, output_attentions=attention == "eager")
    with torch.inference_mode(), fused(model):
        inside = model(paragraphs).logits
    torch.testing.assert_close(inside, before.logits, rtol=1e-4, atol=1e-4)
    after = model(paragraphs, output_attentions=attention == "eager")
    assert torch.equal(after.logits, before.logits)
    assert model.config._attn_implementation == (attention if model._supports_sdpa else "eager")
    if attention == "eager":
        assert torch.equal(after.attentions[1], before.attentions[1])


def test_fused_kernels_go_on_from_cached_keys_and_values():
    for architecture in ARCHITECTURES:
        model, paragraphs = reciting_model(architecture)
        with torch.inference_mode(), fused(model):
            start = model(paragraphs[:, :11], use_cache=True)
            rest = model(paragraphs[:, 11:], past_key_values=start.past_key_values).logits
        torch.testing.assert_close(rest, model(paragraphs).logits[:, 11:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_hooked_model_is_measured_as_it_is(architecture):
    """Whoever reads or changes attention by a hook gets what they hooked, bit by bit."""
    model, paragraphs = random_model(architecture), reciting_model(architecture)[1]
    seen = []
    hook = model.base_model.register_forward_hook(lambda *_: seen.append(True))
    try:
        with fused(model):
            assert torch.equal(model(paragraphs).logits, random_model(architecture)(paragraphs).logits)
    finally:
        hook.remove()
    assert seen
