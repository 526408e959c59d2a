"""Weights an edit may move: all of them, those with the largest gradient, as many at random, a head, layers.

P1 (Stoehr et al. 2024, arXiv 2403.19851, section 5.3) moves the 0.1 % of the six weight types W_Q, W_K, W_V, W_O, W_in
and W_out with the largest |gradient| and compares with all weights and with as many random ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from probes.architectures import Adapter, HeadRef
from probes.errors import ProbeError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter

Chosen = dict[str, "Tensor | None"]
"""Entries by parameter name: indices into the flattened weight, ascending, int64; None for the whole weight."""

SHARED_RULES = ("top", "top-per-component", "random")
_HOW = "write all, top:0.001, top-per-component:0.001, random:0.001, head:1.2 or layers:0-3"


@dataclass(frozen=True)
class Selection:
    """A rule that picks weights. `share` belongs to the rules that take a part; head and layers to those named so."""

    rule: str
    share: float | None = None
    head: HeadRef | None = None
    layers: tuple[int, int] | None = None

    def __str__(self) -> str:
        if self.share is not None:
            return f"{self.rule}:{self.share:g}"
        if self.head is not None:
            return f"{self.rule}:{self.head}"
        return f"{self.rule}:{self.layers[0]}-{self.layers[1]}" if self.layers else self.rule

    @property
    def needs_gradient(self) -> bool:
        """Whether the choice depends on the target's gradient."""
        return self.rule in ("top", "top-per-component")

    @classmethod
    def parse(cls, text: str) -> Selection:
        """The selection that `rule` or `rule:argument` names.

        Raises:
            ProbeError: the text names none.
        """
        rule, _, argument = text.strip().partition(":")
        if rule == "all" and not argument:
            return cls("all")
        if rule in SHARED_RULES:
            return cls(rule, share=_share(text, argument))
        if rule == "head":
            return cls("head", head=HeadRef.parse(argument))
        if rule == "layers":
            return cls("layers", layers=_layers(text, argument))
        raise ProbeError(f"selection {text!r} is unknown; {_HOW}.")


def _share(text: str, argument: str) -> float:
    try:
        share = float(argument)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise ProbeError(f"selection {text!r} needs a share of the weights above 0 and at most 1; {_HOW}.")
    return share


def _layers(text: str, argument: str) -> tuple[int, int]:
    first, _, last = argument.partition("-")
    if not (first.isdecimal() and (last or first).isdecimal() and int(first) <= int(last or first)):
        raise ProbeError(f"selection {text!r} needs a range of layers; {_HOW}.")
    return int(first), int(last or first)


@dataclass(frozen=True)
class Piece:
    """The entries of one component of one layer, of one head where it has heads, within one parameter."""

    layer: int
    component: str
    head: int | None
    parameter: str
    indices: Tensor


def editable_weights(adapter: Adapter) -> dict[str, Parameter]:
    """The weights of the six types by parameter name, each once, also where several types are fused in one."""
    return {
        projection.parameter_name: cast("Parameter", projection.module.weight)
        for layer in range(adapter.layer_count)
        for projection in adapter.projections(layer)
    }


def pieces(adapter: Adapter, layers: range | None = None) -> Iterator[Piece]:
    """Every piece of the given layers (all if not given), in the order of the adapter's projections."""
    import torch

    for layer in layers if layers is not None else range(adapter.layer_count):
        for projection in adapter.projections(layer):
            weight = projection.module.weight
            places = torch.arange(weight.numel(), device=weight.device).view(weight.shape)
            for head, part in enumerate(projection.split_weight(places).unbind()):
                flat = part.reshape(-1).sort().values
                name = projection.parameter_name
                yield Piece(layer, projection.component, head if projection.is_per_head else None, name, flat)


def select(adapter: Adapter, selection: Selection, gradients: Mapping[str, Tensor] | None, seed: int) -> Chosen:
    """The entries a selection picks.

    Args:
        adapter: the model.
        selection: the rule.
        gradients: gradient of the objective at the unedited weights, shaped like the weights, by parameter name; only
            for rules that need it.
        seed: seed of the random rule.

    Raises:
        ProbeError: the model has no such head or layer, or gradients are missing.
    """
    if selection.needs_gradient and gradients is None:
        raise ProbeError(f"selection {selection} needs the gradient of the targets; pass it.")
    if selection.rule == "top":
        return _top(gradients or {}, _size(adapter, selection))
    if selection.rule == "top-per-component":
        return _top_per_component(adapter, gradients or {}, selection.share or 0.0)
    if selection.rule == "random":
        return _random(adapter, _size(adapter, selection), seed)
    return _whole(adapter, selection)


def _size(adapter: Adapter, selection: Selection) -> int:
    total = sum(weight.numel() for weight in editable_weights(adapter).values())
    return max(1, round((selection.share or 0.0) * total))


def _top(gradients: Mapping[str, Tensor], count: int) -> Chosen:
    """The `count` entries with the largest |gradient| of all weights; each weight first gives its own best."""
    import torch

    sizes, places, owners = [], [], []
    for index, gradient in enumerate(gradients.values()):
        best = gradient.abs().flatten().topk(min(count, gradient.numel()))
        sizes.append(best.values)
        places.append(best.indices)
        owners.append(torch.full_like(best.indices, index))
    kept = torch.cat(sizes).topk(count).indices
    place, owner = torch.cat(places)[kept], torch.cat(owners)[kept]
    found = {name: place[owner == index].sort().values for index, name in enumerate(gradients)}
    return {name: indices for name, indices in found.items() if len(indices)}


def _top_per_component(adapter: Adapter, gradients: Mapping[str, Tensor], share: float) -> Chosen:
    """The same share of the entries of every component of every layer (and head)."""
    found: dict[str, list[Tensor]] = {}
    for piece in pieces(adapter):
        sizes = gradients[piece.parameter].abs().flatten()[piece.indices]
        best = sizes.topk(max(1, round(share * len(sizes)))).indices
        found.setdefault(piece.parameter, []).append(piece.indices[best])
    return _joined(found)


def _random(adapter: Adapter, count: int, seed: int) -> Chosen:
    """`count` entries of all weights, uniformly without replacement."""
    import numpy as np
    import torch

    weights = editable_weights(adapter)
    ends = np.cumsum([weight.numel() for weight in weights.values()])
    drawn = np.sort(np.random.default_rng(seed).choice(int(ends[-1]), size=count, replace=False, shuffle=False))
    owner = np.searchsorted(ends, drawn, side="right")
    place = drawn - np.concatenate([[0], ends[:-1]])[owner]
    found = {name: torch.from_numpy(place[owner == index]) for index, name in enumerate(weights)}
    return {name: part.to(weights[name].device) for name, part in found.items() if len(part)}


def _whole(adapter: Adapter, selection: Selection) -> Chosen:
    """Every entry of the model, of a range of layers, or of the attention of one head."""
    if selection.head is not None:
        return head_entries(adapter, selection.head)
    first, last = selection.layers or (0, adapter.layer_count - 1)
    adapter.block(last)  # refuses layers that do not exist
    return {p.parameter_name: None for layer in range(first, last + 1) for p in adapter.projections(layer)}


def head_entries(adapter: Adapter, head: HeadRef) -> Chosen:
    """W_Q, W_K, W_V and W_O of one query head; keys and values may be shared by a group of heads.

    Raises:
        ProbeError: the model has no such head.
    """
    adapter.block(head.layer)
    if head.head >= adapter.head_count:
        raise ProbeError(f"head {head} does not exist; layers have heads 0 to {adapter.head_count - 1}.")
    shared = head.head // (adapter.head_count // adapter.key_value_head_count)
    found: dict[str, list[Tensor]] = {}
    for piece in pieces(adapter, range(head.layer, head.layer + 1)):
        if piece.head == (shared if piece.component in ("W_K", "W_V") else head.head):
            found.setdefault(piece.parameter, []).append(piece.indices)
    return _joined(found)


def _joined(found: dict[str, list[Tensor]]) -> Chosen:
    import torch

    return {name: torch.cat(parts).sort().values for name, parts in found.items()}


def weight_count(chosen: Chosen, weights: dict[str, Parameter]) -> int:
    """Number of chosen entries."""
    return sum(weights[name].numel() if part is None else len(part) for name, part in chosen.items())
