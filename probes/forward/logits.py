"""Logits as a family makes them of the output head: scaled, capped, all at once or stretch by stretch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probes.forward.products import linear

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

# Logits of a tile of 1,024 tokens: 2 MB in float32 on a processor (its cache), 32 MB on an accelerator.
VOCABULARY_TILES = {"cpu": 512}
VOCABULARY_TILE_ELSEWHERE = 8192


def logits_of(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """All logits at once, differentiable, as the model itself gives them: [..., hidden] to [..., token], float32."""
    return HeadRule.of(model).applied(model.get_output_embeddings()(hidden)).float()


def logit_tiles(model: PreTrainedModel, hidden: Tensor) -> Iterator[tuple[int, Tensor]]:
    """First token id and logits [token, id] of each stretch of the vocabulary.

    Logits are computed in the model's dtype and read in float32, as transformers' decoding loop does; families that
    scale or cap them do so tile by tile (`HeadRule`).
    """
    head, rule = model.get_output_embeddings(), HeadRule.of(model)
    weight, bias = head.weight, getattr(head, "bias", None)
    size = VOCABULARY_TILES.get(hidden.device.type, VOCABULARY_TILE_ELSEWHERE)
    for first_id in range(0, len(weight), size):
        stretch = slice(first_id, first_id + size)
        logits = linear(hidden, weight[stretch], None if bias is None else bias[stretch])
        yield first_id, rule.applied(logits).float()


_DIVIDE = ("logits_scaling", "logits_mup_width_multiplier")
_MULTIPLY = ("logit_scale", "lm_head_multiplier")
_MULTIPLY_INSTEAD = frozenset({"hyperclovax"})
"""Families that multiply by what Granite of the same name divides by."""
_CAP = ("final_logit_softcapping", "logits_soft_cap")
"""Names that configurations have for it: Granite, MiniCPM3, Inkling; Cohere, Falcon-H1; Gemma, RecurrentGemma."""


@dataclass(frozen=True)
class HeadRule:
    """What a family does to its logits after the output head: multiply them, then cap them with a tanh."""

    factor: float = 1.0
    cap: float | None = None

    @classmethod
    def of(cls, model: PreTrainedModel) -> HeadRule:
        """From the configuration: Granite divides, Cohere multiplies, Gemma caps."""
        factor = math.prod(float(getattr(model.config, name, None) or 1.0) for name in _MULTIPLY)
        divisor = math.prod(float(getattr(model.config, name, None) or 1.0) for name in _DIVIDE)
        factor *= divisor if model.config.model_type in _MULTIPLY_INSTEAD else 1 / divisor
        caps = [float(cap) for name in _CAP if (cap := getattr(model.config, name, None)) is not None]
        return cls(factor, caps[0] if caps else None)

    def applied(self, logits: Tensor) -> Tensor:
        """Logits as the model gives them, in the dtype they come in."""
        scaled = logits if self.factor == 1.0 else logits * self.factor
        return scaled if self.cap is None else (scaled / self.cap).tanh() * self.cap

    def slope(self, logits: Tensor) -> Tensor | None:
        """Derivative of the model's logits by the head's output, same shape; None where the two are one."""
        import torch

        if self.cap is None:
            return None if self.factor == 1.0 else torch.full_like(logits, self.factor)
        return (1 - (logits / self.cap).square()) * self.factor

    def target_rows(self, head: Any, hidden: Tensor, target_ids: Tensor) -> Tensor:
        """Rows of the output head at the targets, each times the slope of its logit, [token, hidden]."""
        rows = head.weight[target_ids]
        plain = (hidden * rows).sum(dim=-1, keepdim=True)
        bias = getattr(head, "bias", None)
        logits = plain if bias is None else plain + bias[target_ids][:, None]
        slope = self.slope(self.applied(logits).float())
        return rows if slope is None else rows * slope.to(rows.dtype)
