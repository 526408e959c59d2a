"""Activation patching between a memorized paragraph (MP) and the same with one prefix token changed (PMP).

P1 (Stoehr et al. 2024, arXiv 2403.19851, §6.1, A.3): copy q, k or v of one head at the changed position from one run
into the other and read the NLL of the impact token, the first continuation token that differs, each run with its own
label. A head that carries the recital raises the NLL of the MP when it is fed the PMP's activation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probes.architectures import Adapter, Projection, adapter_for
from probes.errors import ProbeError
from probes.forward.beginning import lead
from probes.forward.capture import recorded, rows_per_pass
from probes.forward.fused import fused
from probes.forward.inputs import readable_paragraphs
from probes.forward.logits import logits_of
from probes.forward.trunk import Trunk, clean_trunk

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor, nn

PATCHABLE = {"q": "W_Q", "k": "W_K", "v": "W_V", "z": "W_O"}


@dataclass(frozen=True)
class _Run:
    """One side of the pairs: its clean forward, its labels, and what every projection held at the changed position."""

    trunk: Trunk
    labels: Tensor
    held: dict[nn.Module, tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class _Where:
    """Changed position and impact position of each pair, [paragraph]; while patching the former is the model's own."""

    rows: Tensor
    changed: Tensor
    impact: Tensor


def activation_patching(
    model: nn.Module,
    memorized_ids: Any,
    perturbed_ids: Any,
    positions: Sequence[int],
    impact_positions: Sequence[int],
    components: Sequence[str] = ("q", "k", "v", "z"),
    batch_size: int = 32,
) -> pl.DataFrame:
    """Change of the impact token's NLL when one head is fed the other run's activation at the changed position.

    Each run is computed once; every patch starts at its own block and only tokens up to the impact are read.

    Args:
        model: causal language model of a supported architecture, left as found.
        memorized_ids: MPs, [paragraph, position].
        perturbed_ids: the PMP of each: one token changed, with the continuation the model then writes.
        positions: the changed position of each pair.
        impact_positions: the first position after it where the two differ.
        components: any of q, k, v (as written by the projections, before a rotary embedding) and z (what W_O reads).
        batch_size: pairs per forward at most.

    Returns:
        row, receiver (MP or PMP: the run that is patched and whose label is scored), layer, component, head,
        nll_nats (untouched), delta_nll_nats (patched minus untouched). k and v carry key/value heads.

    Raises:
        ProbeError: the pairs are not matched as described, or a component is unknown.
    """
    import polars as pl
    import torch

    adapter = adapter_for(model)
    memorized, perturbed = (readable_paragraphs(model, ids, 1) for ids in (memorized_ids, perturbed_ids))
    where = _matched(memorized, perturbed, positions, impact_positions)
    if unknown := [c for c in components if c not in PATCHABLE]:
        raise ProbeError(f"component {unknown[0]!r} cannot be patched; choose from {', '.join(PATCHABLE)}.")
    step = rows_per_pass(adapter, memorized, batch_size)
    nothing = torch.zeros(0)
    frames = [_rows(nothing, "MP", 0, "q", 0, nothing, nothing)]
    with fused(adapter.model):
        for start in range(0, len(memorized), step):
            batch = slice(start, start + step)
            frames += _both_ways(adapter, memorized[batch], perturbed[batch], where, batch, components)
    return pl.concat(frames).sort("row", "receiver", "layer", "component", "head")


def _matched(memorized: Tensor, perturbed: Tensor, positions: Sequence[int], impacts: Sequence[int]) -> _Where:
    """Checks that each pair differs at its changed position, then first at its impact."""
    import torch

    where = _Where(torch.arange(len(memorized)), torch.as_tensor(positions).long(), torch.as_tensor(impacts).long())
    if memorized.shape != perturbed.shape or not len(where.changed) == len(where.impact) == len(memorized):
        raise ProbeError("memorized and perturbed paragraphs are not paired; pass rows, positions and impacts alike.")
    for row in range(len(memorized)):
        differs = (memorized[row] != perturbed[row]).nonzero()[:2, 0].tolist()
        if differs != [int(where.changed[row]), int(where.impact[row])]:
            raise ProbeError(
                f"pair {row} first differs at {differs}, not at its changed position {int(where.changed[row])} and "
                f"impact {int(where.impact[row])}; pass the PMP that belongs to this MP."
            )
    return where


def _both_ways(
    adapter: Adapter, memorized: Tensor, perturbed: Tensor, where: _Where, batch: slice, components: Sequence[str]
) -> Iterator[pl.DataFrame]:
    """Frames of one batch, patching into the MPs, then into the PMPs."""
    changed = where.changed[batch] + lead(adapter.model)
    here = _Where(where.rows[: len(memorized)], changed, where.impact[batch])
    runs = {name: _run(adapter, ids, here, components) for name, ids in (("MP", memorized), ("PMP", perturbed))}
    for receiver, giver in (("MP", "PMP"), ("PMP", "MP")):
        clean = _nll(runs[receiver], runs[receiver].trunk.hidden, here)
        for layer in range(adapter.layer_count):
            for name in components:
                (projection,) = adapter.component(layer, PATCHABLE[name])
                for head in range(projection.layout.head_count):
                    with _patched(projection, name, head, runs[giver], here):
                        patched = _nll(runs[receiver], runs[receiver].trunk.resume(layer), here)
                    yield _rows(where.rows[batch], receiver, layer, name, head, clean, patched - clean)


def _run(adapter: Adapter, ids: Tensor, where: _Where, components: Sequence[str]) -> _Run:
    layers = range(adapter.layer_count)
    modules = [p.module for layer in layers for c in components for p in adapter.component(layer, PATCHABLE[c])]
    with recorded(list(dict.fromkeys(modules)), adapter.writes_in_place) as seen:
        trunk = clean_trunk(adapter, ids[:, : int(where.impact.max())])
    held = {m: (read[where.rows, where.changed], wrote[where.rows, where.changed]) for m, (read, wrote) in seen.items()}
    return _Run(trunk, ids[where.rows, where.impact], held)


@contextmanager
def _patched(projection: Projection, name: str, head: int, giver: _Run, where: _Where) -> Iterator[None]:
    """While open, one head of the projection holds the giver's activation at the changed positions."""
    read, wrote = giver.held[projection.module]

    def _put(features: Tensor, source: Tensor) -> Tensor:
        features = features.clone()
        projection.split(features)[where.rows, where.changed, head] = projection.split(source)[:, head]
        return features

    if name == "z":
        handle = projection.module.register_forward_pre_hook(lambda m, inputs: (_put(inputs[0], read),))
    else:
        handle = projection.module.register_forward_hook(lambda m, inputs, output: _put(output, wrote))
    try:
        yield
    finally:
        handle.remove()


def _nll(run: _Run, hidden: Tensor, where: _Where) -> Tensor:
    """NLL of each run's own impact token, [paragraph], nats."""
    import torch

    with torch.no_grad():
        logits = logits_of(run.trunk.adapter.model, hidden[where.rows, where.impact - 1])
        return torch.nn.functional.cross_entropy(logits, run.labels.to(logits.device), reduction="none").cpu()


def _rows(
    rows: Tensor, receiver: str, layer: int, component: str, head: int, nll: Tensor, delta: Tensor
) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame({"row": rows.numpy(), "nll_nats": nll.numpy(), "delta_nll_nats": delta.numpy()}).select(
        pl.col("row").cast(pl.UInt32),
        receiver=pl.lit(receiver),
        layer=pl.lit(layer, pl.Int32),
        component=pl.lit(component),
        head=pl.lit(head, pl.Int32),
        nll_nats=pl.col("nll_nats").cast(pl.Float64),
        delta_nll_nats=pl.col("delta_nll_nats").cast(pl.Float64),
    )
