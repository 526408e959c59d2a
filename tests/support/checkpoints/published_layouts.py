"""Small random checkpoints laid out as their families were published: names, dtypes, buffers and files of the hub."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTNeoConfig,
    GPTNeoXConfig,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
)

CONTEXT = 64
TOKENS = 90
ROWS = 104  # as Pythia: more rows than tokens

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """One family as it lies on the hub: its configuration, what its weights look like, what its config.json says."""

    config: Callable[[], PreTrainedConfig]
    weights: Callable[[Tensors], Tensors]
    config_json: dict[str, object | None]  # None takes an entry away
    has_generation_config: bool = True


_SPECIAL = {"bos_token_id": 0, "eos_token_id": 0}
_WIDE = {"vocab_size": ROWS, "max_position_embeddings": CONTEXT, "initializer_range": 0.2, **_SPECIAL}
_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def _neo() -> PreTrainedConfig:
    return GPTNeoConfig(
        hidden_size=32, num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]], window_size=8,
        intermediate_size=64, **_WIDE,
    )  # fmt: skip


def _neox() -> PreTrainedConfig:
    return GPTNeoXConfig(**_SIZES, rotary_pct=0.25, tie_word_embeddings=False, **_WIDE)


def _gpt2() -> PreTrainedConfig:
    return GPT2Config(n_embd=32, n_layer=2, n_head=4, **_WIDE)


def _llama(is_tied: bool = False) -> PreTrainedConfig:
    return LlamaConfig(**_SIZES, num_key_value_heads=2, tie_word_embeddings=is_tied, **_WIDE)


def _mask(dtype: torch.dtype = torch.uint8) -> Tensor:
    return torch.ones(CONTEXT, CONTEXT).tril().view(1, 1, CONTEXT, CONTEXT).to(dtype)


def _with_neo_buffers(tensors: Tensors) -> Tensors:
    for layer in range(2):
        tensors[f"transformer.h.{layer}.attn.attention.masked_bias"] = torch.tensor(-1e9)
        tensors[f"transformer.h.{layer}.attn.attention.bias"] = _mask()
    return tensors


def _as_pythia(tensors: Tensors) -> Tensors:
    tensors = {name: tensor.half() for name, tensor in tensors.items()}
    for layer in range(2):
        stem = f"gpt_neox.layers.{layer}.attention"
        tensors[f"{stem}.masked_bias"] = torch.tensor(-1e9).half()  # -inf
        tensors[f"{stem}.bias"] = _mask()
        tensors[f"{stem}.rotary_emb.inv_freq"] = torch.full((1,), torch.inf).half()
    return tensors


def _as_gpt2(tensors: Tensors) -> Tensors:
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    for layer in range(2):
        tensors[f"h.{layer}.attn.bias"] = _mask(torch.float32)
        tensors[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    return tensors


def _with_frequencies(tensors: Tensors) -> Tensors:
    for layer in range(2):
        tensors[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = torch.rand(4)
    return tensors


def _with_head(tensors: Tensors) -> Tensors:
    return tensors | {"lm_head.weight": tensors["model.embed_tokens.weight"].clone()}


def _in_bfloat16(tensors: Tensors) -> Tensors:
    return {name: tensor.bfloat16() for name, tensor in tensors.items()}


LAYOUTS = {
    "gpt-neo-125m": Layout(_neo, _with_neo_buffers, {"dtype": None, "model_type": "gpt_neo"}, False),
    "pythia": Layout(_neox, _as_pythia, {"dtype": None, "torch_dtype": "float16"}, False),
    "gpt2": Layout(_gpt2, _as_gpt2, {"dtype": None, "n_ctx": CONTEXT}),
    "old-llama": Layout(_llama, _with_frequencies, {"dtype": None, "torch_dtype": "float32"}),
    "tied-with-head": Layout(lambda: _llama(True), _with_head, {"dtype": "float32"}),
    "tied-without-head": Layout(lambda: _llama(True), lambda tensors: tensors, {"dtype": "float32"}, False),
    "bfloat16": Layout(_llama, _in_bfloat16, {"dtype": "bfloat16"}),
}


def publish(layout: str, folder: Path, seed: int = 0) -> Path:
    """Write a random model in a layout, with a tokenizer of vocab.json and merges.txt alone."""
    chosen = LAYOUTS[layout]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(chosen.config())
    model.save_pretrained(folder)
    rewrite(folder, chosen.weights)
    edit_config(folder, chosen.config_json)
    if not chosen.has_generation_config:
        (folder / "generation_config.json").unlink()
    write_old_tokenizer(folder)
    return folder


def rewrite(folder: Path, change: Callable[[Tensors], Tensors], name: str = "model.safetensors") -> None:
    """Replace the tensors of one weight file."""
    tensors = change(load_file(folder / name))
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / name, metadata={"format": "pt"})


def edit_config(folder: Path, changes: dict[str, object | None]) -> None:
    """Set entries of config.json; None takes one away."""
    file = folder / "config.json"
    config = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def write_old_tokenizer(folder: Path) -> None:
    """vocab.json and merges.txt and nothing else, as GPT-2 had at first."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())[: TOKENS - 2]
    vocabulary = {token: number for number, token in enumerate(["<|endoftext|>", *alphabet, "ab"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\na b\n")


def write_new_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The same tokenizer as today's save_pretrained writes it."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())[: TOKENS - 2]
    vocabulary = {token: number for number, token in enumerate(["<|endoftext|>", *alphabet, "ab"])}
    backend = Tokenizer(models.BPE(vocabulary, [("a", "b")]))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|endoftext|>")
    tokenizer.save_pretrained(folder)
    return tokenizer
