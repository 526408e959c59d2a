"""A small random model of every family that has an adapter, with what sets the family apart switched on."""

from __future__ import annotations

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

VOCABULARY = 97
_SIZES = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 1,
}  # fmt: skip
_SLIDING = {"sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"]}
SPECIAL: dict[str, dict[str, object]] = {
    "olmo": {"clip_qkv": 0.5},
    "olmo2": {},
    "olmo3": _SLIDING,
    "smollm3": {"no_rope_layers": [1, 0]},
    "qwen3": {"head_dim": 12},
    "gemma": {"head_dim": 12},
    "gemma3_text": {"head_dim": 12, "query_pre_attn_scalar": 12, **_SLIDING},
    "ministral": {"head_dim": 12, **_SLIDING},
    "granite": {
        "logits_scaling": 3.0, "residual_multiplier": 0.5, "embedding_multiplier": 2.0, "attention_multiplier": 0.3,
    },
    "stablelm": {"use_parallel_residual": True, "qk_layernorm": True},
    "exaone4": _SLIDING,
    "hunyuan_v1_dense": {"head_dim": 8},
    "helium": {"head_dim": 8},
    "seed_oss": {"head_dim": 12},
    "apertus": {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
    "arcee": {},
    "nemotron": {},
    "starcoder2": {"sliding_window": 6},
    "glm": {"head_dim": 8},
    "phi3": {},
}  # fmt: skip
LIKE_GEMMA2 = {"head_dim": 8, "final_logit_softcapping": 3.0, "attn_logit_softcapping": 2.0}


def family_model(family: str, **changes: object) -> PreTrainedModel:
    """Random weights, wide enough that every head and every cap matters."""
    config = AutoConfig.for_model(family, **(_SIZES | SPECIAL.get(family, {}) | changes))
    return random_model_of(config)


def random_model_of(config: PretrainedConfig) -> PreTrainedModel:
    """A model of seeded random weights, its matrices far enough apart that every head matters."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 2:
                    parameter.normal_(0, 0.2)
    return model.eval()
