"""Products of activations and weights by the library that multiplies fastest on this processor, in full float32.

torch hands float32 products on a processor to MKL, which holds back on AMD; oneDNN, which torch carries too, is 1.09 to
1.18 times as fast there from about 32 x 768 x 768 multiplications on. Results agree to rounding, as they do between
numbers of threads.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

CPUINFO = Path("/proc/cpuinfo")
LEAST_MULTIPLICATIONS = 2**24
"""Below it the call itself costs more than the product gains."""


def linear(values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`values` [..., in] by `weight` [out, in] plus `bias` [out], as torch.nn.functional.linear gives it.

    Where somebody differentiates, on accelerators and in half precision it is that function.
    """
    import torch

    if not _is_for_onednn(values, weight):
        return torch.nn.functional.linear(values, weight, bias)
    return torch.ops.mkldnn._linear_pointwise(values, weight, bias, "none", [], "")


def _is_for_onednn(values: Tensor, weight: Tensor) -> bool:
    import torch

    return (
        values.numel() * len(weight) >= LEAST_MULTIPLICATIONS
        and values.dtype == weight.dtype == torch.float32
        and values.device.type == "cpu"
        and not torch.is_grad_enabled()
        and prefers_onednn()
    )


@cache
def prefers_onednn() -> bool:
    """Whether this is an AMD processor with AVX-512 under Linux, and torch has the operation."""
    import torch

    text = CPUINFO.read_text() if CPUINFO.exists() else ""
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    has_operation = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return "AuthenticAMD" in text and "avx512f" in flags and has_operation
