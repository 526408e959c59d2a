"""Fused kernels for the time of one scoring pass: the same function, fewer trips through memory.

transformers writes GPT-Neo's attention and the tanh form of GELU as chains of elementwise operations, each of which
walks through memory once; torch has one kernel for each chain. Products go to the library that multiplies fastest
(`probes.forward.products`). Results agree to rounding (a test holds that), and the model is left as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from probes.forward.products import linear, prefers_onednn

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel


@contextmanager
def fused(model: PreTrainedModel) -> Iterator[None]:
    """Within the block the model runs on fused kernels, unless someone has hooked into it. For inputs without padding.

    A model with a hook or a replaced method anywhere is somebody's experiment: it runs exactly as it is.
    """
    with ExitStack() as stack:
        if not is_hooked(model):
            _fuse_attention(model, stack)
            for module in model.modules():
                _fuse_module(module, stack)
        yield


def is_hooked(model: PreTrainedModel) -> bool:
    """Whether any module carries a forward hook or a method of its own."""
    hooks = ("_forward_hooks", "_forward_pre_hooks")
    methods = ("forward", "_attn")
    return any(
        any(getattr(module, kind) for kind in hooks) or any(name in vars(module) for name in methods)
        for module in model.modules()
    )


def _fuse_attention(model: PreTrainedModel, stack: ExitStack) -> None:
    """Switch eager attention to torch's kernel where the architecture offers the switch.

    That kernel knows no cap on attention logits (Gemma 2, VaultGemma), so models with one keep their own.
    """
    is_capped = getattr(model.config, "attn_logit_softcapping", None) is not None
    if model.config._attn_implementation == "eager" and model._supports_sdpa and not is_capped:
        model.set_attn_implementation("sdpa")
        stack.callback(model.set_attn_implementation, "eager")


def _fuse_module(module: nn.Module, stack: ExitStack) -> None:
    """Give one module a fused method for the time of the block."""
    import torch
    from transformers.activations import NewGELUActivation
    from transformers.models.gpt_neo.modeling_gpt_neo import GPTNeoSelfAttention

    if type(module) is torch.nn.Linear and prefers_onednn():
        replace_method(module, "forward", _linear(module), stack)
    elif type(module) is NewGELUActivation:
        replace_method(module, "forward", _tanh_gelu, stack)
    elif type(module) is GPTNeoSelfAttention:
        replace_method(module, "_attn", _gpt_neo_attention(module), stack)


def replace_method(module: nn.Module, name: str, method: Any, stack: ExitStack) -> None:
    """Give a module a method of its own until the stack closes; one it was given before comes back then."""
    before = vars(module).get(name)
    object.__setattr__(module, name, method)
    if before is None:
        stack.callback(object.__delattr__, module, name)
    else:
        stack.callback(object.__setattr__, module, name, before)


def _linear(module: Any) -> Any:
    def _forward(values: Tensor) -> Tensor:
        return linear(values, module.weight, module.bias)

    return _forward


def _tanh_gelu(values: Tensor) -> Tensor:
    """The tanh form of GELU that GPT-2 and GPT-Neo were trained with."""
    import torch

    return torch.nn.functional.gelu(values, approximate="tanh")


def _gpt_neo_attention(module: Any) -> Any:
    """GPT-Neo's attention (no scaling by the head size; local layers see a sliding window) as one kernel."""
    import torch

    kernel = torch.nn.functional.scaled_dot_product_attention

    def _attend(query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None = None) -> tuple[Tensor, None]:
        # The mask that transformers hands over says "causal" and, without padding, nothing else.
        read, known = query.shape[-2], key.shape[-2]
        sees_all = module.attention_type == "global" or known <= module.config.window_size
        if sees_all and read == known:
            return kernel(query, key, value, is_causal=True, scale=1.0), None  # faster than the mask that says the same
        mask = module.bias[:, :, known - read : known, :known]
        return kernel(query, key, value, attn_mask=mask, scale=1.0), None

    return _attend
