"""Matrix products in bfloat16 for training: twice the rate where the processor has the instruction for it.

Weights, optimizer, normalization, attention and the sum of gradients stay in float32, as in mixed-precision training
(arXiv 1905.12322); only what goes into a product, and what comes out of it, is rounded to eight bits of mantissa.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from probes.forward.fused import replace_method

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def is_native() -> bool:
    """Whether this processor multiplies bfloat16 itself; elsewhere such products would be slower than float32."""
    import torch

    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


@contextmanager
def bfloat16_products(model: PreTrainedModel) -> Iterator[None]:
    """Within the block every linear layer below the output head multiplies in bfloat16, forwards and backwards."""
    import torch

    with ExitStack() as stack:
        for module in model.base_model.modules():
            if type(module) is torch.nn.Linear:
                replace_method(module, "forward", _forward_of(module), stack)
        yield


def _forward_of(module: Any) -> Any:
    def _forward(values: Tensor) -> Tensor:
        return _product().apply(values, module.weight, module.bias)

    return _forward


@cache
def _product() -> Any:
    """The differentiable product; torch is imported late."""
    import torch

    class Product(torch.autograd.Function):
        """`values` [..., in] by `weight` [out, in], plus bias: float32 in and out, bfloat16 within."""

        @staticmethod
        def forward(ctx: Any, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            short, matrix = values.flatten(0, -2).bfloat16(), weight.bfloat16()
            ctx.save_for_backward(short, matrix)
            ctx.has_bias = bias is not None
            found = torch.nn.functional.linear(short, matrix).to(values.dtype)
            return (found if bias is None else found.add_(bias)).view(*values.shape[:-1], -1)

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
            (gradient,), (short, matrix) = gradients, ctx.saved_tensors
            rows = gradient.flatten(0, -2)
            by_output, dtype = rows.bfloat16(), gradient.dtype
            by_values = (by_output @ matrix).to(dtype).view(*gradient.shape[:-1], -1)
            return by_values, (by_output.T @ short).to(dtype), rows.sum(0) if ctx.has_bias else None

    return Product
