"""A small random model of every causal class that transformers knows, with what sets its logits apart switched on."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from tests.support.models.families import SPECIAL, random_model_of

VOCABULARY = 97
LARGEST = 3_000_000
"""Parameters; a class that stays larger than this with the sizes below reads more than text."""
TYPES = tuple(sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))
_SIZES = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 1,
}  # fmt: skip
_WHERE_KNOWN: dict[str, Any] = {
    # experts
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "moe_num_experts": 4, "num_experts_per_tok": 2,
    "moe_k": 2, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16, "n_group": 1, "topk_group": 1,
    "moe_num_shared_experts": 1, "num_shared_experts": 1, "n_shared_experts": 1,
    # compressed keys and values
    "q_lora_rank": 16, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8,
    # states
    "d_state": 8, "ssm_state_size": 8, "mamba_d_state": 8, "mamba_d_head": 16, "mamba_n_heads": 4, "mamba_d_ssm": 64,
    "mamba_num_heads": 4, "mamba_head_dim": 16, "linear_num_value_heads": 4, "linear_num_key_heads": 2,
    "linear_key_head_dim": 8, "linear_value_head_dim": 8, "num_heads": 4,
    # decoders of other models
    "is_decoder": True, "dropout": 0.0, "decoder_layers": 2, "encoder_layers": 1, "decoder_attention_heads": 4,
    "encoder_attention_heads": 4, "decoder_ffn_dim": 48, "encoder_ffn_dim": 48, "d_model": 32, "ffn_dim": 48,
    "word_embed_proj_dim": 32, "embedding_size": 32,
    # what is done to logits
    "logits_scaling": 1.7, "logit_scale": 0.6, "lm_head_multiplier": 0.7, "logits_mup_width_multiplier": 1.3,
    "final_logit_softcapping": 5.0, "logits_soft_cap": 5.0,
    "n_inner": 48, "rotary_dim": 8, "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": VOCABULARY,
}  # fmt: skip
_NEO = ("num_layers", "num_heads")
_COMPRESSED = (
    "axk1", "axk2", "deepseek_v2", "deepseek_v3", "deepseek_v32", "glm4_moe_lite", "glm_moe_dsa", "longcat_flash",
    "minicpm3", "youtu", "dots3_note", "dots3_note_text",
)  # fmt: skip
_MIXED = ("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text", "qwen4_exp_text")
_OVERRIDES: dict[str, dict[str, Any]] = {
    "gpt_neo": {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]], "window_size": 6},
    "codegen": {"rotary_dim": 8},
    "mpt": {"logit_scale": None},
    **{key: {"num_key_value_heads": 4} for key in _COMPRESSED},
    "hunyuan_v1_moe": {"head_dim": 8},
    **{key: {"layer_types": ["linear_attention", "full_attention"]} for key in _MIXED},
    "bamba": {"num_hidden_layers": 2, "attn_layer_indices": [1]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"]},
    "recurrent_gemma": {"num_hidden_layers": 3, "block_types": ["recurrent", "recurrent", "attention"]},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "gemma3n_text": {"num_kv_shared_layers": 0, "laurel_rank": 8, "layer_types": ["full_attention"] * 2,
                     "activation_sparsity_pattern": [0.0, 0.0]},
    "gemma4_text": {"num_kv_shared_layers": 0},
    "zamba2": {"num_hidden_layers": 2, "layer_types": ["mamba", "hybrid"], "num_mem_blocks": 1},
    "zamba": {"num_hidden_layers": 3, "layers_block_type": ["mamba", "hybrid", "mamba"]},
    "mamba2": {"num_heads": 4, "head_dim": 16, "n_groups": 1, "state_size": 8},
}  # fmt: skip


def tiny_config(model_type: str) -> Any:
    """Sizes of a few thousand parameters, as far as the family's configuration knows them by these names."""
    known = AutoConfig.for_model(model_type)
    extra = {name: value for name, value in _WHERE_KNOWN.items() if _is_setting(known, name)}
    extra |= {} if getattr(known, "head_dim", None) is None or model_type == "falcon" else {"head_dim": 8}
    sizes = {name: value for name, value in _SIZES.items() if name != "num_key_value_heads" or hasattr(known, name)}
    asked = sizes | extra | SPECIAL.get(model_type, {}) | _OVERRIDES.get(model_type, {})
    if model_type == "gpt_neo":
        asked = {
            name: value for name, value in asked.items() if name not in ("num_hidden_layers", "num_attention_heads")
        }
    return AutoConfig.for_model(model_type, **asked)


def _is_setting(config: Any, name: str) -> bool:
    return hasattr(config, name) and not isinstance(getattr(type(config), name, None), property)


def tiny_model(model_type: str) -> PreTrainedModel | None:
    """Random weights, far enough apart that every head matters; None for a class that cannot be made this small."""
    try:
        config = tiny_config(model_type)
        with torch.device("meta"):
            size = sum(parameter.numel() for parameter in AutoModelForCausalLM.from_config(config).parameters())
        if size > LARGEST:
            return None
        model = random_model_of(config)
        with torch.no_grad():
            model(torch.full((2, 5), 7), use_cache=False)
    except Exception:  # each class has its own words for sizes that do not fit
        return None
    return model
