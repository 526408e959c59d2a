"""Trial of a checkpoint's output head before any work: what its class does to logits, without its weights.

Scoring applies the output head in tiles (`probes.forward.unembedding`) and refuses a class that does more to its logits
than these know. Here the same comparison is made when a checkpoint is added: the class is built from the checkpoint's
own configuration without storage, its body is replaced by random numbers, its head by a small one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.checkpoints.placement import hollow_model
from probes.errors import ProbeError
from probes.forward.body import body
from probes.forward.unembedding import refuse_unusual_head

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig, PreTrainedModel

POSITIONS, ROWS = 17, 48
SPREAD = 12.0
"""Logits of the trial spread as those of trained models do, so that a factor or a cap shows."""


def try_head(folder: Path, config: PretrainedConfig) -> None:
    """Refuse what scoring would refuse. A class that cannot be tried without its body is tried when it is scored.

    Raises:
        ProbeError: the class changes its logits in a way that scoring in tiles would miss.
    """
    import torch

    try:
        model = _with_random_body(hollow_model(folder, config))
        refuse_unusual_head(model, torch.arange(POSITIONS + 1)[None] % ROWS)
    except ProbeError:
        raise
    except Exception:  # each class has its own words for a body that is none
        return


def _with_random_body(model: PreTrainedModel) -> PreTrainedModel:
    """The class with POSITIONS random hidden states for a body, and a head of ROWS tokens; all else has no storage."""
    import torch

    head = model.get_output_embeddings()
    width, is_shifted = head.weight.shape[1], getattr(head, "bias", None) is not None
    with torch.random.fork_rng():
        torch.manual_seed(0)
        small: Any = torch.nn.Linear(width, ROWS, bias=is_shifted)
        torch.nn.init.normal_(small.weight, 0, SPREAD / width**0.5)
        hidden = torch.randn(1, POSITIONS, width)
    model.set_output_embeddings(small)
    whole = body(model)
    for part in (whole, getattr(whole, "decoder", whole)):  # OPT asks the decoder inside
        object.__setattr__(part, "forward", lambda *_, **__: _BodyOutput(hidden))
    return model.float().eval().requires_grad_(False)


class _BodyOutput:
    """What classes read of their body's output: the hidden states, by name or as the first of a tuple."""

    def __init__(self, hidden: Tensor) -> None:
        self.last_hidden_state = hidden

    def __getitem__(self, place: Any) -> Any:
        return (self.last_hidden_state,)[place]

    def __getattr__(self, name: str) -> None:
        return None
