"""One forward and one backward per batch, keeping what every projection read and the gradient of what it wrote.

Paragraphs of a batch do not see each other, so the backward of the *sum* of their losses holds the gradient of each
of them: a projection's weight gradient for paragraph b is Σ_t g[b, t] ⊗ x[b, t], x its input and g the gradient of
its output. No gradient of a parameter is ever formed here, and the model is left as it was found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from probes.errors import ProbeError
from probes.forward.beginning import lead, with_beginning
from probes.forward.fused import fused
from probes.forward.unembedding import nll_gradient

if TYPE_CHECKING:
    from torch import Tensor, nn

    from probes.architectures import Adapter

PASS_BYTES = 5_000_000


@dataclass(frozen=True)
class Capture:
    """What one projection read, [paragraph, position, input], and ∂L/∂ what it wrote, [paragraph, position, output]."""

    read: Tensor
    gradient: Tensor


def rows_per_pass(adapter: Adapter, ids: Tensor, batch_size: int) -> int:
    """Paragraphs per forward and backward: batch_size, fewer on the CPU where the MLP's tensors would pass PASS_BYTES.

    The allocator hands larger tensors back to the system after every operation and pays for each page again: at the
    shape of GPT-Neo 125M passes of 32 paragraphs take twice the time of passes of 4.
    """
    if adapter.embedding.weight.device.type != "cpu":
        return batch_size
    widest = max(max(p.module.weight.shape) for p in adapter.projections(0))
    return max(1, min(batch_size, PASS_BYTES // (4 * widest * ids.shape[1])))


def batches(ids: Tensor, batch_size: int) -> Iterator[Tensor]:
    """Consecutive rows, batch_size at a time; none for no rows."""
    for start in range(0, len(ids), batch_size):
        yield ids[start : start + batch_size]


def continuation_weights(token_ids: Tensor, prefix_length: int) -> Tensor:
    """Weights that make Σ weight · NLL the mean continuation NLL, [paragraph, continuation position]."""
    import torch

    count = token_ids.shape[1] - prefix_length
    return torch.full((len(token_ids), count), 1.0 / count)


def impact_weights(token_ids: Tensor, prefix_length: int, positions: Sequence[int]) -> Tensor:
    """Weights that pick the NLL of one continuation token of each paragraph, [paragraph, continuation position].

    Raises:
        ProbeError: not one position for each paragraph, or a position outside the continuation.
    """
    import torch

    picked = torch.as_tensor(positions).long()
    length = token_ids.shape[1]
    if picked.shape != (len(token_ids),):
        raise ProbeError(f"{picked.numel()} loss positions for {len(token_ids)} paragraphs; pass one for each.")
    if len(picked) and not (prefix_length <= int(picked.min()) and int(picked.max()) < length):
        raise ProbeError(f"loss positions must lie in the continuation, {prefix_length} to {length - 1}.")
    return torch.nn.functional.one_hot(picked - prefix_length, length - prefix_length).float()


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluation mode with gradients on, every module's training flag put back afterwards."""
    import torch

    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for module, flag in training.items():
            module.training = flag


@contextmanager
def recorded(
    modules: Sequence[nn.Module], writes_in_place: bool = False
) -> Iterator[dict[nn.Module, tuple[Tensor, Tensor]]]:
    """While open, the last input and output of each module, keyed by module.

    Where the model writes into outputs (OLMo clips its queries in place), what follows gets a copy.
    """
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def _keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        seen[module] = (inputs[0], output)
        return output.clone() if writes_in_place else None

    handles = [module.register_forward_hook(_keep) for module in modules]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def skipping(module: nn.Module, first_position: int) -> Iterator[None]:
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


def capture(
    adapter: Adapter,
    token_ids: Tensor,
    prefix_length: int,
    loss_weights: Tensor,
    modules: Sequence[nn.Module],
    *,
    is_whole: bool = True,
) -> dict[nn.Module, Capture]:
    """Inputs and output gradients of `modules` for L = Σ loss_weights · NLL of the continuation tokens.

    Positions are the model's own: a beginning of sequence, which weights work on as well, comes first (`lead`).

    Args:
        adapter: of the model.
        token_ids: [paragraph, position], one batch.
        prefix_length: first position that is predicted.
        loss_weights: [paragraph, continuation position].
        modules: projections to watch.
        is_whole: every position of every module. The loss does not depend on what the last MLP writes before position
            prefix_length - 1; without these positions there, sums over positions are the same for less work.

    Memory: the activations of one forward, one gradient for each watched output, one tile of logits.
    """
    import torch

    modules = list(dict.fromkeys(modules))
    ids = token_ids.to(adapter.embedding.weight.device)
    first = lead(adapter.model) + prefix_length - 1  # the first that predicts a token of the continuation
    with undisturbed(adapter.model), fused(adapter.model):
        # Embeddings that ask for a gradient keep the graph alive even where every parameter is frozen.
        embeddings = adapter.embedding(with_beginning(adapter.model, ids[:, :-1])).detach().requires_grad_()
        last = adapter.mlp(adapter.layer_count - 1)
        with recorded(modules, adapter.writes_in_place) as seen, skipping(last, 0 if is_whole else first):
            hidden = adapter.model.base_model(inputs_embeds=embeddings, use_cache=False).last_hidden_state
        at_hidden = torch.zeros_like(hidden)
        at_hidden[:, first:] = _loss_gradient(adapter, hidden.detach()[:, first:], ids[:, prefix_length:], loss_weights)
        outputs = [seen[module][1] for module in modules]
        gradients = torch.autograd.grad(hidden, outputs, at_hidden, materialize_grads=True)
    reads = {id(seen[m][0]): seen[m][0].detach() for m in modules}  # one object for maps that read the same tensor
    return {m: Capture(reads[id(seen[m][0])], g) for m, g in zip(modules, gradients, strict=True)}


def _loss_gradient(adapter: Adapter, hidden: Tensor, targets: Tensor, loss_weights: Tensor) -> Tensor:
    """∂L/∂hidden of the tokens that predict the continuation, [paragraph, position, hidden].

    Written out, because autograd would pass over the whole vocabulary five times.
    """
    import torch

    with torch.no_grad():
        gradient = nll_gradient(adapter.model, hidden.flatten(0, 1), targets.flatten()).view_as(hidden)
        return gradient * loss_weights.to(gradient)[..., None]
