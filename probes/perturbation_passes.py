"""Forward passes of the sweep: one for the unchanged paragraph, then one per edit from the edited position on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import Cache, PreTrainedModel


@dataclass(frozen=True)
class Match:
    """How a model continues: leading greedy matches with the reference and the reference's mean NLL; both [row]."""

    exact_match: Tensor
    nll_nats: Tensor


@dataclass(frozen=True)
class Edit:
    """One changed prefix position: the new tokens, [row, variant], or None where the token is left out."""

    position: int
    replacement_ids: Tensor | None


@dataclass(frozen=True)
class Context:
    """The unchanged paragraphs as the model sees them.

    Attributes:
        hidden: input of the output head, [row, position, hidden].
        keys_values: per layer keys and values, each [row, head, position, size].
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
    ids = torch.cat([prefix, reference[:, :-1]], dim=1)
    hidden = model.base_model(input_ids=ids, past_key_values=cache, use_cache=True).last_hidden_state
    layers: list[Any] = cache.layers  # the base class of layers knows no keys
    keys_values = [(layer.keys, layer.values) for layer in layers]
    return Context(hidden, keys_values, _match(model, hidden[:, prefix.shape[1] - 1 :], reference, tile))


def match_edited(
    model: PreTrainedModel, context: Context, edit: Edit, prefix: Tensor, reference: Tensor, tile: int
) -> Match:
    """The reference under an edited prefix; rows of the result are [row x variant].

    Only positions from the edit on are run; a deleted last token needs the one before it once more, because its
    output predicts the first reference token.
    """
    import torch

    variants = 1 if edit.replacement_ids is None else edit.replacement_ids.shape[1]
    reused = min(edit.position, prefix.shape[1] - 1 - (edit.replacement_ids is None))
    reference = reference.repeat_interleave(variants, dim=0)
    before, after = (part.repeat_interleave(variants, dim=0) for part in _around(prefix, edit.position, reused))
    new = before[:, :0] if edit.replacement_ids is None else edit.replacement_ids.reshape(-1, 1)
    suffix = torch.cat([before, new, after, reference[:, :-1]], dim=1)
    cache = _branch(context, reused, variants)
    output = model.base_model(input_ids=suffix, past_key_values=cache, use_cache=cache is not None)
    return _match(model, output.last_hidden_state[:, -reference.shape[1] :], reference, tile)


def _around(prefix: Tensor, position: int, reused: int) -> tuple[Tensor, Tensor]:
    """Prefix tokens between the reused ones and the edit, and those after the edit."""
    return prefix[:, reused:position], prefix[:, position + 1 :]


def _branch(context: Context, reused: int, variants: int) -> Cache | None:
    """Keys and values of the first `reused` positions, each paragraph repeated for its variants."""
    from transformers import DynamicCache

    if not reused:
        return None

    def cut(values: Tensor) -> Tensor:
        kept = values[:, :, :reused]
        return kept.repeat_interleave(variants, dim=0) if variants > 1 else kept

    return DynamicCache([(cut(keys), cut(values)) for keys, values in context.keys_values])


def _match(model: PreTrainedModel, hidden: Tensor, reference: Tensor, tile: int) -> Match:
    """Apply the output head `tile` tokens at a time; [row, continuation, hidden] and [row, continuation]."""
    import torch

    head = model.get_output_embeddings()
    hits, nll = [], []
    for rows, targets in zip(hidden.flatten(0, 1).split(tile), reference.flatten().split(tile), strict=True):
        logits = head(rows).float()
        hits.append(logits.argmax(dim=-1) == targets)
        nll.append(torch.nn.functional.cross_entropy(logits, targets, reduction="none"))
    leading = torch.cat(hits).view(reference.shape).long().cumprod(dim=1).sum(dim=1)
    return Match(leading, torch.cat(nll).view(reference.shape).double().mean(dim=1))


def second_choices(model: PreTrainedModel, context: Context, prefix: Tensor, draws: int, tile: int) -> Tensor:
    """The most likely other tokens at each prefix position given the true tokens before it.

    Returns:
        Token ids, [row, position, draw]; position 0 has no context and is filled with -1.
    """
    import torch

    head = model.get_output_embeddings()
    hidden, truth = context.hidden[:, : prefix.shape[1] - 1].flatten(0, 1), prefix[:, 1:].flatten()
    found = []
    for rows, targets in zip(hidden.split(tile), truth.split(tile), strict=True):
        logits = head(rows).scatter_(1, targets[:, None], -torch.inf)
        found.append(logits.topk(draws, dim=-1).indices)
    choices = torch.cat(found).view(len(prefix), -1, draws)
    return torch.nn.functional.pad(choices, (0, 0, 1, 0), value=-1)
