"""Checks before any work: are these token ids paragraphs that this model can read?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from probes.errors import ProbeError
from probes.forward.beginning import lead

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel


class NonFiniteScore(ProbeError):  # noqa: N818 (the name says what happened)
    """A score came out as NaN or infinite; `row` is the paragraph's index in the input."""

    def __init__(self, row: int, position: int) -> None:
        self.row = row
        self.position = position
        super().__init__(
            f"the model gives no finite probability to position {position} of paragraph {row}; look for NaN in the "
            "weights, or score in float32."
        )

    def __reduce__(self) -> tuple[type[NonFiniteScore], tuple[int, int]]:
        """Survive the way back from a worker process."""
        return type(self), (self.row, self.position)


def as_paragraphs(token_ids: Any, *, longer_than: int) -> Tensor:
    """Token ids as an int64 tensor on the CPU, [paragraph, position].

    Args:
        token_ids: array, tensor or nested sequence of integers, [paragraph, position].
        longer_than: every paragraph needs more tokens than this.

    Raises:
        ProbeError: not integers, not one rectangle, or too short.
    """
    import torch

    array = token_ids.detach().cpu().numpy() if isinstance(token_ids, torch.Tensor) else _as_array(token_ids)
    if array.ndim != 2:
        raise ProbeError(f"token ids have {array.ndim} axes; give [paragraph, position].")
    if not np.issubdtype(array.dtype, np.integer):
        raise ProbeError(f"token ids are of type {array.dtype}; give integers.")
    if array.shape[1] <= longer_than:
        raise ProbeError(
            f"paragraphs have {array.shape[1]} tokens, but the prefix of {longer_than} and at least one token to "
            f"continue it need {longer_than + 1}; sample longer windows or ask for a shorter prefix."
        )
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.int64))


def _as_array(token_ids: Any) -> np.ndarray:
    try:
        return np.asarray(token_ids)
    except ValueError as error:
        raise ProbeError("paragraphs have different lengths; give windows of one length.") from error


def refuse_unreadable(model: PreTrainedModel, token_ids: Tensor, read_length: int) -> None:
    """Refuse ids beyond the vocabulary and inputs beyond the context of the model.

    Args:
        model: the model that is to read them.
        token_ids: [paragraph, position].
        read_length: tokens of a paragraph that go through the model at most.

    Raises:
        ProbeError: names the paragraph and the id, or both lengths.
    """
    vocabulary = len(model.get_input_embeddings().weight)  # type: ignore[arg-type]
    wrong = ((token_ids < 0) | (token_ids >= vocabulary)).nonzero()
    if len(wrong):
        row, position = wrong[0].tolist()
        raise ProbeError(
            f"paragraph {row} has token id {token_ids[row, position]} at position {position}, but the model knows "
            f"0..{vocabulary - 1}; were the paragraphs cut with another tokenizer?"
        )
    context, read_length = getattr(model.config, "max_position_embeddings", None), read_length + lead(model)
    if context is not None and read_length > context:
        raise ProbeError(
            f"paragraphs put {read_length} tokens into the model, but its context is {context}; sample shorter windows."
        )


def readable_paragraphs(model: nn.Module, token_ids: Any, prefix_length: int) -> Tensor:
    """Token ids of paragraphs that split after `prefix_length` and that this model reads but for their last token.

    Returns:
        int64 on the CPU, [paragraph, position].

    Raises:
        ProbeError: as `as_paragraphs` and `refuse_unreadable`, or an empty prefix.
    """
    require_at_least(1, prefix_length=prefix_length)
    ids = as_paragraphs(token_ids, longer_than=prefix_length)
    refuse_unreadable(cast("PreTrainedModel", model), ids, read_length=ids.shape[1] - 1)
    return ids


def require_at_least(least: int, **settings: int) -> None:
    """Refuse settings, given by name, that are smaller than makes sense.

    Raises:
        ProbeError: names the setting.
    """
    for name, value in settings.items():
        if value < least:
            raise ProbeError(f"{name} is {value}; it needs to be at least {least}.")
