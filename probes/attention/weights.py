"""Attention of every head when it reads the first continuation token (P1: Stoehr et al. 2024, section 6.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from probes.architectures import adapter_for
from probes.errors import ProbeError
from probes.forward.beginning import lead, with_beginning
from probes.forward.inputs import as_paragraphs, refuse_unreadable

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel


def prefix_attention(
    model: PreTrainedModel,
    token_ids: Any,
    prefix_length: int = 50,
    batch_size: int = 32,
    *,
    queries: Sequence[int] | None = None,
) -> pl.DataFrame:
    """Attention over the prefix of every layer and head, one layer's weights in memory at a time.

    Only tokens up to the last query are run: what follows cannot change its attention.

    Args:
        model: causal language model of transformers; switched to eager attention for the measurement if need be.
        token_ids: [paragraph, position], at least one token longer than the prefix.
        prefix_length: tokens of the prefix.
        batch_size: paragraphs per forward pass.
        queries: query positions from `prefix_length` on; only the first continuation token if not given.

    Returns:
        One row per paragraph, layer and head, in that order: row, layer, head, attention (weights on keys
        0..prefix_length-1, neither self nor renormalised), self_share. With `queries`, one row per query as well,
        named by a column query_position.

    Raises:
        ProbeError: paragraphs are too short, a query lies in the prefix, the model shows no attention weights, or
            they are not finite.
    """
    ids = as_paragraphs(token_ids, longer_than=0)
    wanted = [prefix_length] if queries is None else list(queries)
    if not wanted or min(wanted) < prefix_length or max(wanted) >= ids.shape[1]:
        raise ProbeError(
            f"queries {wanted} do not lie after the prefix of {prefix_length} within the {ids.shape[1]} tokens of a "
            "paragraph; give longer paragraphs or other queries."
        )
    refuse_unreadable(model, ids, max(wanted) + 1)
    attention, self_share = _collect(model, ids, prefix_length, batch_size, wanted)
    broken = np.argwhere(~np.isfinite(attention).all(axis=(-2, -1)))
    if len(broken):
        row, layer, head = broken[0]
        raise ProbeError(
            f"head {layer}.{head} has attention weights in paragraph {row} that are not finite; look for NaN in the "
            "weights, or measure in float32."
        )
    frame = _frame(attention, self_share, wanted)
    return frame.drop("query_position") if queries is None else frame


def attention_array(frame: pl.DataFrame) -> np.ndarray:
    """The `attention` column as [paragraph, layer, head, position], float32.

    Args:
        frame: rows of `prefix_attention` (one query), or of the table head_attention, sorted by paragraph, layer,
            head and complete.

    Raises:
        ProbeError: a head of a paragraph is missing.
    """
    layers, heads = frame["layer"].n_unique(), frame["head"].n_unique()
    if frame.is_empty() or frame.height % (layers * heads):
        raise ProbeError(f"{frame.height} rows are no full set of {layers} layers and {heads} heads; measure again.")
    flat = frame["attention"].explode().to_numpy()
    return flat.astype(np.float32, copy=False).reshape(frame.height // (layers * heads), layers, heads, -1)


def _collect(
    model: PreTrainedModel, ids: Tensor, prefix_length: int, batch_size: int, queries: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Attention over the prefix [paragraph, layer, head, query, key] and on itself [paragraph, layer, head, query]."""
    import torch

    adapter, before = adapter_for(model), lead(model)
    modules = [adapter.attention(layer) for layer in range(adapter.layer_count)]
    shape = (len(ids), len(modules), adapter.head_count, len(queries))
    attention, self_share = np.empty((*shape, prefix_length), np.float32), np.empty(shape, np.float32)
    with torch.inference_mode(), _eager(model):
        for start in range(0, len(ids), batch_size):
            rows = slice(start, start + batch_size)

            def _keep(layer: int, weights: Tensor, rows: slice = rows) -> None:
                asked = weights[:, :, before:, before:][:, :, queries]
                attention[rows, layer] = asked[..., :prefix_length].float().cpu().numpy()
                self_share[rows, layer] = asked[..., range(len(queries)), queries].float().cpu().numpy()

            with watched(modules, _keep):
                read = with_beginning(model, ids[rows, : max(queries) + 1].to(model.device))
                model.base_model(input_ids=read, use_cache=False)
    return attention, self_share


@contextmanager
def watched(modules: list[nn.Module], keep: Any) -> Iterator[None]:
    """Call keep(layer, weights) after each attention module; the weights die with the layer."""

    def _hook(layer: int) -> Any:
        def _read(module: nn.Module, inputs: Any, output: Any) -> None:
            if len(output) < 2 or output[1] is None:
                raise ProbeError(f"layer {layer} shows no attention weights; load the model with eager attention.")
            keep(layer, output[1])

        return _read

    handles = [module.register_forward_hook(_hook(layer)) for layer, module in enumerate(modules)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _eager(model: PreTrainedModel) -> Iterator[None]:
    """Eager attention for as long as weights are read; other implementations do not give them out."""
    before = model.config._attn_implementation
    if before != "eager":
        model.set_attn_implementation("eager")
    try:
        yield
    finally:
        if before != "eager":
            model.set_attn_implementation(before)


def _frame(attention: np.ndarray, self_share: np.ndarray, queries: list[int]) -> pl.DataFrame:
    row, layer, head, query = (axis.ravel() for axis in np.indices(self_share.shape))
    weights = pl.Series("attention", attention.reshape(-1, attention.shape[-1]))
    return pl.DataFrame(
        {
            "row": row.astype(np.uint32),
            "layer": layer.astype(np.int32),
            "head": head.astype(np.int32),
            "query_position": np.array(queries, dtype=np.int32)[query],
            "attention": weights.cast(pl.List(pl.Float32)),
            "self_share": self_share.ravel(),
        }
    )
