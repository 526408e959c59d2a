"""The families we can take apart: GPT-Neo, GPT-NeoX (Pythia), GPT-2 and those laid out like Llama.

Norms after attention and MLP (OLMo 2), norms of queries and keys, clipped queries, sliding layers, residual and logit
multipliers change nothing here: what belongs to a head is a part of a weight, and the model itself does the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, cast

from probes.architectures.base import Adapter, Component, Family, HeadLayout, Projection
from probes.errors import ProbeError

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel


_FUSED: tuple[Component, ...] = ("W_Q", "W_K", "W_V")  # the order in which fused maps hold them


def _projection(
    adapter: Adapter, layer: int, component: Component, path: str, layout: HeadLayout | None = None
) -> Projection:
    """The projection at `path` of a block; without a layout it is an MLP matrix, one piece over its inner features."""
    from transformers.pytorch_utils import Conv1D

    module = cast("nn.Linear", adapter.block(layer).get_submodule(path))
    is_transposed = isinstance(module, Conv1D)
    heads_on: Literal["output", "input"] = "input" if component in ("W_O", "W_out") else "output"
    inner_axis = 0 if (heads_on == "output") != is_transposed else 1
    return Projection(
        component,
        f"{adapter.family.blocks}.{layer}.{path}.weight",
        module,
        heads_on,
        layout or HeadLayout((1, module.weight.shape[inner_axis])),
        is_per_head=layout is not None,
        is_transposed=is_transposed,
    )


def _gpt_neo(adapter: Adapter, layer: int) -> Iterator[Projection]:
    heads = HeadLayout((adapter.head_count, adapter.head_size))
    yield _projection(adapter, layer, "W_Q", "attn.attention.q_proj", heads)
    yield _projection(adapter, layer, "W_K", "attn.attention.k_proj", heads)
    yield _projection(adapter, layer, "W_V", "attn.attention.v_proj", heads)
    yield _projection(adapter, layer, "W_O", "attn.attention.out_proj", heads)
    yield _projection(adapter, layer, "W_in", "mlp.c_fc")
    yield _projection(adapter, layer, "W_out", "mlp.c_proj")


def _gpt_neox(adapter: Adapter, layer: int) -> Iterator[Projection]:
    fused = (adapter.head_count, 3, adapter.head_size)
    for index, component in enumerate(_FUSED):
        yield _projection(adapter, layer, component, "attention.query_key_value", HeadLayout(fused, -2, index))
    yield _projection(adapter, layer, "W_O", "attention.dense", HeadLayout((adapter.head_count, adapter.head_size)))
    yield _projection(adapter, layer, "W_in", "mlp.dense_h_to_4h")
    yield _projection(adapter, layer, "W_out", "mlp.dense_4h_to_h")


def _gpt2(adapter: Adapter, layer: int) -> Iterator[Projection]:
    fused = (3, adapter.head_count, adapter.head_size)
    for index, component in enumerate(_FUSED):
        yield _projection(adapter, layer, component, "attn.c_attn", HeadLayout(fused, -3, index))
    yield _projection(adapter, layer, "W_O", "attn.c_proj", HeadLayout((adapter.head_count, adapter.head_size)))
    yield _projection(adapter, layer, "W_in", "mlp.c_fc")
    yield _projection(adapter, layer, "W_out", "mlp.c_proj")


def _llama_attention(adapter: Adapter, layer: int) -> Iterator[Projection]:
    heads = HeadLayout((adapter.head_count, adapter.head_size))
    shared = HeadLayout((adapter.key_value_head_count, adapter.head_size))
    yield _projection(adapter, layer, "W_Q", "self_attn.q_proj", heads)
    yield _projection(adapter, layer, "W_K", "self_attn.k_proj", shared)
    yield _projection(adapter, layer, "W_V", "self_attn.v_proj", shared)
    yield _projection(adapter, layer, "W_O", "self_attn.o_proj", heads)


def _llama(adapter: Adapter, layer: int) -> Iterator[Projection]:
    yield from _llama_attention(adapter, layer)
    yield _projection(adapter, layer, "W_in", "mlp.gate_proj")
    yield _projection(adapter, layer, "W_in", "mlp.up_proj")
    yield _projection(adapter, layer, "W_out", "mlp.down_proj")


def _ungated(adapter: Adapter, layer: int) -> Iterator[Projection]:
    yield from _llama_attention(adapter, layer)
    yield _projection(adapter, layer, "W_in", "mlp.up_proj")
    yield _projection(adapter, layer, "W_out", "mlp.down_proj")


def _starcoder2(adapter: Adapter, layer: int) -> Iterator[Projection]:
    yield from _llama_attention(adapter, layer)
    yield _projection(adapter, layer, "W_in", "mlp.c_fc")
    yield _projection(adapter, layer, "W_out", "mlp.c_proj")


def _glm(adapter: Adapter, layer: int) -> Iterator[Projection]:
    """Gate and up are one map, which is W_in as a whole."""
    yield from _llama_attention(adapter, layer)
    yield _projection(adapter, layer, "W_in", "mlp.gate_up_proj")
    yield _projection(adapter, layer, "W_out", "mlp.down_proj")


def _phi3(adapter: Adapter, layer: int) -> Iterator[Projection]:
    heads, shared, size = adapter.head_count, adapter.key_value_head_count, adapter.head_size
    for component, count, first in zip(_FUSED, (heads, shared, shared), (0, heads, heads + shared), strict=True):
        yield _projection(
            adapter, layer, component, "self_attn.qkv_proj", HeadLayout((count, size), first=first * size)
        )
    yield _projection(adapter, layer, "W_O", "self_attn.o_proj", HeadLayout((heads, size)))
    yield _projection(adapter, layer, "W_in", "mlp.gate_up_proj")
    yield _projection(adapter, layer, "W_out", "mlp.down_proj")


def _gpt_neo_window(adapter: Adapter, layer: int) -> int | None:
    return int(adapter.config.window_size) if adapter.config.attention_layers[layer] == "local" else None


def _sliding_window(adapter: Adapter, layer: int) -> int | None:
    kinds = getattr(adapter.config, "layer_types", None)
    window = getattr(adapter.config, "sliding_window", None)
    is_local = kinds[layer] == "sliding_attention" if kinds else window is not None
    return int(window) if is_local and window else None


def _no_window(adapter: Adapter, layer: int) -> int | None:
    return None


def _sequential(adapter: Adapter) -> bool:
    return False


GPT_NEO = Family(
    "transformer.h", "transformer.ln_f", "attn", "mlp", "ln_1", _gpt_neo, _gpt_neo_window, _sequential, False
)
GPT_NEOX = Family(
    "gpt_neox.layers",
    "gpt_neox.final_layer_norm",
    "attention",
    "mlp",
    "input_layernorm",
    _gpt_neox,
    _no_window,
    lambda adapter: bool(adapter.config.use_parallel_residual),
    False,
)
GPT2 = Family("transformer.h", "transformer.ln_f", "attn", "mlp", "ln_1", _gpt2, _no_window, _sequential, False)
LLAMA = Family(
    "model.layers", "model.norm", "self_attn", "mlp", "input_layernorm", _llama, _sliding_window, _sequential
)

OLMO2 = replace(LLAMA, attention_norm=None)
UNGATED = replace(LLAMA, projections=_ungated)
STABLELM = replace(LLAMA, is_parallel=lambda adapter: bool(adapter.config.use_parallel_residual))

_LIKE_LLAMA = (
    "llama", "mistral", "ministral", "qwen2", "qwen3", "olmo", "smollm3", "gemma", "gemma3_text", "granite",
    "hunyuan_v1_dense", "helium", "seed_oss",
)  # fmt: skip
FAMILIES: dict[str, Family] = {
    "gpt_neo": GPT_NEO,
    "gpt_neox": GPT_NEOX,
    "gpt2": GPT2,
    **dict.fromkeys(_LIKE_LLAMA, LLAMA),
    **dict.fromkeys(("olmo2", "olmo3", "exaone4"), OLMO2),
    **dict.fromkeys(("arcee", "nemotron"), UNGATED),
    "apertus": replace(UNGATED, attention_norm="attention_layernorm"),
    "starcoder2": replace(LLAMA, projections=_starcoder2),
    "stablelm": STABLELM,
    "glm": replace(LLAMA, projections=_glm),
    "phi3": replace(LLAMA, projections=_phi3),
}


def unmeasured(model_type: str) -> str | None:
    """None for a family with an adapter, else one sentence: what a checkpoint of it does not get, and why."""
    if model_type in FAMILIES:
        return None
    return (
        f"there is no adapter for the family {model_type}: recitation, likelihood, generation and perturbation are "
        "measured; attention, gradients, patching, interventions and edits are left out."
    )


def adapter_for(model: nn.Module) -> Adapter:
    """The adapter of a causal language model of transformers, chosen by its `model_type`.

    Raises:
        ProbeError: the architecture is not one of FAMILIES, or the model has no language-model head.
    """
    model_type = getattr(getattr(model, "config", None), "model_type", None)
    if model_type not in FAMILIES:
        name = model_type or type(model).__name__
        raise ProbeError(f"architecture {name!r} cannot be taken apart; supported are {', '.join(FAMILIES)}.")
    if cast("PreTrainedModel", model).get_output_embeddings() is None:
        raise ProbeError(f"{type(model).__name__} has no language-model head; load it with AutoModelForCausalLM.")
    return Adapter(cast("PreTrainedModel", model), FAMILIES[model_type])
