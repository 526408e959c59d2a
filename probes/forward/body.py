"""The body of a model, everything below its output head, and whether its keys and values can be kept and branched off.

Most families keep one key and one value per position and layer, so that what was read once serves every continuation.
State-space and hybrid models fold what they read into a state, and some families keep more than keys and values; their
text is read again from its beginning. Which it is, is tried and not looked up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

_NOTE = "rarecall_keeps_keys"
_TOLERANCE = 1e-3


def body(model: PreTrainedModel) -> nn.Module:
    """The module whose first output the output head reads; transformers finds none for a few families."""
    parts: tuple[Any, ...] = (model.base_model, getattr(model, "model", None))
    return next(part for part in parts if part is not model)


def keeps_keys(model: PreTrainedModel, token_ids: Tensor) -> bool:
    """Whether reading on from kept keys and values gives what reading everything gives; tried once for each model.

    Args:
        model: the model to be measured.
        token_ids: [paragraph, position] as the model reads them, at least two positions; two rows are tried.
    """
    known = model.__dict__.get(_NOTE)
    if known is None:
        known = model.__dict__[_NOTE] = _try(model, token_ids[:2])
    return bool(known)


def _try(model: PreTrainedModel, token_ids: Tensor) -> bool:
    import torch
    from transformers import DynamicCache

    ids, half = token_ids.to(model.device), max(1, token_ids.shape[1] // 2)
    if ids.shape[1] < 2 or not len(ids):
        return True
    cache = DynamicCache()
    try:
        with torch.no_grad():
            whole: Tensor = body(model)(input_ids=ids, use_cache=False)[0][:, half:]
            first: Any = body(model)(input_ids=ids[:, :half], past_key_values=cache, use_cache=True)
            if first.past_key_values is not cache or not _holds(model, cache, half):
                return False
            cache.batch_select_indices(torch.arange(len(ids), device=ids.device))
            rest: Tensor = body(model)(input_ids=ids[:, half:], past_key_values=cache, use_cache=True)[0]
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError):
        return False  # the family wants a cache of its own, or none
    scale = max(1.0, float(whole.abs().max()), 4e3 * torch.finfo(model.dtype).eps * float(whole.abs().max()))
    return torch.allclose(whole.float(), rest.float(), rtol=0, atol=_TOLERANCE * scale)


def _holds(model: PreTrainedModel, cache: Any, length: int) -> bool:
    """One plain layer of keys and values of `length` positions for every block."""
    from transformers.cache_utils import DynamicLayer

    layers: list[Any] = cache.layers
    plain = [layer for layer in layers if type(layer) is DynamicLayer]
    blocks = getattr(model.config, "num_hidden_layers", None)
    return len(plain) == len(layers) == blocks and all(_length(layer) == length for layer in layers)


def _length(layer: Any) -> int | None:
    """Positions that a layer of a cache holds; None where it holds none or is laid out in another way."""
    return int(layer.keys.shape[2]) if layer.keys is not None and layer.keys.ndim == 4 else None
