"""Beginning of sequence at measurement: a token that the model reads before every paragraph.

It belongs to the loaded model as its dtype does, so that no measurement can forget it: whoever runs a paragraph through
the model puts `with_beginning` before and counts positions from the paragraph's first token. The beginning is context
and nothing else: it is not scored, not replaced, not looked at, and no intervention changes what is written there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

_NOTE = "rarecall_beginning_id"


def begin_with(model: nn.Module, token_id: int | None) -> None:
    """Note the token that stands before every paragraph; None for none."""
    model.__dict__[_NOTE] = token_id


def lead(model: nn.Module) -> int:
    """Tokens before the paragraph's first: 0 or 1. Position p of a paragraph is position lead + p of the model."""
    return int(model.__dict__.get(_NOTE) is not None)


def with_beginning(model: nn.Module, token_ids: Tensor) -> Tensor:
    """[paragraph, position] ids as the model reads them, [paragraph, lead + position]."""
    token_id = model.__dict__.get(_NOTE)
    if token_id is None:
        return token_ids
    import torch

    return torch.cat([token_ids.new_full((len(token_ids), 1), token_id), token_ids], dim=1)
