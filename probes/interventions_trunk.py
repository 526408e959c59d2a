"""One clean forward, then any number of forwards that start at the block where something changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probes.architectures import Adapter
from probes.gradients_capture import logit_rows, undisturbed

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Trunk:
    """What every block was called with in a clean forward over one batch.

    Memory: layer_count × paragraphs × positions × hidden_size floats (GPT-Neo 125M, 32 × 99 tokens: 117 MB).
    """

    adapter: Adapter
    calls: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...]
    hidden: Tensor

    def resume(self, layer: int, first_position: int = 0) -> Tensor:
        """Hidden states after the final norm, [paragraph, position from first_position, hidden], from block `layer` on.

        Hooks on that block and those above take effect. Without any, the result is bit-equal to a whole forward. The
        last MLP, two thirds of the last block's work, computes only the positions that are asked for.
        """
        import torch

        if layer == self.adapter.layer_count:
            return self.hidden[:, first_position:]
        last = self.adapter.mlp(self.adapter.layer_count - 1)
        with undisturbed(self.adapter.model), torch.no_grad(), _skipping(last, first_position):
            hidden: Tensor = self.calls[layer][0][0]
            for index in range(layer, self.adapter.layer_count):
                (_, *others), keywords = self.calls[index]
                output = self.adapter.block(index)(hidden, *others, **keywords)
                hidden = output[0] if isinstance(output, tuple) else output
            return self.adapter.final_norm(hidden[:, first_position:])


@contextmanager
def _skipping(module: nn.Module, first_position: int) -> Iterator[None]:
    """While open, the module computes positions from first_position on and gives zeros before; axis 1 is position."""
    import torch

    def _later(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0][:, first_position:].contiguous(), *inputs[1:])

    def _padded(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return torch.nn.functional.pad(output, (0, 0, first_position, 0))

    handles = (
        [module.register_forward_pre_hook(_later), module.register_forward_hook(_padded)] if first_position else []
    )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def clean_trunk(adapter: Adapter, token_ids: Tensor) -> Trunk:
    """Run the model once over [paragraph, position] and keep what each block read."""
    import torch

    ids = token_ids.to(adapter.embedding.weight.device)
    with undisturbed(adapter.model), torch.no_grad(), _calls(adapter) as calls:
        hidden = adapter.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    return Trunk(adapter, tuple(calls), hidden)


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

    nll, hit, entropy = [], [], []
    with torch.no_grad():
        step = logit_rows(adapter, hidden.shape[1])
        for start in range(0, len(hidden), step):
            tile = slice(start, start + step)
            truth = targets[tile].to(hidden.device)[..., None]
            logits = adapter.unembedding(hidden[tile]).float()
            best, best_id = logits.max(-1)
            p = logits.softmax(-1)
            # log Σ exp(logits), by way of the largest p, which is never small: one pass over the vocabulary less.
            normaliser = best - p.gather(-1, best_id[..., None])[..., 0].log()
            nll.append(normaliser - logits.gather(-1, truth)[..., 0])
            hit.append(best_id == truth[..., 0])
            entropy.append(normaliser - torch.linalg.vecdot(p, logits))
    return TokenScores(torch.cat(nll), torch.cat(hit), torch.cat(entropy))
