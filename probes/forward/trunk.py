"""One clean forward, then any number of forwards that start at the block where something changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probes.architectures import Adapter
from probes.forward.beginning import lead, with_beginning
from probes.forward.capture import recorded, skipping, undisturbed
from probes.forward.unembedding import token_scores

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class CleanAttention:
    """One block's attention in a clean forward; positions are the model's own, a beginning of sequence included.

    values: what W_V wrote, [paragraph, position, key/value head, size].
    z: what W_O read, and written: what it wrote, both [paragraph, position, feature].
    """

    values: Tensor
    z: Tensor
    written: Tensor


@dataclass(frozen=True)
class Trunk:
    """What every block was called with in a clean forward over one batch, and the attention of the blocks asked for.

    Memory: layer_count × paragraphs × positions × hidden_size floats (GPT-Neo 125M, 32 × 99 tokens: 117 MB), three
    times as much more where the attention of every block is kept.
    """

    adapter: Adapter
    calls: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...]
    hidden: Tensor
    attention: dict[int, CleanAttention]

    def resume(self, layer: int, first_position: int = 0) -> Tensor:
        """Hidden states after the final norm, [paragraph, position from first_position, hidden], from block `layer` on.

        Positions are the paragraph's: a beginning of sequence is run through the blocks and left out of the result.

        Hooks on that block and those above take effect. Without any, the result is bit-equal to a whole forward. The
        last MLP, two thirds of the last block's work, computes only the positions that are asked for.
        """
        import torch

        if layer == self.adapter.layer_count:
            return self.hidden[:, first_position:]
        last, first = self.adapter.mlp(self.adapter.layer_count - 1), lead(self.adapter.model) + first_position
        with undisturbed(self.adapter.model), torch.no_grad(), skipping(last, first):
            hidden: Tensor = self.calls[layer][0][0]
            for index in range(layer, self.adapter.layer_count):
                (_, *others), keywords = self.calls[index]
                output = self.adapter.block(index)(hidden, *others, **keywords)
                hidden = output[0] if isinstance(output, tuple) else output
            return self.adapter.final_norm(hidden[:, first:])


def clean_trunk(adapter: Adapter, token_ids: Tensor, layers: Iterable[int] = ()) -> Trunk:
    """Run the model once over [paragraph, position] and keep what each block read, and the attention of `layers`."""
    import torch

    ids = with_beginning(adapter.model, token_ids.to(adapter.embedding.weight.device))
    maps = {layer: [adapter.component(layer, name)[0] for name in ("W_V", "W_O")] for layer in layers}
    modules = list({part.module for parts in maps.values() for part in parts})
    with undisturbed(adapter.model), torch.no_grad(), _calls(adapter) as calls, recorded(modules) as seen:
        hidden = adapter.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    attention = {
        layer: CleanAttention(values.split(seen[values.module][1]).contiguous(), *seen[output.module])
        for layer, (values, output) in maps.items()
    }
    return Trunk(adapter, tuple(calls), hidden[:, lead(adapter.model) :], attention)


@contextmanager
def _calls(adapter: Adapter) -> Iterator[list[tuple[tuple[Any, ...], dict[str, Any]]]]:
    """While open, arguments of every block's last call in order, the hidden states first."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def _keep(block: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        keywords = dict(keywords)
        if not inputs:
            inputs = (keywords.pop("hidden_states"),)
        calls.append((inputs, keywords))

    blocks = [adapter.block(layer) for layer in range(adapter.layer_count)]
    handles = [block.register_forward_pre_hook(_keep, with_kwargs=True) for block in blocks]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True)
class TokenScores:
    """Per predicted token, [paragraph, position]: NLL in nats, whether the argmax is the token, entropy in nats."""

    nll: Tensor
    is_argmax: Tensor
    entropy: Tensor

    @property
    def exact_match(self) -> Tensor:
        """Leading argmaxes that are the token = greedy exact match (P1 §3.2), [paragraph]."""
        return self.is_argmax.long().cumprod(1).sum(1)


def score_tokens(adapter: Adapter, hidden: Tensor, targets: Tensor) -> TokenScores:
    """Scores of `targets`, [paragraph, position], predicted from `hidden`, [paragraph, position, hidden]."""
    import torch

    with torch.no_grad():
        found = token_scores(adapter.model, hidden.flatten(0, 1), targets.to(hidden.device).flatten())
    return TokenScores(*(column.view(targets.shape) for column in found))
