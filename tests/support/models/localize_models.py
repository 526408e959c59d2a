"""Small models of every family, each with the traps of its layout on."""

from __future__ import annotations

import torch
import transformers as hf

VOCABULARY = 61
FAMILIES = ("gpt_neo", "gpt_neox", "gpt_neox_sequential", "gpt2", "llama", "mistral", "qwen2")


def small_model(family: str, seed: int = 0, layers: int = 3, attention: str = "eager") -> torch.nn.Module:
    """Random weights large enough for every head to matter; three heads of four, key/value heads shared in Llama."""
    torch.manual_seed(seed)
    model = hf.AutoModelForCausalLM.from_config(_config(family, layers), attn_implementation=attention)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, 0.3)
            elif name.endswith("bias"):
                parameter.normal_(0, 0.1)
    return model.eval()


def _config(family: str, layers: int) -> hf.PretrainedConfig:
    sizes = {"vocab_size": VOCABULARY, "max_position_embeddings": 64, "hidden_size": 12}
    if family == "gpt_neo":
        return hf.GPTNeoConfig(
            **sizes,
            num_layers=layers,
            num_heads=3,
            intermediate_size=20,
            window_size=5,
            attention_types=[
                [["global", "local"], layers],
            ][:1]
            if layers % 2 == 0
            else [[["global"], 1], [["local"], layers - 1]],
        )
    if family.startswith("gpt_neox"):
        return hf.GPTNeoXConfig(
            **sizes,
            num_hidden_layers=layers,
            num_attention_heads=3,
            intermediate_size=20,
            rotary_pct=0.5,
            use_parallel_residual=family == "gpt_neox",
        )
    if family == "gpt2":
        return hf.GPT2Config(vocab_size=VOCABULARY, n_positions=64, n_embd=12, n_layer=layers, n_head=3, n_inner=20)
    kinds = {"llama": hf.LlamaConfig, "mistral": hf.MistralConfig, "qwen2": hf.Qwen2Config}
    extra = {"sliding_window": 5} if family == "mistral" else {}
    return kinds[family](
        **(sizes | {"hidden_size": 16}),
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=20,
        **extra,
    )


def paragraphs(rows: int, length: int = 12, seed: int = 0) -> torch.Tensor:
    """Random token ids, [paragraph, position]."""
    return torch.randint(VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(seed))


CHANGED, IMPACT = [2, 5, 4], [8, 7, 10]


def pairs(rows=3):
    """MPs, and the same with one prefix token and everything from the impact on changed."""
    memorized = paragraphs(rows)
    perturbed = memorized.clone()
    for row, (position, impact) in enumerate(zip(CHANGED, IMPACT, strict=True)):
        perturbed[row, position] = (perturbed[row, position] + 1) % VOCABULARY
        perturbed[row, impact:] = (perturbed[row, impact:] + 3) % VOCABULARY
    return memorized, perturbed
