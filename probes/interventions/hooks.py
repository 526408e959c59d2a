"""Interventions as context managers of hooks on the ordinary transformers model.

A head writes z = A·V to the residual stream through W_O. Every intervention on attention replaces z between V and
W_O, so values, output projection with its bias, residual, norms and MLP stay as they are (P2, Menta et al. 2025,
arXiv 2501.05078, §3): identity attention is z_t = v_t, uniform attention the mean of the values a query can see.
GPT-Neo, GPT-2 and Llama blocks are sequential, so a changed attention also changes what the block's own MLP reads;
in parallel GPT-NeoX blocks the MLP reads the block's input and changes only from the next block on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from probes.architectures import Adapter, adapter_for
from probes.errors import ProbeError
from probes.forward.beginning import lead, with_beginning

if TYPE_CHECKING:
    from torch import Tensor, nn

Kind = Literal["identity", "uniform", "zero", "mean", "none"]
Part = Literal["attention", "mlp"]


@dataclass(frozen=True)
class Intervention:
    """What is done to which layers.

    kind: identity (attention short-circuit), uniform (attention spread evenly over what a query can see), zero or
        mean (ablation of what is written, the mean over positions and paragraphs of a reference), none (nothing).
    part: attention, or mlp for zero and mean. Zero and mean of attention change z of the heads; W_O's bias stays.
    head: one head of the attention, or None for all of them.
    """

    kind: Kind
    layers: tuple[int, ...]
    head: int | None = None
    part: Part = "attention"

    @property
    def first_layer(self) -> int:
        """The lowest layer that is touched; everything below computes as before."""
        return min(self.layers)


NOTHING = Intervention("none", (0,))


@dataclass(frozen=True)
class Means:
    """Mean activations of a reference text: z of the heads, [head × size], and the MLP's output, [hidden], by layer."""

    z: tuple[Tensor, ...]
    mlp: tuple[Tensor, ...]


def block_sweep(model: nn.Module, kind: Kind = "identity", part: Part = "attention") -> list[Intervention]:
    """The intervention at each layer on its own."""
    return [Intervention(kind, (layer,), part=part) for layer in range(adapter_for(model).layer_count)]


def head_sweep(model: nn.Module, kind: Kind = "identity") -> list[Intervention]:
    """The intervention at each head on its own."""
    adapter = adapter_for(model)
    return [
        Intervention(kind, (layer,), head) for layer in range(adapter.layer_count) for head in range(adapter.head_count)
    ]


SWEEPS = (
    *(f"{kind}_{what}" for kind in ("identity", "uniform", "zero", "mean") for what in ("blocks", "heads", "range")),
    *("zero_mlps", "mean_mlps"),
)
"""Names of sweeps: a kind at each block, at each head, at the last quartile of the blocks, at each MLP."""


def interventions_named(model: nn.Module, names: Iterable[str]) -> list[Intervention]:
    """Interventions of the named sweeps, see SWEEPS; each once, though the last quartile may be a single block.

    Raises:
        ProbeError: a name is not in SWEEPS.
    """
    found: list[Intervention] = []
    for name in names:
        if name not in SWEEPS:
            raise ProbeError(f"sweep {name!r} does not exist; choose from {', '.join(SWEEPS)}.")
        kind, what = cast("tuple[Kind, str]", name.split("_"))
        if what == "range":
            found.append(last_quartile(model, kind))
        elif what == "heads":
            found += head_sweep(model, kind)
        else:
            found += block_sweep(model, kind, "mlp" if what == "mlps" else "attention")
    return list(dict.fromkeys(found))


def last_quartile(model: nn.Module, kind: Kind = "identity") -> Intervention:
    """The intervention on the deepest quarter of the layers at once, at least one (P2 §4)."""
    count = adapter_for(model).layer_count
    return Intervention(kind, tuple(range(count - max(1, count // 4), count)))


@contextmanager
def intervened(model: nn.Module, intervention: Intervention, means: Means | None = None) -> Iterator[None]:
    """While open, forward passes of the model carry the intervention; afterwards the model is what it was.

    Args:
        model: causal language model of a supported architecture.
        intervention: what to do.
        means: for kind mean, from `activation_means`.

    Forward passes must see whole sequences: uniform attention knows no key/value cache.

    Raises:
        ProbeError: layer or head does not exist, the kind does not apply to the part, or means are missing.
    """
    adapter = adapter_for(model)
    check(adapter, intervention, means)
    with ExitStack() as stack:
        if intervention.kind != "none":
            for layer in intervention.layers:
                for handle in hooks(adapter, layer, intervention, means):
                    stack.callback(handle.remove)
        yield


def check(adapter: Adapter, intervention: Intervention, means: Means | None) -> None:
    """Raises ProbeError where the intervention cannot be done on this model."""
    kind, head = intervention.kind, intervention.head
    if not intervention.layers:
        raise ProbeError(f"intervention {kind!r} names no layer; name at least one.")
    for layer in intervention.layers:
        adapter.block(layer)
    if head is not None and not 0 <= head < adapter.head_count:
        raise ProbeError(f"head {head} does not exist; the model has heads 0 to {adapter.head_count - 1}.")
    if intervention.part == "mlp" and (kind in ("identity", "uniform") or head is not None):
        raise ProbeError(f"intervention {kind!r} (head {head}) does not apply to an MLP; use zero or mean, no head.")
    if kind == "mean" and means is None:
        raise ProbeError("mean ablation needs reference means; pass the result of activation_means.")


def hooks(adapter: Adapter, layer: int, intervention: Intervention, means: Means | None) -> list[Any]:
    """Hook handles of an intervention at one of its layers; whoever asks for them removes them."""
    if intervention.part == "mlp":
        level = means.mlp[layer] if means is not None and intervention.kind == "mean" else 0.0
        before = lead(adapter.model)

        def _replace(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            return _behind(output, (output * 0) + level, before)

        return [adapter.mlp(layer).register_forward_hook(_replace)]
    return _attention_hooks(adapter, layer, intervention.head, new_z(adapter, layer, intervention.kind, means))


def _attention_hooks(adapter: Adapter, layer: int, head: int | None, change: Callable[[Tensor], Tensor]) -> list[Any]:
    """Keep the values when they are written, replace z when W_O reads it."""
    (values,), (output,) = adapter.component(layer, "W_V"), adapter.component(layer, "W_O")
    kept: list[Tensor] = []

    def _keep(module: nn.Module, inputs: tuple[Tensor, ...], written: Tensor) -> None:
        kept[:] = [written]

    def _replace(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        wanted = change(shared_heads(adapter, values.split(kept.pop())))
        if head is None:
            return (wanted.flatten(2).contiguous(),)
        z = inputs[0].clone()
        output.split(z)[..., head, :] = wanted[..., head, :]
        return (z,)

    return [values.module.register_forward_hook(_keep), output.module.register_forward_pre_hook(_replace)]


def shared_heads(adapter: Adapter, values: Tensor) -> Tensor:
    """Values of key/value heads repeated for the query heads that read them, [..., head, size]."""
    return values.repeat_interleave(adapter.head_count // adapter.key_value_head_count, dim=-2)


def _behind(known: Tensor, changed: Tensor, before: int) -> Tensor:
    """What is changed, but for the first `before` positions, a beginning of sequence, which stay; axis 1: position."""
    import torch

    return torch.cat([known[:, :before], changed[:, before:]], dim=1) if before else changed


def new_z(adapter: Adapter, layer: int, kind: Kind, means: Means | None) -> Callable[[Tensor], Tensor]:
    """The function from values, [paragraph, position, head, size], to what the heads shall write.

    A beginning of sequence sees nothing but itself, so what its heads write anyway are its own values.
    """
    change, before = _new_z(adapter, layer, kind, means), lead(adapter.model)
    return lambda values: _behind(values, change(values), before)


def _new_z(adapter: Adapter, layer: int, kind: Kind, means: Means | None) -> Callable[[Tensor], Tensor]:
    if kind == "identity":
        return lambda values: values
    if kind == "uniform":
        return lambda values: visible_mean(values, adapter.window(layer))
    if kind == "mean" and means is not None:
        mean = means.z[layer].unflatten(0, (adapter.head_count, adapter.head_size))
        return lambda values: mean.expand_as(values)
    return lambda values: values.new_zeros(()).expand_as(values)


def visible_mean(values: Tensor, window: int | None) -> Tensor:
    """Mean over the positions each query can see: itself and those before it, at most `window` of them; axis 1."""
    import torch

    count = values.shape[1]
    sees = torch.ones(count, count, dtype=values.dtype, device=values.device).tril()
    if window is not None:
        sees = sees.triu(1 - window)
    return torch.einsum("qk,bkhs->bqhs", sees / sees.sum(1, keepdim=True), values)


def activation_means(model: nn.Module, token_ids: Any, batch_size: int = 32) -> Means:
    """Mean over all positions and paragraphs of what each head and each MLP writes, for mean ablation.

    A beginning of sequence is left out: what is written there is unlike text and tens to thousands of times as large.

    Args:
        model: causal language model of a supported architecture.
        token_ids: reference text, [paragraph, position].
        batch_size: paragraphs per forward.
    """
    import torch

    from probes.forward.capture import batches, recorded, undisturbed
    from probes.forward.inputs import readable_paragraphs

    adapter, ids = adapter_for(model), readable_paragraphs(model, token_ids, 1)
    layers = range(adapter.layer_count)
    outputs = [adapter.component(layer, "W_O")[0].module for layer in layers]
    mlps = [adapter.mlp(layer) for layer in layers]
    sums, before = [[torch.zeros(())] * len(outputs), [torch.zeros(())] * len(mlps)], lead(model)
    for batch in batches(ids, batch_size):
        with undisturbed(model), torch.no_grad(), recorded([*outputs, *mlps]) as seen:
            read = with_beginning(model, batch.to(adapter.embedding.weight.device))
            adapter.model.base_model(input_ids=read, use_cache=False)
        for total, modules, side in ((sums[0], outputs, 0), (sums[1], mlps, 1)):  # heads: what W_O reads
            written = [seen[module][side][:, before:].sum((0, 1)) for module in modules]
            total[:] = [known.to(new) + new for known, new in zip(total, written, strict=True)]
    z, mlp = (tuple(s / ids.numel() for s in group) for group in sums)
    return Means(z, mlp)
