"""Parameter gradients per layer, component and head, in the checkpoint's own parametrisation.

P1 (Stoehr et al. 2024, arXiv 2403.19851, §5.1-5.2) maps where a paragraph is written by max |∂L/∂θ| over the entries
of W_Q, W_K, W_V, W_O of each head and W_in, W_out of each layer, L the continuation NLL. P1 differentiates weights
with the LayerNorm folded in; here θ are the parameters that lie in the checkpoint, so the numbers of the two differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from probes.architectures import Adapter, Projection, adapter_for
from probes.errors import ProbeError
from probes.forward.capture import Capture, batches, capture, continuation_weights, rows_per_pass
from probes.forward.inputs import readable_paragraphs

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray
    from torch import Tensor, nn

Label = tuple[int, str, int | None]


def parameter_gradients(
    model: nn.Module, token_ids: Any, prefix_length: int = 50, batch_size: int = 32
) -> pl.DataFrame:
    """Gradient of each paragraph's own mean continuation NLL (teacher-forced), summarised per component and head.

    Averaging a column over paragraphs gives mean |gradient|; `group_gradient` gives |mean gradient|.

    Args:
        model: causal language model of a supported architecture; its .grad, requires_grad and modes stay as they are.
        token_ids: [paragraph, position].
        prefix_length: tokens that are given; the loss is the mean over the others.
        batch_size: paragraphs per backward at most; on the CPU as few as keep tensors small.

    Returns:
        row, layer, component, head, max_abs, mean_abs, l2 (nats per unit weight), ordered by row. W_in of Llama-like
        models is gate and up together; heads of W_K and W_V are key/value heads; head is null for W_in and W_out.

    Raises:
        ProbeError: unsupported architecture or paragraphs that cannot be split.
    """
    import numpy as np

    adapter, ids = adapter_for(model), readable_paragraphs(model, token_ids, prefix_length)
    labels = piece_labels(adapter)
    blocks = [np.zeros((3, 0, len(labels)))]
    for batch in batches(ids, rows_per_pass(adapter, ids, batch_size)):
        captures = _captures(adapter, batch, prefix_length, continuation_weights(batch, prefix_length))
        rows = [_paragraph_summary(adapter, captures, row) for row in range(len(batch))]
        blocks.append(np.stack(rows, axis=1))
    return _frame(np.concatenate(blocks, axis=1), labels)


def group_gradient(model: nn.Module, token_ids: Any, prefix_length: int = 50, batch_size: int = 32) -> pl.DataFrame:
    """Gradient of the mean loss over all given paragraphs: |mean gradient|, the quantity of P1 §5.1.

    Args and errors as in `parameter_gradients`. Memory: one extra copy of the blocks' weights.

    Returns:
        layer, component, head, max_abs, mean_abs, l2 (nats per unit weight).
    """
    adapter, ids = adapter_for(model), readable_paragraphs(model, token_ids, prefix_length)
    total = _mean_gradient(adapter, ids, prefix_length, batch_size)
    return _frame(_summary(adapter, total.__getitem__)[:, None], piece_labels(adapter)).drop("row")


def _mean_gradient(adapter: Adapter, ids: Tensor, prefix_length: int, batch_size: int) -> dict[nn.Module, Tensor]:
    """Gradient of the mean loss over all paragraphs, [output, input] of each projection's module."""
    if not len(ids):
        raise ProbeError("no paragraphs were given, so their mean loss has no gradient; pass at least one.")
    total: dict[nn.Module, Tensor] = {}
    for batch in batches(ids, rows_per_pass(adapter, ids, batch_size)):
        weights = continuation_weights(batch, prefix_length) / len(ids)
        for module, captured in _captures(adapter, batch, prefix_length, weights).items():
            gradient = weight_gradient(captured, slice(None))
            total[module] = total[module].add_(gradient) if module in total else gradient
    return total


def _captures(
    adapter: Adapter, token_ids: Tensor, prefix_length: int, loss_weights: Tensor
) -> dict[nn.Module, Capture]:
    """What every projection read and the gradient of what it wrote, at the positions that the loss depends on."""
    return capture(adapter, token_ids, prefix_length, loss_weights, all_maps(adapter), is_whole=False)


def weight_gradient(captured: Capture, rows: Sequence[int] | slice) -> Tensor:
    """Σ over the given paragraphs and all positions of g ⊗ x, [output, input], float32."""
    gradient, read = captured.gradient[rows].float(), captured.read[rows].float()
    return gradient.flatten(0, 1).T @ read.flatten(0, 1)


def piece_labels(adapter: Adapter) -> list[Label]:
    """(layer, component, head) of every piece: all heads of W_Q, W_K, W_V, W_O, then W_in and W_out of each layer."""
    return [
        (layer, component, head)
        for layer in range(adapter.layer_count)
        for component, parts in components(adapter, layer)
        for head in (range(parts[0].layout.head_count) if parts[0].is_per_head else (None,))
    ]


def components(adapter: Adapter, layer: int) -> Iterator[tuple[str, list[Projection]]]:
    """The components of a layer with their projections; W_in of Llama-like models has two."""
    parts: dict[str, list[Projection]] = {}
    for projection in adapter.projections(layer):
        parts.setdefault(projection.component, []).append(projection)
    yield from parts.items()


def all_maps(adapter: Adapter) -> list[nn.Module]:
    """The module of every projection of every layer; a fused one once for each component."""
    return [p.module for layer in range(adapter.layer_count) for p in adapter.projections(layer)]


def _paragraph_summary(adapter: Adapter, captures: dict[nn.Module, Capture], row: int) -> NDArray[Any]:
    return _summary(adapter, lambda module: weight_gradient(captures[module], [row]))


def _summary(adapter: Adapter, gradient_of: Callable[[nn.Module], Tensor]) -> NDArray[Any]:
    """max_abs, mean_abs and l2 of every piece, [statistic, piece]; gradient_of gives [output, input] of a module."""
    import numpy as np

    columns = []
    for layer in range(adapter.layer_count):
        gradients: dict[nn.Module, Tensor] = {}  # a fused map serves three components
        for _, parts in components(adapter, layer):
            for part in parts:
                if part.module not in gradients:
                    gradients[part.module] = gradient_of(part.module)
            columns.append(_piece_statistics([(part, gradients[part.module]) for part in parts]))
    return np.concatenate(columns, axis=1)


def _piece_statistics(parts: list[tuple[Projection, Tensor]]) -> NDArray[Any]:
    """Statistics of one component over the entries of all its parts, [statistic, head]."""
    import torch

    entries = entries_of(parts)
    size = entries.abs()
    return torch.stack([size.amax(1), size.mean(1), torch.linalg.vector_norm(entries, dim=1)]).double().cpu().numpy()


def entries_of(parts: list[tuple[Projection, Tensor]]) -> Tensor:
    """All gradient entries of one component, [head, entry]."""
    import torch

    return torch.cat([part.split_gradient(gradient).flatten(1) for part, gradient in parts], dim=1)


def _frame(statistics: NDArray[Any], labels: list[Label]) -> pl.DataFrame:
    """Long frame of [statistic, row, piece]."""
    import numpy as np
    import polars as pl

    row_count = statistics.shape[1]
    layers, names, heads = zip(*labels, strict=True)
    return pl.DataFrame(
        {
            "row": np.repeat(np.arange(row_count, dtype=np.uint32), len(labels)),
            "layer": np.tile(np.array(layers, dtype=np.int32), row_count),
            "component": pl.Series(names * row_count, dtype=pl.String),
            "head": pl.Series(heads * row_count, dtype=pl.Int32),
            **{name: statistics[i].ravel() for i, name in enumerate(("max_abs", "mean_abs", "l2"))},
        }
    )


def gradient_norms(model: nn.Module, token_ids: Any, prefix_length: int = 50, batch_size: int = 32) -> pl.DataFrame:
    """Euclidean norm of each paragraph's gradient per component and head: `parameter_gradients`' l2 for less work.

    ‖Σ_t g_t ⊗ x_t‖² = Σ_{t,s} (g_t · g_s)(x_t · x_s), so two [position, position] tables of inner products replace
    every weight-sized gradient (the outer-product identity; Goodfellow 2015, arXiv 1510.01799, over positions).

    Args and errors as in `parameter_gradients`. Memory: that of `capture`, and for each paragraph
    position × (position + feature) floats; no gradient of a weight exists.

    Returns:
        row, layer, component, head, l2 (nats per unit weight), ordered by row.
    """
    import numpy as np

    adapter, ids = adapter_for(model), readable_paragraphs(model, token_ids, prefix_length)
    labels = piece_labels(adapter)
    blocks = [np.zeros((0, len(labels)))]
    for batch in batches(ids, rows_per_pass(adapter, ids, batch_size)):
        captures = _captures(adapter, batch, prefix_length, continuation_weights(batch, prefix_length))
        blocks.append(_norms(adapter, captures))
    norms = np.concatenate(blocks)
    return _frame(np.stack([norms] * 3), labels).drop("max_abs", "mean_abs")


def _norms(adapter: Adapter, captures: dict[nn.Module, Capture]) -> NDArray[Any]:
    """Norm of every piece's gradient, [paragraph, piece]."""
    import torch

    columns, tables = [], InnerProducts()
    for layer in range(adapter.layer_count):
        for _, parts in components(adapter, layer):
            squares = [_squared_norm(part, captures[part.module], tables) for part in parts]
            columns.append(torch.stack(squares).sum(0).clamp_min(0).sqrt())
    return torch.cat(columns, dim=1).cpu().numpy()


class InnerProducts:
    """Inner products between the positions of one tensor, kept while the next map asks about the same tensor.

    W_Q, W_K and W_V read the same norm's output, so two of three tables are free.
    """

    def __init__(self) -> None:
        self._of: Tensor | None = None
        self._table: Tensor | None = None

    def __call__(self, features: Tensor) -> Tensor:
        """[paragraph, position, feature] → [paragraph, position, position]."""
        if self._table is None or features is not self._of:
            self._of, whole = features, features.float()
            self._table = whole @ whole.transpose(1, 2)
        return self._table


def _squared_norm(part: Projection, captured: Capture, inner_products: InnerProducts) -> Tensor:
    """Squared gradient norm of each head of one projection, [paragraph, head], float64.

    With K the inner products on the whole side and h the head's side, Σ_{t,s} K[t, s] (h_t · h_s) = Σ_t h_t · (K h)_t:
    one product for all heads, and no [position, position] table for each of them. One head alone takes the table, which
    is smaller than K h.
    """
    import torch

    on_output = part.heads_on == "output"
    split, whole = (captured.gradient, captured.read) if on_output else (captured.read, captured.gradient)
    features, known = split.float(), inner_products(whole)
    if part.layout.head_count == 1:
        return torch.linalg.vecdot(known.flatten(1), (features @ features.transpose(1, 2)).flatten(1))[:, None].double()
    mixed = known @ features  # [paragraph, position, feature]
    return part.split(mixed.mul_(features)).sum((1, 3)).double()
