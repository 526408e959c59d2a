"""Views on a model's weights by component and head, for tests that change single heads."""

from __future__ import annotations

from torch import Tensor

from probes.architectures import Adapter


def component_slices(adapter: Adapter, layer: int) -> dict[tuple[str, int | None], list[Tensor]]:
    """Views by component and head (None for W_in and W_out); writing to a view writes to the model.

    Each view is [other side, size]; a list holds one view, for Llama's W_in two (gate, up). W_K and W_V carry key/value
    heads: under grouped-query attention their head index runs to key_value_head_count.
    """
    slices: dict[tuple[str, int | None], list[Tensor]] = {}
    for projection in adapter.projections(layer):
        for head, view in enumerate(projection.split_weight(projection.module.weight.detach())):
            slices.setdefault((projection.component, head if projection.is_per_head else None), []).append(view)
    return slices
