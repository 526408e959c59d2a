"""Small models of every architecture we measure, random or trained to recite, built in a second."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTNeoConfig,
    GPTNeoXConfig,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedModel,
)

VOCABULARY = 97
ARCHITECTURES = ("gpt_neo", "gpt_neox", "gpt2", "llama")
_COMMON = {
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 64,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": 0,
    "initializer_range": 0.2,
}


def small_config(architecture: str) -> PreTrainedConfig:
    """Two layers, four heads; a local layer for GPT-Neo, two key/value heads for Llama."""
    width = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    if architecture == "gpt_neo":
        kinds = [[["global", "local"], 1]]
        return GPTNeoConfig(
            hidden_size=32,
            num_layers=2,
            num_heads=4,
            attention_types=kinds,
            window_size=8,
            intermediate_size=64,
            **_COMMON,
        )
    if architecture == "gpt2":
        return GPT2Config(n_embd=32, n_layer=2, n_head=4, **_COMMON)
    if architecture == "gpt_neox":
        return GPTNeoXConfig(**width, **_COMMON)
    return LlamaConfig(num_key_value_heads=2, **width, **_COMMON)


def random_model(architecture: str, seed: int = 0) -> PreTrainedModel:
    """Random weights, wide enough apart that greedy decoding does not stand still."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(small_config(architecture), attn_implementation="eager")
    return model.eval().requires_grad_(False)


def random_paragraphs(rows: int, length: int, seed: int) -> Tensor:
    """Uniform token ids, [paragraph, position]."""
    return torch.randint(0, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(seed))


@functools.cache
def reciting_model(architecture: str, length: int = 24) -> tuple[PreTrainedModel, Tensor]:
    """A model trained on eight paragraphs, and these with eight it never met, [paragraph, position].

    Four of the eight are shown to it in every step, four in every fourth, so some are recited and some nearly.
    """
    model = random_model(architecture, seed=1)
    paragraphs = random_paragraphs(16, length, seed=2)
    model.train().requires_grad_(True)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(60):
        batch = paragraphs[:8] if step % 4 == 0 else paragraphs[:4]
        model(input_ids=batch, labels=batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval().requires_grad_(False), paragraphs


def greedy(model: PreTrainedModel, prefixes: Tensor, length: int) -> Tensor:
    """The reference nobody here wrote: transformers' own greedy decoding, [paragraph, length]."""
    mask = torch.ones_like(prefixes)
    written = model.generate(prefixes, attention_mask=mask, max_new_tokens=length, do_sample=False, eos_token_id=None)
    return written[:, prefixes.shape[1] :]
