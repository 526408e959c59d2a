"""Activation gradients: how strongly the loss depends on the q, k and v of each head at each prefix token.

P1 (Stoehr et al. 2024, arXiv 2403.19851, §6.1 and A.2) takes max |∂L/∂h| over the head dimension, L the NLL of the
impact token; the mean over the continuation is offered beside it. q and k are what the projections write, before a
rotary embedding turns them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from probes.architectures import Adapter, Projection, adapter_for
from probes.errors import ProbeError
from probes.forward.beginning import lead
from probes.forward.capture import capture, continuation_weights, impact_weights, rows_per_pass
from probes.forward.inputs import readable_paragraphs

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray
    from torch import Tensor, nn

# component → the projection that writes it; attention_out and mlp_out are added to the residual stream as they are.
_WRITTEN_BY = {"q": "W_Q", "k": "W_K", "v": "W_V", "attention_out": "W_O", "mlp_out": "W_out"}


def activation_gradients(
    model: nn.Module,
    token_ids: Any,
    prefix_length: int = 50,
    batch_size: int = 32,
    loss: Literal["continuation"] | Sequence[int] = "continuation",
    components: Sequence[str] = ("q", "k", "v"),
) -> pl.DataFrame:
    """Largest absolute gradient over the head dimension, for q, k and v of every head at every prefix token.

    Losses of a batch are summed, so one backward serves all its paragraphs and each gradient is its paragraph's own.

    Args:
        model: causal language model of a supported architecture; its .grad, requires_grad and modes stay as they are.
        token_ids: [paragraph, position].
        prefix_length: tokens that are given.
        batch_size: paragraphs per backward at most; on the CPU as few as keep tensors small.
        loss: "continuation", the mean NLL of the tokens after the prefix, or for each paragraph the position of the
            one token whose NLL is the loss (the impact token).
        components: any of q, k, v, attention_out, mlp_out; the last two have no heads, their head is null.

    Returns:
        row, layer, component, head, position (0 to prefix_length - 1), score (nats per unit activation).
        Under grouped-query attention k and v carry key/value heads: query head h reads key/value head
        h // (head_count / key_value_head_count).

    Raises:
        ProbeError: unsupported architecture, paragraphs that cannot be split, loss positions outside the continuation,
            an unknown component.
    """
    import polars as pl

    adapter, ids = adapter_for(model), readable_paragraphs(model, token_ids, prefix_length)
    weights = (
        continuation_weights(ids, prefix_length) if loss == "continuation" else impact_weights(ids, prefix_length, loss)
    )
    pieces = [_projections(adapter, layer, components) for layer in range(adapter.layer_count)]
    frames = [pl.DataFrame(schema=_schema())]
    step = rows_per_pass(adapter, ids, batch_size)
    for start in range(0, len(ids), step):
        batch = slice(start, start + step)
        captures = capture(
            adapter, ids[batch], prefix_length, weights[batch], [p.module for layer in pieces for _, p in layer]
        )
        at = {module: kept.gradient[:, lead(model) :] for module, kept in captures.items()}
        scores = [[_scores(c, p, at[p.module], prefix_length) for c, p in layer] for layer in pieces]
        frames.append(_frame(start, pieces, scores))
    return pl.concat(frames)


def _projections(adapter: Adapter, layer: int, components: Sequence[str]) -> list[tuple[str, Projection]]:
    """The projection that writes each component, by name."""
    if unknown := [c for c in components if c not in _WRITTEN_BY]:
        raise ProbeError(f"component {unknown[0]!r} has no activation gradient; choose from {', '.join(_WRITTEN_BY)}.")
    return [(name, adapter.component(layer, _WRITTEN_BY[name])[0]) for name in components]


def _scores(name: str, projection: Projection, gradient: Tensor, prefix_length: int) -> NDArray[Any]:
    """[paragraph, position, feature] → max |gradient|, [paragraph, head, prefix position]; one head for *_out."""
    prefix = gradient[:, :prefix_length].float()
    heads = prefix[:, :, None] if name.endswith("_out") else projection.split(prefix)
    return heads.abs().amax(-1).movedim(1, 2).cpu().numpy()


def _frame(start: int, pieces: list[list[tuple[str, Projection]]], scores: list[list[NDArray[Any]]]) -> pl.DataFrame:
    """Long frame of one batch, ordered by row, layer, component, head, position."""
    import numpy as np
    import polars as pl

    joined = np.concatenate([score for layer in scores for score in layer], axis=1)  # [paragraph, piece, position]
    row_count, piece_count, positions = joined.shape
    labels = [
        (layer, name, head)
        for layer, parts in enumerate(pieces)
        for name, p in parts
        for head in ((None,) if name.endswith("_out") else range(p.layout.head_count))
    ]
    piece = np.tile(np.repeat(np.arange(piece_count), positions), row_count)
    columns = zip(("layer", "component", "head"), zip(*labels, strict=True), strict=True)
    named = {name: pl.Series(values, dtype=_schema()[name]).gather(piece) for name, values in columns}
    return pl.DataFrame(
        {
            "row": np.repeat(np.arange(start, start + row_count, dtype=np.uint32), piece_count * positions),
            **named,
            "position": np.tile(np.arange(positions, dtype=np.int32), row_count * piece_count),
            "score": joined.ravel(),
        }
    )


def _schema() -> dict[str, Any]:
    """Columns and types of the result."""
    import polars as pl

    counts = {"layer": pl.Int32, "component": pl.String, "head": pl.Int32, "position": pl.Int32}
    return {"row": pl.UInt32} | counts | {"score": pl.Float32}
