"""Forward passes of the sweep: one for the unchanged paragraphs, then one per group of neighbouring positions.

The positions of a group start from the keys and values of the unchanged tokens before the first of them. Groups go from
the end of the prefix to its beginning: what a pass writes lies behind everything that later passes reuse, so that one
buffer of keys and values, filled once, serves all of them and nothing is copied between passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probes.forward.beginning import lead, with_beginning
from probes.forward.body import body, keeps_keys
from probes.forward.unembedding import greedy_matches
from probes.perturbation.policies import gumbel_noise

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import Cache, PreTrainedModel


@dataclass(frozen=True)
class Match:
    """How a model continues: leading greedy matches with the reference and the reference's mean NLL; both [row]."""

    exact_match: Tensor
    nll_nats: Tensor


@dataclass(frozen=True)
class Context:
    """The unchanged paragraphs as the model sees them.

    Attributes:
        hidden: input of the output head, [row, position, hidden].
        keys_values: per layer keys and values, each [row, head, lead + position, size]; empty where a family does not
            keep them, and everything is read again for every edit.
        match: the reference under the unchanged prefix.
    """

    hidden: Tensor
    keys_values: list[tuple[Tensor, Tensor]]
    match: Match


def read_context(model: PreTrainedModel, prefix: Tensor, reference: Tensor, tile: int) -> Context:
    """Run the unchanged paragraphs once; [row, position] prefix and [row, continuation] reference ids."""
    import torch
    from transformers import DynamicCache

    # A cache without the configuration: layers with local attention must keep all keys, or edits could not branch off.
    cache = DynamicCache()
    ids = with_beginning(model, torch.cat([prefix, reference[:, :-1]], dim=1))
    keeps = keeps_keys(model, ids)
    hidden = body(model)(input_ids=ids, past_key_values=cache if keeps else None, use_cache=keeps)[0][:, lead(model) :]
    layers: list[Any] = cache.layers  # the base class of layers knows no keys
    keys_values = [(layer.keys, layer.values) for layer in layers]
    return Context(hidden, keys_values, _match(model, hidden[:, prefix.shape[1] - 1 :], reference, tile))


def edited_prefixes(prefix: Tensor, positions: tuple[int, ...], replacements: Tensor | None) -> Tensor:
    """Every edit written out.

    Args:
        prefix: token ids, [row, position].
        positions: which to change.
        replacements: new tokens, [row, position, draw] over all positions; None where the token is left out.

    Returns:
        Token ids, [edit x draw x row, position], one position shorter for deletions.
    """
    import torch

    if replacements is None:
        rest = [[place for place in range(prefix.shape[1]) if place != gone] for gone in positions]
        return prefix[:, torch.tensor(rest, device=prefix.device)].transpose(0, 1).flatten(0, 1)
    draws = replacements.shape[2]
    edited = prefix.repeat(len(positions), draws, 1, 1)  # [edit, draw, row, position]
    for index, place in enumerate(positions):
        edited[index, :, :, place] = replacements[:, place].T
    return edited.flatten(0, 2)


class Branches:
    """Many edits of the same few paragraphs, from the last position to the first.

    Args:
        context: the unchanged paragraphs.
        copies: edits of a paragraph that one pass takes, at most.
        length: tokens of a paragraph as it is read, edit and beginning of sequence included.
    """

    def __init__(self, context: Context, copies: int, length: int) -> None:
        self.context, self.copies, self.length = context, copies, length
        self.buffers: list[tuple[Tensor, Tensor]] = []

    def match(
        self, model: PreTrainedModel, edited: Tensor, reference: Tensor, reused: int, tile: int
    ) -> tuple[Tensor, Tensor]:
        """The reference under edited prefixes.

        Args:
            model: the model that read the context.
            edited: what `edited_prefixes` returns.
            reference: [row, continuation].
            reused: leading positions that no edit of this pass has changed; never more than in the pass before.
            tile: tokens whose logits are held at a time.

        Returns:
            Exact match and mean NLL, each [edit, row].
        """
        import torch

        copies = len(edited) // len(reference)
        followed = reference.repeat(copies, 1)
        suffix = torch.cat([edited[:, reused:], followed[:, :-1]], dim=1)
        known = reused + lead(model) if self.context.keys_values else 0
        cache = self._cache(len(edited), known) if known else None
        read = suffix if known else with_beginning(model, torch.cat([edited, followed[:, :-1]], dim=1))
        output = body(model)(input_ids=read, past_key_values=cache, use_cache=cache is not None)
        match = _match(model, output[0][:, -reference.shape[1] :], followed, tile)
        return match.exact_match.view(copies, -1), match.nll_nats.view(copies, -1)

    def _cache(self, rows: int, reused: int) -> Cache:
        """Keys and values of the model's first `reused` positions, with room for the rest."""
        from transformers import DynamicCache

        if not self.buffers:
            self.buffers = [
                (self._filled(keys, reused), self._filled(values, reused)) for keys, values in self.context.keys_values
            ]
        cache = DynamicCache()
        layer_type: Any = _buffer_layer()
        cache.layers = [layer_type(keys[:rows], values[:rows], reused) for keys, values in self.buffers]
        return cache

    def _filled(self, values: Tensor, reused: int) -> Tensor:
        """A buffer [edit x row, head, position, size] whose first positions hold those of the unchanged paragraphs."""
        rows, heads, _, size = values.shape
        buffer = values.new_empty(self.copies, rows, heads, self.length, size)
        buffer[..., :reused, :] = values[None, ..., :reused, :]
        return buffer.flatten(0, 1)


def _buffer_layer() -> type:
    """A layer of a cache that writes into room it was given; transformers is imported late."""
    from transformers.cache_utils import DynamicLayer

    class BufferLayer(DynamicLayer):
        """Keys and values in a buffer [row, head, position, size], of which the first `read` positions are known."""

        def __init__(self, keys: Tensor, values: Tensor, read: int) -> None:
            super().__init__()
            self.buffers, self.read = (keys, values), read
            self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
            self.keys, self.values = keys[:, :, :read], values[:, :, :read]

        def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
            """Write new keys and values behind the known ones, in place."""
            end = self.read + key_states.shape[2]
            for buffer, states in zip(self.buffers, (key_states, value_states), strict=True):
                buffer[:, :, self.read : end] = states
            self.keys, self.values = (buffer[:, :, :end] for buffer in self.buffers)
            self.read = end
            return self.keys, self.values

    return BufferLayer


def _match(model: PreTrainedModel, hidden: Tensor, reference: Tensor, tile: int) -> Match:
    """Apply the output head to [row, continuation, hidden] and compare with [row, continuation]."""
    hits, nll = greedy_matches(model, hidden.flatten(0, 1), reference.flatten(), tile)
    leading = hits.view(reference.shape).long().cumprod(dim=1).sum(dim=1)
    return Match(leading, nll.view(reference.shape).mean(dim=1))


def plausible_choices(
    model: PreTrainedModel, context: Context, prefix: Tensor, draws: int, seed: int, excluded_ids: tuple[int, ...] = ()
) -> Tensor:
    """Other tokens drawn from what the model expects at each prefix position after the true tokens before it.

    Draws of a position are without replacement, in proportion to the model's probabilities; `excluded_ids` and the
    token itself are never drawn.

    Returns:
        Token ids, [row, position, draw]; position 0 has no context and is filled with -1.
    """
    import torch

    head, found = model.get_output_embeddings(), []
    for hidden, ids in zip(context.hidden[:, : prefix.shape[1] - 1], prefix, strict=True):
        logits = head(hidden).float().scatter_(1, ids[1:, None], -torch.inf)
        logits[:, list(excluded_ids)] = -torch.inf
        noise = torch.from_numpy(gumbel_noise(ids.cpu().numpy(), logits.shape[1], seed))
        found.append((logits + noise.to(logits.device)).topk(draws, dim=-1).indices)
    return torch.nn.functional.pad(torch.stack(found), (0, 0, 1, 0), value=-1)


def second_choices(
    model: PreTrainedModel, context: Context, prefix: Tensor, draws: int, tile: int, excluded_ids: tuple[int, ...] = ()
) -> Tensor:
    """The most likely other tokens at each prefix position given the true tokens before it, without `excluded_ids`.

    Returns:
        Token ids, [row, position, draw]; position 0 has no context and is filled with -1.
    """
    import torch

    head = model.get_output_embeddings()
    hidden, truth = context.hidden[:, : prefix.shape[1] - 1].flatten(0, 1), prefix[:, 1:].flatten()
    found = []
    for rows, targets in zip(hidden.split(tile), truth.split(tile), strict=True):
        logits = head(rows).scatter_(1, targets[:, None], -torch.inf)
        logits[:, list(excluded_ids)] = -torch.inf
        found.append(logits.topk(draws, dim=-1).indices)
    choices = torch.cat(found).view(len(prefix), -1, draws)
    return torch.nn.functional.pad(choices, (0, 0, 1, 0), value=-1)
