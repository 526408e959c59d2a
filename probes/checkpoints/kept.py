"""Loaded models, kept for the next measurement of the same checkpoint and given out only as they were read.

Every stage of the flow asks for the same weights; reading them takes a second at 125 million parameters and minutes at
a billion. A kept model that somebody left changed (other weights, hooks, training mode) is dropped instead
of given out, so that no experiment reaches the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probes.forward.fused import is_hooked

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

MOST_KEPT = 2
"""One in the precision that is asked for, one in float32 for the rows which that leaves in doubt."""


@dataclass(frozen=True)
class _Kept:
    model: PreTrainedModel
    state: tuple[Any, ...]


_kept: dict[Hashable, _Kept] = {}


def kept_model(
    content: Hashable, options: dict[str, Any], load: Callable[..., PreTrainedModel], is_lent: bool = True
) -> PreTrainedModel:
    """`load(**options)`, or what it gave before for the same content and options.

    Models of another content are let go first, so that two checkpoints are never in memory together.

    Args:
        content: says which weights; whoever gives the same content twice gets the same weights twice.
        options: arguments of `load` with hashable values.
        load: reads the checkpoint.
        is_lent: the borrower leaves the model as it is. Who is going to change it says False: it is theirs, and the
            next one to ask has it read anew.
    """
    key = (content, *sorted(options.items()))
    for other in [other for other in _kept if other[0] != content]:  # type: ignore[index]
        del _kept[other]
    found = _kept.pop(key, None)
    if found is not None and found.state != _state(found.model):
        found = None
    if found is None:
        model = load(**options)
        found = _Kept(model, _state(model) if is_lent else ())
    if is_lent:
        while len(_kept) >= MOST_KEPT:
            del _kept[next(iter(_kept))]
        _kept[key] = found
    return found.model


def release_models() -> None:
    """Let go of every kept model; who still holds one keeps it."""
    _kept.clear()


def _state(model: PreTrainedModel) -> tuple[Any, ...]:
    """What a measurement could leave changed: values, modes, hooks, the implementation of attention, the configuration.

    Values enter as the sum of their bits, word by word: 0.05 s for 125 million parameters.
    """
    modes = (any(module.training for module in model.modules()), is_hooked(model))
    grads = any(weight.requires_grad or weight.grad is not None for weight in model.parameters())
    values = [_word_sum(tensor) for tensor in (*model.parameters(), *model.buffers())]
    return (*modes, grads, model.config._attn_implementation, model.config.to_json_string(), tuple(values))


def _word_sum(tensor: Tensor) -> int:
    """Sum of a tensor's bits, taken as 64-bit words where they come out even; changes with any one value."""
    import torch

    flat = tensor.detach().contiguous().view(-1)
    is_even = (flat.numel() * flat.element_size()) % 8 == 0
    return int(flat.view(torch.int64 if is_even else torch.uint8).sum())
