"""Noise on the weights of chosen heads and components: how much of it recital stands, and everything else.

The released code of P1 (arXiv 2403.19851) adds N(0, (f · std W)²) to the top weights of a component or head, f from 0
to 0.0075. The null beside it is noise of the same strength on as many weights drawn from the whole model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from probes.architectures import Adapter, HeadRef, adapter_for
from probes.editing.objective import Objective, target_gradient
from probes.editing.optimizer import no_gradients
from probes.editing.readout import Readout, read_out
from probes.editing.selections import (
    Chosen,
    Selection,
    editable_weights,
    head_entries,
    pieces,
    select,
    weight_count,
)
from probes.errors import ProbeError
from probes.statistics.bounded import bounded_test

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter
    from transformers import PreTrainedModel

PAPERS_STRENGTHS = (0.0, 0.0025, 0.005, 0.0075)

SCHEMA: dict[str, Any] = {
    "region": pl.String,
    "layer": pl.Int32,
    "component": pl.String,
    "head": pl.Int32,
    "strength": pl.Float64,
    "paragraph_group": pl.String,
    "exact_match_mean": pl.Float64,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "nll_nats_mean": pl.Float64,
    "weight_count": pl.Int64,
    "paragraph_count": pl.Int32,
}


@dataclass(frozen=True)
class Region:
    """Weights that are disturbed together."""

    name: str
    chosen: Chosen
    layer: int | None = None
    component: str | None = None
    head: int | None = None


def head_regions(adapter: Adapter) -> Iterator[Region]:
    """W_Q, W_K, W_V, W_O of every head."""
    for layer in range(adapter.layer_count):
        for head in range(adapter.head_count):
            yield Region("head", head_entries(adapter, HeadRef(layer, head)), layer, None, head)


def component_regions(adapter: Adapter) -> Iterator[Region]:
    """Every component of every layer, head by head where it has heads."""
    for piece in pieces(adapter):
        yield Region("component", {piece.parameter: piece.indices}, piece.layer, piece.component, piece.head)


def top_of(region: Region, gradients: dict[str, Tensor], share: float) -> Region:
    """The part of a region with the largest |gradient|; the region itself for a share of 1."""
    import torch

    if share >= 1:
        return region
    parts = {name: places for name, places in region.chosen.items() if places is not None}
    sizes = torch.cat([gradients[name].abs().flatten()[places] for name, places in parts.items()])
    least = sizes.topk(max(1, round(share * len(sizes)))).values[-1]
    kept = {name: places[gradients[name].abs().flatten()[places] >= least] for name, places in parts.items()}
    chosen: Chosen = {name: places for name, places in kept.items() if len(places)}
    return Region(region.name, chosen, region.layer, region.component, region.head)


@contextmanager
def noised(weights: dict[str, Parameter], chosen: Chosen, strength: float, seed: int) -> Iterator[None]:
    """Add N(0, (strength · std W)²) to the chosen entries, std over the chosen entries of each weight; undone after.

    Args:
        weights: by parameter name.
        chosen: entries.
        strength: f.
        seed: the noise is the same for every strength up to its size.

    Raises:
        ProbeError: a negative strength.
    """
    import torch

    if strength < 0:
        raise ProbeError(f"noise strength {strength} is negative; give 0 or more.")
    generator, kept = torch.Generator().manual_seed(seed), {}
    for name, places in chosen.items():
        flat = weights[name].data.view(-1)
        values = flat.clone() if places is None else flat[places]
        draw = torch.randn(len(values), generator=generator).to(values)
        spread = values.std() if len(values) > 1 else values.abs().mean()
        flat[slice(None) if places is None else places] = values + strength * spread * draw
        kept[name] = values
    try:
        yield
    finally:
        for name, values in kept.items():
            places = chosen[name]
            weights[name].data.view(-1)[slice(None) if places is None else places] = values


def noise_ladder(
    model: PreTrainedModel,
    groups: dict[str, tuple[Tensor, np.ndarray]],
    *,
    strengths: Sequence[float] = PAPERS_STRENGTHS,
    regions: str = "heads",
    share: float = 1.0,
    prefix_length: int = 50,
    seed: int = 1,
    on_region: Callable[[], None] = lambda: None,
) -> pl.DataFrame:
    """Exact match and NLL of each group while ever more noise lies on each region in turn.

    Args:
        model: causal language model; as before afterwards.
        groups: token ids [paragraph, position] and cluster labels [paragraph] by name; the first group's gradient
            picks the top weights.
        strengths: ladder of f; 0 is always read.
        regions: heads or components.
        share: part of each region that is disturbed, largest |gradient| first.
        prefix_length: tokens of the prefix.
        seed: seed of the noise and of the random choice.
        on_region: called after each region.

    Returns:
        Columns of SCHEMA; region is head, component, or random (as many weights from anywhere), intervals are t
        intervals over clusters.
    """
    adapter = adapter_for(model)
    weights = editable_weights(adapter)
    with no_gradients(model):
        found = [*_regions(model, adapter, weights, groups, regions, share, prefix_length, seed)]
        plain = _read(model, groups, prefix_length)
        rows: list[dict[str, Any]] = []
        for index, region in enumerate(found):
            rows += _rows(region, weights, 0.0, groups, plain, prefix_length)
            for strength in (s for s in strengths if s > 0):
                with noised(weights, region.chosen, strength, seed + index):
                    rows += _rows(region, weights, strength, groups, _read(model, groups, prefix_length), prefix_length)
            on_region()
    return pl.DataFrame(rows, schema=SCHEMA)


def _regions(
    model: PreTrainedModel, adapter: Adapter, weights: dict[str, Parameter],
    groups: dict[str, tuple[Tensor, np.ndarray]], kind: str, share: float, prefix_length: int, seed: int,
) -> Iterator[Region]:  # fmt: skip
    """All regions of a kind, cut to their top share, then as many weights of the whole model at random."""
    makers = {"heads": head_regions, "components": component_regions}
    if kind not in makers:
        raise ProbeError(f"noise regions {kind!r} are unknown; choose heads or components.")
    first = next(iter(groups.values()))[0]
    gradients = target_gradient(model, weights, Objective("edit"), first, prefix_length) if share < 1 else {}
    sizes = []
    for region in makers[kind](adapter):
        cut = top_of(region, gradients, share)
        sizes.append(weight_count(cut.chosen, weights))
        yield cut
    total = sum(weight.numel() for weight in weights.values())
    part = max(1, round(float(np.mean(sizes)))) / total
    yield Region("random", select(adapter, Selection("random", share=part), None, seed))


def _read(
    model: PreTrainedModel, groups: dict[str, tuple[Tensor, np.ndarray]], prefix_length: int
) -> dict[str, Readout]:
    """Readouts by group, in one pass."""
    import torch

    together = read_out(model, torch.cat([ids for ids, _ in groups.values()]), prefix_length)
    ends = np.cumsum([0, *(len(ids) for ids, _ in groups.values())])
    return {name: together.rows(slice(*ends[i : i + 2])) for i, name in enumerate(groups)}


def _rows(
    region: Region, weights: dict[str, Parameter], strength: float, groups: dict[str, tuple[Tensor, np.ndarray]],
    read: dict[str, Readout], prefix_length: int,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    for name, (ids, clusters) in groups.items():
        test = bounded_test(read[name].exact_match.astype(float), clusters, 0.0, float(ids.shape[1] - prefix_length))
        yield {
            "region": region.name,
            "layer": region.layer,
            "component": region.component,
            "head": region.head,
            "strength": strength,
            "paragraph_group": name,
            "exact_match_mean": float(test.estimate),
            "lower": _number(test.lower),
            "upper": _number(test.upper),
            "nll_nats_mean": float(read[name].mean_nll_nats.mean()),
            "weight_count": weight_count(region.chosen, weights),
            "paragraph_count": len(clusters),
        }


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
