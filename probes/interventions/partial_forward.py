"""Interventions on a forward that resumes: only what they change is computed.

Attention that is replaced as a whole needs neither queries nor keys. Where the forward resumes, the block still reads
what it read in the clean forward; there a change of single heads is known without any attention:
output = clean output + Σ_h (new z_h − clean z_h) · W_O[h].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from probes.forward.fused import replace_method
from probes.forward.trunk import Trunk
from probes.interventions.hooks import Intervention, Means, hooks, new_z, shared_heads

if TYPE_CHECKING:
    from torch import Tensor

    from probes.architectures import Adapter

ByLayer = dict[int, list[Intervention]]


def by_layer(bundle: Sequence[Intervention]) -> ByLayer:
    """The interventions of each layer that is touched."""
    found: ByLayer = {}
    for intervention in bundle:
        for layer in intervention.layers if intervention.kind != "none" else ():
            found.setdefault(layer, []).append(intervention)
    return found


def layers_of_heads(bundles: Sequence[Sequence[Intervention]]) -> set[int]:
    """Layers at which some bundle resumes with single heads changed, so that the clean attention is of use."""
    plans = [plan for plan in map(by_layer, bundles) if plan]
    return {min(plan) for plan in plans if _are_heads(_of_attention(plan[min(plan)]))}


@contextmanager
def applied(trunk: Trunk, bundle: Sequence[Intervention], means: Means | None, *, is_plain: bool) -> Iterator[int]:
    """While open, the model carries all interventions of the bundle; yields the block to resume at.

    Args:
        trunk: of the clean forward; only forwards that resume at the yielded block are right.
        bundle: simultaneous interventions that have passed `check`.
        means: for kind mean.
        is_plain: the model carries no hook of anybody, so attention that nobody watches may be left out.
    """
    adapter, plan = trunk.adapter, by_layer(bundle)
    first = min(plan, default=adapter.layer_count)
    with ExitStack() as stack:
        for layer, interventions in plan.items():
            rest = list(interventions)
            if is_plain and (attend := _short_attention(trunk, layer, rest, means, layer == first)):
                replace_method(adapter.attention(layer), "forward", attend, stack)
                rest = [i for i in rest if i.part == "mlp"]
            for intervention in rest:
                for handle in hooks(adapter, layer, intervention, means):
                    stack.callback(handle.remove)
        yield first


def _of_attention(interventions: Sequence[Intervention]) -> list[Intervention]:
    return [intervention for intervention in interventions if intervention.part == "attention"]


def _are_heads(interventions: Sequence[Intervention]) -> bool:
    """Whether these are changes of single heads, none of them twice."""
    heads = [intervention.head for intervention in interventions]
    return bool(heads) and None not in heads and len(set(heads)) == len(heads)


def _short_attention(
    trunk: Trunk, layer: int, interventions: Sequence[Intervention], means: Means | None, is_first: bool
) -> Any:
    """A forward of the attention module that computes less than its own; None where there is none."""
    todo = _of_attention(interventions)
    if is_first and layer in trunk.attention and _are_heads(todo):
        written = _changed_heads(trunk, layer, todo, means)
        return lambda *_, **__: (written, None)
    if len(todo) == 1 and todo[0].head is None:
        return _values_alone(trunk.adapter, layer, todo[0], means)
    return None


def _changed_heads(trunk: Trunk, layer: int, interventions: Sequence[Intervention], means: Means | None) -> Tensor:
    """What the clean attention would have written, had these heads written something else."""
    import torch

    adapter, clean = trunk.adapter, trunk.attention[layer]
    (output,) = adapter.component(layer, "W_O")
    weight, z = output.split_weight(output.module.weight), output.split(clean.z)
    written = clean.written
    with torch.no_grad():
        for intervention in interventions:
            head = intervention.head
            new = new_z(adapter, layer, intervention.kind, means)(shared_heads(adapter, clean.values))
            written = written + (new[..., head, :] - z[..., head, :]) @ weight[head].T
    return written


def _values_alone(adapter: Adapter, layer: int, intervention: Intervention, means: Means | None) -> Any:
    """Attention in which all heads write a function of the values, so that no query or key is needed."""
    (values,), (output,) = adapter.component(layer, "W_V"), adapter.component(layer, "W_O")
    change = new_z(adapter, layer, intervention.kind, means)

    def _attend(*inputs: Tensor, **keywords: Any) -> tuple[Tensor, None]:
        read = inputs[0] if inputs else keywords["hidden_states"]
        z = change(shared_heads(adapter, values.split(values.module(read))))
        return output.module(z.flatten(2).contiguous()), None

    return _attend
