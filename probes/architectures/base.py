"""Questions to any supported architecture: its sizes, its modules, and which weights belong to which head."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

from probes.errors import ProbeError

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

Component = Literal["W_Q", "W_K", "W_V", "W_O", "W_in", "W_out"]
COMPONENTS: tuple[Component, ...] = ("W_Q", "W_K", "W_V", "W_O", "W_in", "W_out")


@dataclass(frozen=True, order=True)
class HeadRef:
    """One attention head; layer and head are 0-based, printed as `layer.head`."""

    layer: int
    head: int

    def __str__(self) -> str:
        return f"{self.layer}.{self.head}"

    @classmethod
    def parse(cls, text: str) -> HeadRef:
        """The head that `layer.head` names, e.g. `1.2`.

        Raises:
            ProbeError: the text is not two counts with a dot between them.
        """
        layer, dot, head = text.partition(".")
        if not (dot and layer.isdecimal() and head.isdecimal()):
            raise ProbeError(f"head {text!r} is not written as layer.head; write for example 1.2.")
        return cls(int(layer), int(head))


@dataclass(frozen=True)
class HeadLayout:
    """How the heads of one component lie in a feature axis: `shape` splits it, `axis` and `index` pick the part.

    Separate matrices split as (head, size); GPT-2 fuses as (3, head, size); GPT-NeoX interleaves as (head, 3, size);
    Phi-3 puts query, key and value heads behind each other, so a component begins at feature `first`.
    """

    shape: tuple[int, ...]
    axis: int | None = None
    index: int = 0
    first: int | None = None

    @property
    def head_count(self) -> int:
        """Heads of the component."""
        return next(size for axis, size in enumerate(self.shape[:-1]) if axis != self._picked)

    @property
    def _picked(self) -> int | None:
        return None if self.axis is None else len(self.shape) + self.axis

    def split(self, features: Tensor) -> Tensor:
        """View of [..., feature] as [..., head, size]; writing to the view writes to the tensor."""
        if self.first is not None:
            features = features.narrow(-1, self.first, math.prod(self.shape))
        parts = features.unflatten(-1, self.shape)
        return parts if self.axis is None else parts.select(self.axis, self.index)


@dataclass(frozen=True)
class Projection:
    """One linear map, or the part of a fused one, that belongs to one component of one layer.

    `heads_on` says which side of the map carries the heads: the output of W_Q, W_K and W_V, the input of W_O.
    `is_transposed` is true where the checkpoint stores [input, output] (Conv1D) instead of [output, input] (Linear).
    """

    component: Component
    parameter_name: str
    module: nn.Linear = field(repr=False, compare=False)
    heads_on: Literal["output", "input"]
    layout: HeadLayout
    is_per_head: bool
    is_transposed: bool = False

    def split(self, features: Tensor) -> Tensor:
        """View of the map's features on the side that carries the heads: [..., feature] → [..., head, size].

        For W_in and W_out, which have no heads, `head` is an axis of length one.
        """
        return self.layout.split(features)

    def split_weight(self, weight: Tensor) -> Tensor:
        """View of a tensor shaped like the map's own weight (or its .grad) as [head, other side, size]."""
        return self.split_gradient(weight.transpose(0, 1) if self.is_transposed else weight)

    def split_gradient(self, gradient: Tensor) -> Tensor:
        """View of [output, input], whichever way the checkpoint stores the weight, as [head, other side, size]."""
        last = gradient.transpose(0, 1) if self.heads_on == "output" else gradient
        return self.layout.split(last).movedim(-2, 0)


@dataclass(frozen=True)
class Family:
    """Where one model family keeps its pieces. Paths are dotted, relative to the model or to one block.

    `shares_keys`: whether its code reads num_key_value_heads and head_dim; GPT-Neo, GPT-NeoX and GPT-2 pass over what
    other programs write there.
    """

    blocks: str
    final_norm: str
    attention: str
    mlp: str
    attention_norm: str | None
    projections: Callable[[Adapter, int], Iterator[Projection]]
    window: Callable[[Adapter, int], int | None]
    is_parallel: Callable[[Adapter], bool]
    shares_keys: bool = True


@dataclass(frozen=True)
class Adapter:
    """The pieces of one ordinary transformers model, named alike for all families. Nothing is copied or wrapped."""

    model: PreTrainedModel = field(repr=False)
    family: Family = field(repr=False)

    @property
    def layer_count(self) -> int:
        """Transformer blocks."""
        return int(self.config.num_hidden_layers)

    @property
    def head_count(self) -> int:
        """Query heads per layer."""
        return int(self.config.num_attention_heads)

    @property
    def key_value_head_count(self) -> int:
        """Key and value heads per layer; below head_count where query heads share them (grouped-query attention)."""
        shared = getattr(self.config, "num_key_value_heads", None) if self.family.shares_keys else None
        return int(shared or self.head_count)

    @property
    def hidden_size(self) -> int:
        """Width of the residual stream."""
        return int(self.config.hidden_size)

    @property
    def head_size(self) -> int:
        """Width of one head."""
        known = getattr(self.attention(0), "head_dim", None) if self.family.shares_keys else None
        return int(known or self.hidden_size // self.head_count)

    @property
    def is_parallel(self) -> bool:
        """Whether attention and MLP of a block read the same input (GPT-NeoX) rather than one after the other."""
        return self.family.is_parallel(self)

    @property
    def writes_in_place(self) -> bool:
        """Whether the model changes the outputs of its maps in place, as OLMo does where it clips queries and keys."""
        return getattr(self.config, "clip_qkv", None) is not None

    @property
    def config(self) -> Any:
        """The transformers configuration."""
        return self.model.config

    def block(self, layer: int) -> nn.Module:
        """The whole block: attention, MLP, both norms and residual additions."""
        self._check_layer(layer)
        return self.model.get_submodule(f"{self.family.blocks}.{layer}")

    def attention(self, layer: int) -> nn.Module:
        """The attention module; its first output is added to the residual stream."""
        return self.block(layer).get_submodule(self.family.attention)

    def attention_norm(self, layer: int) -> nn.Module:
        """The norm whose output the attention reads.

        Raises:
            ProbeError: attention reads the residual stream itself, as in OLMo 2, whose norms come after.
        """
        if self.family.attention_norm is None:
            raise ProbeError(f"{type(self.model).__name__} has no norm before its attention.")
        return self.block(layer).get_submodule(self.family.attention_norm)

    def mlp(self, layer: int) -> nn.Module:
        """The MLP module; its output is added to the residual stream."""
        return self.block(layer).get_submodule(self.family.mlp)

    @property
    def final_norm(self) -> nn.Module:
        """The norm before the unembedding."""
        return self.model.get_submodule(self.family.final_norm)

    @property
    def embedding(self) -> nn.Embedding:
        """The token embedding."""
        return cast("nn.Embedding", self.model.get_input_embeddings())

    @property
    def unembedding(self) -> nn.Linear:
        """The map from the final norm's output to logits."""
        return self.model.get_output_embeddings()

    def window(self, layer: int) -> int | None:
        """Keys a query can see, itself included, where the layer's attention is local; None where it sees all."""
        return self.family.window(self, layer)

    def projections(self, layer: int) -> tuple[Projection, ...]:
        """Every projection of a layer, in the order of COMPONENTS; Llama's gate and up are two parts of W_in."""
        self._check_layer(layer)
        return tuple(self.family.projections(self, layer))

    def component(self, layer: int, component: str) -> tuple[Projection, ...]:
        """The projections of one component: one, or two for Llama's W_in (gate, then up).

        Raises:
            ProbeError: no such layer or component.
        """
        found = tuple(p for p in self.projections(layer) if p.component == component)
        if not found:
            raise ProbeError(f"component {component!r} does not exist; choose one of {', '.join(COMPONENTS)}.")
        return found

    def _check_layer(self, layer: int) -> None:
        if not 0 <= layer < self.layer_count:
            raise ProbeError(f"layer {layer} does not exist; the model has layers 0 to {self.layer_count - 1}.")
