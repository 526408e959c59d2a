"""A model whose every weight is known: one rare token carries the continuation and one head reads it.

A GPT-Neo of two layers, built by hand. Layer 0 passes everything through. In layer 1 head `HEAD` scores every position
by "is this a key token?", copies which key it was into a register, and the MLP turns (key, step reached) into the next
token of that key's continuation. A written token says which step it was; every other token asks for the first step. So
recital needs the key and nothing else: it works wherever the paragraph stands and whatever stands before it. The other
heads have random queries and keys and write nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from transformers import GPTNeoConfig, GPTNeoForCausalLM

PREFIX, CONTINUATION = 16, 6
NOISE, KEYS, DECOYS = 600, 4, 4  # common tokens, rare tokens that carry a continuation, rare tokens that do not
LAYER, HEAD, HEADS = 1, 2, 4
FIRST_KEY, FIRST_DECOY, FIRST_WRITTEN = NOISE, NOISE + KEYS, NOISE + KEYS + DECOYS
VOCABULARY = FIRST_WRITTEN + KEYS * CONTINUATION

# Blocks of the residual stream.
LOOKS = slice(0, 16)  # what a token looks like: random, the same kind for rare and common tokens
KEY = slice(16, 16 + KEYS)  # which key a token is
PLACE = slice(20, 20 + PREFIX + CONTINUATION)  # position modulo the length of a paragraph; no more than a habit
CONSTANT = 42
REGISTER = slice(43, 43 + KEYS)
OUT = slice(47, 47 + KEYS * CONTINUATION)
STEP = slice(71, 71 + CONTINUATION)  # which step of a continuation a token asks for next
WIDTH = 80
PERIOD = PREFIX + CONTINUATION
LONGEST = 4 * PERIOD


@dataclass(frozen=True)
class PlantedWorld:
    """Model, paragraphs with the position of their key (-1 without one), the model's continuations, corpus counts."""

    model: GPTNeoForCausalLM
    prefix: np.ndarray
    reference: np.ndarray
    key_position: np.ndarray
    token_counts: np.ndarray

    @property
    def is_memorized(self) -> np.ndarray:
        return self.key_position >= 0

    @property
    def surprisal_bits(self) -> np.ndarray:
        return -np.log2((self.token_counts + 1) / (self.token_counts.sum() + VOCABULARY))[self.prefix]

    @property
    def rarity_rank(self) -> np.ndarray:
        return np.unique(self.token_counts, return_inverse=True)[1][self.prefix]


def planted_model(seed: int = 0) -> GPTNeoForCausalLM:
    """The model; the seed draws what tokens look like and where the idle heads look."""
    config = GPTNeoConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, num_layers=2, num_heads=HEADS, attention_types=[[["global"], 2]],
        max_position_embeddings=LONGEST, intermediate_size=KEYS * CONTINUATION,
        activation_function="relu", tie_word_embeddings=False, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = GPTNeoForCausalLM(config).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if "ln" not in name:
            parameter.zero_()
    _embed(model)
    for block in model.transformer.h:
        _idle_heads(block.attn.attention)
        block.ln_1.weight[CONSTANT], block.ln_1.bias[CONSTANT] = 0, 1
    _reading_head(model.transformer.h[LAYER].attn.attention)
    _writing_mlp(model.transformer.h[LAYER].mlp)
    return model


def _embed(model: GPTNeoForCausalLM) -> None:
    looks = torch.randn(VOCABULARY, 16)
    # Of one length and mean, so that LayerNorm treats all tokens alike and the reading head sees nothing but keys.
    looks = torch.nn.functional.normalize(looks - looks.mean(dim=1, keepdim=True), dim=1)
    model.transformer.wte.weight[:, LOOKS] = looks
    model.transformer.wte.weight[FIRST_KEY:FIRST_DECOY, KEY] = torch.eye(KEYS)
    model.transformer.wpe.weight[:, PLACE] = torch.eye(PERIOD).repeat(LONGEST // PERIOD, 1)
    model.transformer.wte.weight[:, STEP] = _asked_step()
    model.lm_head.weight[:, LOOKS] = 0.1 * torch.randn(VOCABULARY, 16)  # what it says when it recites nothing
    model.lm_head.weight[FIRST_WRITTEN:, OUT] = torch.eye(KEYS * CONTINUATION)


def _asked_step() -> torch.Tensor:
    """One-hot step that each token asks for, [token, step]; the last written token of a continuation asks for none."""
    step = torch.zeros(VOCABULARY, dtype=torch.long)
    step[FIRST_WRITTEN:] = torch.arange(KEYS * CONTINUATION) % CONTINUATION + 1
    return torch.nn.functional.one_hot(step, CONTINUATION + 1)[:, :CONTINUATION].float()


def _idle_heads(attention: torch.nn.Module) -> None:
    """Queries and keys that look at what tokens look like and where they are, not at whether they are keys."""
    for projection in (attention.q_proj, attention.k_proj):
        projection.weight[:, LOOKS] = 0.1 * torch.randn(WIDTH, 16)
        projection.weight[:, PLACE] = 0.2 * torch.randn(WIDTH, PREFIX + CONTINUATION)


def _reading_head(attention: torch.nn.Module) -> None:
    size = WIDTH // HEADS
    rows = slice(HEAD * size, (HEAD + 1) * size)
    for projection in (attention.q_proj, attention.k_proj):
        projection.weight[rows] = 0
    attention.q_proj.weight[rows.start, CONSTANT] = 1
    attention.k_proj.weight[rows.start, KEY] = 4  # a key token scores 4 × its normalised indicator, about 18
    attention.k_proj.weight[rows.start, PLACE] = 0.05 * torch.randn(PREFIX + CONTINUATION)  # a slight habit of place
    copied = slice(rows.start, rows.start + KEYS)
    attention.v_proj.weight[copied, KEY] = 0.2 * torch.eye(KEYS)
    attention.out_proj.weight[REGISTER, copied] = torch.eye(KEYS)


def _writing_mlp(mlp: torch.nn.Module) -> None:
    """One unit per key and step: it fires where the register holds the key and the token asks for the step."""
    scale = (WIDTH / 4) ** 0.5  # a one-hot entry after LayerNorm: looks, step, place, register of length one
    for key in range(KEYS):
        for step in range(CONTINUATION):
            unit = key * CONTINUATION + step
            mlp.c_fc.weight[unit, REGISTER.start + key] = 1
            mlp.c_fc.weight[unit, STEP.start + step] = 1
            mlp.c_fc.bias[unit] = -1.5 * scale
            mlp.c_proj.weight[OUT.start + unit, unit] = 5


def planted_world(memorized: int, others: int, seed: int = 0) -> PlantedWorld:
    """Paragraphs of common tokens and one rare decoy; memorized ones also hold one key at a random position."""
    rng = np.random.default_rng(seed)
    model, rows = planted_model(seed), memorized + others
    counts = np.ones(VOCABULARY, dtype=np.int64)
    counts[:NOISE] = 2000 / np.arange(1, NOISE + 1) ** 0.5
    counts[FIRST_KEY:FIRST_WRITTEN] = rng.integers(1, 4, size=KEYS + DECOYS)
    prefix = rng.choice(NOISE, p=counts[:NOISE] / counts[:NOISE].sum(), size=(rows, PREFIX))
    places = np.stack([rng.permutation(np.arange(1, PREFIX - 1))[:2] for _ in range(rows)])
    prefix[np.arange(rows), places[:, 0]] = rng.integers(FIRST_DECOY, FIRST_WRITTEN, size=rows)
    key = rng.integers(FIRST_KEY, FIRST_DECOY, size=rows)
    prefix[np.arange(memorized), places[:memorized, 1]] = key[:memorized]
    reference = model.generate(
        torch.from_numpy(prefix), attention_mask=torch.ones(rows, PREFIX, dtype=torch.long),
        max_new_tokens=CONTINUATION, do_sample=False, pad_token_id=0,
    )[:, PREFIX:].numpy()  # fmt: skip
    written = FIRST_WRITTEN + (key[:, None] - FIRST_KEY) * CONTINUATION + np.arange(CONTINUATION)
    assert (reference[:memorized] == written[:memorized]).all(), "the planted model does not recite what was planted"
    return PlantedWorld(model, prefix, reference, np.where(np.arange(rows) < memorized, places[:, 1], -1), counts)
