"""Readout of an edited model: exact match, likelihood, and the chance that sampling recites a paragraph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from probes.editing.objective import continuation_logits
from probes.errors import ProbeError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class NonFiniteReadout(ProbeError):  # noqa: N818 (the name says what happened)
    """The weights no longer give probabilities."""


@dataclass(frozen=True)
class Readout:
    """Per paragraph, all from one teacher-forced pass (`probes/scoring/teacher_forced.py`: why it equals decoding).

    `is_match` and `nll_nats` are [paragraph, continuation]; `logprob_nats` is [paragraph, temperature], the log of the
    chance that sampling at that temperature writes the whole continuation (p_z of Hayes et al. 2025).
    """

    is_match: np.ndarray
    nll_nats: np.ndarray
    logprob_nats: np.ndarray

    @property
    def exact_match(self) -> np.ndarray:
        """Leading matches, [paragraph], int64."""
        return self.match_after(0)

    def match_after(self, skipped: int) -> np.ndarray:
        """Leading matches after the first `skipped` true continuation tokens are given as well, [paragraph], int64."""
        return self.is_match[:, skipped:].cumprod(axis=1).sum(axis=1)

    @property
    def mean_nll_nats(self) -> np.ndarray:
        """Mean NLL of the continuation, [paragraph]."""
        return self.nll_nats.mean(axis=1)

    def rows(self, part: slice | np.ndarray) -> Readout:
        """The same for some of the paragraphs."""
        return Readout(self.is_match[part], self.nll_nats[part], self.logprob_nats[part])


def read_out(
    model: PreTrainedModel,
    token_ids: Tensor,
    prefix_length: int,
    temperatures: tuple[float, ...] = (1.0,),
    batch_size: int = 16,
) -> Readout:
    """Read paragraphs under the weights as they are.

    Args:
        model: causal language model of transformers.
        token_ids: [paragraph, position], at least one.
        prefix_length: tokens that are given.
        temperatures: sampling temperatures for `logprob_nats`.
        batch_size: paragraphs per pass.

    Raises:
        NonFiniteReadout: a probability is not finite.
    """
    import torch

    with torch.inference_mode():
        parts = [
            _read_batch(model, ids.to(model.device), prefix_length, temperatures) for ids in token_ids.split(batch_size)
        ]
    match, nll, logprob = (np.concatenate(column) for column in zip(*parts, strict=True))
    if not np.isfinite(nll).all():
        raise NonFiniteReadout("the model gives no finite probabilities any more; lower the learning rate.")
    return Readout(match, nll, logprob)


def _read_batch(
    model: PreTrainedModel, ids: Tensor, prefix_length: int, temperatures: tuple[float, ...]
) -> tuple[np.ndarray, ...]:
    import torch
    from torch.nn.functional import cross_entropy

    logits, truth = continuation_logits(model, ids, prefix_length), ids[:, prefix_length:]
    sampled = [
        cross_entropy((logits / t if t != 1 else logits).flatten(0, 1), truth.flatten(), reduction="none")
        for t in (1.0, *temperatures)
    ]
    nll = [part.view(truth.shape).double().cpu() for part in sampled]
    logprob = torch.stack([-part.sum(1) for part in nll[1:]], dim=1)
    return (logits.argmax(-1) == truth).cpu().numpy(), nll[0].numpy(), logprob.numpy()
