"""Every family with an adapter against transformers itself: recitation, loss, attention, gradients of each piece."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from probes.architectures import FAMILIES, adapter_for
from probes.attention.weights import attention_array, prefix_attention
from probes.gradients.parameters import parameter_gradients
from probes.scoring.teacher_forced import score_paragraphs
from tests.support import REPOSITORY
from tests.support.models.families import LIKE_GEMMA2, SPECIAL, VOCABULARY, family_model

PREFIX, LENGTH = 10, 20
SCORED = {
    "gemma2": LIKE_GEMMA2, "cohere": {"logit_scale": 0.3}, "gpt_bigcode": {}, "bloom": {}, "opt": {},
    "gptj": {"rotary_dim": 8},
}  # fmt: skip


@pytest.fixture(scope="module", params=list(SPECIAL))
def model(request):
    return family_model(request.param)


def paragraphs(model, rows: int = 4) -> torch.Tensor:
    """Random prefixes, the model's own continuation, spoiled from the row's own number on."""
    ids = torch.randint(2, VOCABULARY, (rows, LENGTH), generator=torch.Generator().manual_seed(3))
    for row, text in enumerate(greedy(model, ids)):
        ids[row, PREFIX : PREFIX + 3 * row + 1] = text[: 3 * row + 1]
    return ids


def greedy(model, ids: torch.Tensor) -> torch.Tensor:
    prefixes = ids[:, :PREFIX]
    written = model.generate(
        prefixes, attention_mask=torch.ones_like(prefixes), max_new_tokens=LENGTH - PREFIX, do_sample=False,
        eos_token_id=None,
    )  # fmt: skip
    return written[:, PREFIX:]


def loss(model, ids: torch.Tensor) -> torch.Tensor:
    labels = ids.clone()
    labels[:, :PREFIX] = -100
    return model(input_ids=ids, labels=labels).loss


def assert_scored_as_transformers_does(model) -> None:
    ids = paragraphs(model)
    scores = score_paragraphs(model, ids, PREFIX).paragraphs
    matches = (greedy(model, ids) == ids[:, PREFIX:]).long().cumprod(1).sum(1)
    assert scores["exact_match"].to_list() == matches.tolist()
    assert matches.max() == LENGTH - PREFIX
    with torch.no_grad():
        losses = [float(loss(model, ids[[row]])) for row in range(len(ids))]
    np.testing.assert_allclose(scores["continuation_nll_nats"], losses, rtol=1e-5, atol=1e-5)


def test_the_families_of_the_table_are_those_tried_here():
    assert set(FAMILIES) == {*SPECIAL, "gpt_neo", "gpt_neox", "gpt2", "llama", "mistral", "qwen2"}


def test_recitation_and_loss(model):
    assert_scored_as_transformers_does(model)


@pytest.mark.parametrize("family", list(SCORED))
def test_families_without_an_adapter_are_scored(family):
    assert_scored_as_transformers_does(family_model(family, **SCORED[family]))


def test_attention(model):
    ids = paragraphs(model)
    with torch.no_grad():
        layers = model(ids, output_attentions=True).attentions
    expected = np.stack([layer.numpy() for layer in layers], axis=1)[:, :, :, PREFIX, :PREFIX]
    np.testing.assert_allclose(attention_array(prefix_attention(model, ids, PREFIX)), expected, atol=1e-6)


def gradient_of_component(model, layer: int, component: str, head: int | None) -> torch.Tensor:
    """The piece of autograd's gradient, cut by hand from what the family's code does with its maps."""
    block, size = model.base_model.layers[layer], adapter_for(model).head_size
    heads, shared = model.config.num_attention_heads, model.config.num_key_value_heads
    at = 0 if head is None else head * size
    fused = getattr(block.self_attn, "qkv_proj", None)
    if component == "W_O":
        return block.self_attn.o_proj.weight.grad[:, at : at + size]
    if component in ("W_Q", "W_K", "W_V") and fused is not None:
        start = {"W_Q": 0, "W_K": heads, "W_V": heads + shared}[component] * size + at
        return fused.weight.grad[start : start + size]
    if component in ("W_Q", "W_K", "W_V"):
        name = {"W_Q": "q_proj", "W_K": "k_proj", "W_V": "v_proj"}[component]
        return getattr(block.self_attn, name).weight.grad[at : at + size]
    inner = ("gate_proj", "up_proj", "gate_up_proj", "c_fc") if component == "W_in" else ("down_proj", "c_proj")
    return torch.cat([getattr(block.mlp, name).weight.grad.flatten() for name in inner if hasattr(block.mlp, name)])


def test_gradients_of_every_piece(model):
    ids = paragraphs(model, rows=1)
    frame = parameter_gradients(model, ids, PREFIX)
    model.zero_grad()
    loss(model, ids).backward()
    for row in frame.iter_rows(named=True):
        expected = gradient_of_component(model, row["layer"], row["component"], row["head"])
        np.testing.assert_allclose(row["l2"], float(expected.norm()), rtol=5e-4, atol=1e-7)
        np.testing.assert_allclose(row["max_abs"], float(expected.abs().max()), rtol=5e-4, atol=1e-7)
    assert {"W_Q", "W_K", "W_V", "W_O", "W_in", "W_out"} == set(frame["component"])
    model.zero_grad()


def test_the_documentation_lists_the_families():
    text = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith("| gpt_neo"))
    assert {name.strip() for name in row.split("|")[1].split(",")} == set(FAMILIES)
