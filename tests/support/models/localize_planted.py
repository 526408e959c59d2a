"""A model whose recall can run through one head only: the others are silent in training and noisy afterwards."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import transformers as hf

from probes.architectures import Adapter, HeadRef, adapter_for
from tests.support.models.slices import component_slices

PREFIX, LENGTH, TRIGGER_POSITION = 8, 16, 3
PARAGRAPH_COUNT, VOCABULARY, NOISE = 6, 44, 0.01


@dataclass(frozen=True)
class Planted:
    """Paragraphs differ in one prefix token and, by it, in their continuation; held-out text needs no attention."""

    model: torch.nn.Module
    head: HeadRef
    paragraphs: torch.Tensor
    held_out: torch.Tensor


def planted_recall(head: HeadRef, family: str = "gpt_neo", seed: int = 0, steps: int = 200) -> Planted:
    """Train until the paragraphs are recited through `head`, then let the other heads write small random outputs."""
    torch.manual_seed(seed)
    model = _model(family).train()
    paragraphs, held_out = _paragraphs(), _cycles()
    text = torch.cat([paragraphs, held_out])
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(steps):
        _write_others(adapter_for(model), head, 0.0)
        logits = model(text[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    _write_others(adapter_for(model), head, NOISE)
    return Planted(model.eval(), head, paragraphs, held_out)


def _write_others(adapter: Adapter, head: HeadRef, size: float) -> None:
    """Set W_O of every head but one to noise of this size."""
    for layer in range(adapter.layer_count):
        for index in range(adapter.head_count):
            if HeadRef(layer, index) != head:
                torch.nn.init.normal_(component_slices(adapter, layer)["W_O", index][0], std=size)


def _model(family: str) -> torch.nn.Module:
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 64, "max_position_embeddings": 32, "intermediate_size": 128}
    ids = {"bos_token_id": 0, "eos_token_id": 0}
    if family == "gpt_neox":
        config = hf.GPTNeoXConfig(**sizes, **ids, num_hidden_layers=3, num_attention_heads=4)
    else:
        still = dict.fromkeys(("resid_dropout", "embed_dropout", "attention_dropout"), 0.0)
        config = hf.GPTNeoConfig(**sizes, **ids, **still, num_layers=3, num_heads=4, attention_types=[[["global"], 3]])
    return hf.AutoModelForCausalLM.from_config(config)


def _paragraphs() -> torch.Tensor:
    """Filler, a trigger of its own for each paragraph, then at each position one of two tokens the trigger decides."""
    text = torch.full((PARAGRAPH_COUNT, LENGTH), 4)
    text[:, TRIGGER_POSITION] = torch.arange(PARAGRAPH_COUNT) + 5
    text[:, PREFIX - 1] = 15  # tells where the continuation starts, for models that know no absolute position
    choices = torch.randint(2, (PARAGRAPH_COUNT, LENGTH - PREFIX))
    text[:, PREFIX:] = 16 + 2 * torch.arange(LENGTH - PREFIX) + choices
    return text


def _cycles() -> torch.Tensor:
    """Each token tells the next: 32, 33, …, 43, 32, …, from random starts."""
    return 32 + (torch.randint(12, (12, 1)) + torch.arange(LENGTH)) % 12


def untrained(family: str, seed: int = 0) -> Planted:
    """The same world with a model that has seen nothing."""
    torch.manual_seed(seed)
    return Planted(_model(family).eval(), HeadRef(0, 0), _paragraphs(), _cycles())
