"""Small random models of every family, for tests of the trigger probes."""

from __future__ import annotations

import numpy as np
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTNeoConfig,
    GPTNeoXConfig,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedModel,
)

VOCABULARY = 211
_SPECIAL = {"bos_token_id": None, "eos_token_id": None}


def _config(family: str) -> PretrainedConfig:
    if family == "gpt_neo":
        kinds = [[["global", "local"], 1]]
        return GPTNeoConfig(
            vocab_size=VOCABULARY, max_position_embeddings=128, hidden_size=32, num_layers=2, num_heads=4,
            attention_types=kinds, window_size=9, **_SPECIAL,
        )  # fmt: skip
    if family == "gpt2":
        return GPT2Config(vocab_size=VOCABULARY, n_positions=128, n_embd=32, n_layer=2, n_head=4, **_SPECIAL)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 128}
    if family == "gpt_neox":
        return GPTNeoXConfig(vocab_size=VOCABULARY, intermediate_size=64, **sizes, **_SPECIAL)
    return LlamaConfig(vocab_size=VOCABULARY, intermediate_size=64, num_key_value_heads=2, **sizes, **_SPECIAL)


FAMILIES = ("gpt_neo", "gpt2", "gpt_neox", "llama")


def small_model(family: str, seed: int = 0, attention: str = "eager", scale: float = 6.0) -> PreTrainedModel:
    """A random model whose weights are scaled up, so that attention is uneven and the argmax depends on the context."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(_config(family), attn_implementation=attention).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(scale)
    return model.requires_grad_(False)


def random_ids(rows: int, length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(VOCABULARY, size=(rows, length))


def greedy(model: PreTrainedModel, prefix: np.ndarray, length: int) -> np.ndarray:
    """What transformers itself decodes."""
    ids = torch.from_numpy(prefix)
    mask = torch.ones_like(ids)
    output = model.generate(ids, attention_mask=mask, max_new_tokens=length, do_sample=False, pad_token_id=0)
    return output[:, prefix.shape[1] :].numpy()
