"""The contrastive objective: move the likelihood of the targets, keep the distribution over other text.

unlearn = −w NLL(targets) + KL(p_θ0 ‖ p_θ on controls); edit = +w NLL(replacements) + KL (P1: Stoehr et al. 2024,
arXiv 2403.19851, section 5.3). The distribution of the frozen model is read once, before the first step, for the
control rows alone: there is no second copy of the weights. At θ0 the KL and its gradient are zero, so the first step,
and every selection made at step 0, follows the targets alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from probes.errors import ProbeError
from probes.forward.logits import logits_of
from probes.forward.unembedding import hidden_states

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter
    from transformers import PreTrainedModel

Kind = Literal["unlearn", "edit"]
KINDS: tuple[Kind, ...] = ("unlearn", "edit")


@dataclass(frozen=True)
class Objective:
    """Sign and weights of the two terms; the defaults are P1's: 0.1 on the NLL, KL summed over positions and
    vocabulary and divided by the number of control rows."""

    kind: Kind
    nll_weight: float = 0.1
    kl_weight: float = 1.0

    def check(self) -> None:
        """Refuse an unknown kind and weights that are no weights.

        Raises:
            ProbeError: names what is wrong.
        """
        if self.kind not in KINDS:
            raise ProbeError(f"objective {self.kind!r} is unknown; choose one of {', '.join(KINDS)}.")
        if not (self.nll_weight > 0 and self.kl_weight >= 0):
            raise ProbeError(
                f"the objective weighs the NLL by {self.nll_weight} and the KL by {self.kl_weight}; the first must be "
                "positive, the second must not be negative."
            )

    @property
    def signed_nll_weight(self) -> float:
        """What the mean continuation NLL of the target rows is multiplied with in the loss."""
        return -self.nll_weight if self.kind == "unlearn" else self.nll_weight


@dataclass(frozen=True)
class Terms:
    """The two terms at one moment: nats per token of the targets, nats per token of the controls."""

    nll_nats: float
    kl_nats: float


@dataclass(frozen=True)
class Frozen:
    """Next-token distribution of the unedited model at the continuation of the controls.

    `probability` is [control row × position, token]; `entropy_nats` is the sum of the entropies of its rows.
    """

    probability: Tensor
    entropy_nats: float


def continuation_logits(model: PreTrainedModel, token_ids: Tensor, prefix_length: int) -> Tensor:
    """Logits that predict the continuation: [paragraph, position] ids to [paragraph, continuation, token], float32."""
    hidden = hidden_states(model, token_ids[:, :-1])
    return logits_of(model, hidden[:, prefix_length - 1 :])


def freeze(model: PreTrainedModel, control_ids: Tensor, prefix_length: int) -> Frozen:
    """Read the distribution to be kept, once.

    Args:
        model: the unedited model.
        control_ids: [control, position]; may have no rows.
        prefix_length: tokens of the prefix.
    """
    import torch

    with torch.no_grad():
        logits = continuation_logits(model, control_ids.to(model.device), prefix_length)
        probability = logits.flatten(0, 1).softmax(-1)
        entropy = -torch.special.xlogy(probability, probability).sum()
    return Frozen(probability, float(entropy))


def loss_of(
    model: PreTrainedModel, objective: Objective, target_ids: Tensor, control_ids: Tensor, frozen: Frozen, prefix: int
) -> tuple[Tensor, Terms]:
    """The objective on one batch of targets and controls, read together in one forward pass.

    Args:
        model: the model as it is now.
        objective: sign and weights.
        target_ids: [target, position].
        control_ids: [control, position]; without rows the KL is left out.
        frozen: what `freeze` read for these controls.
        prefix: tokens of the prefix.

    Returns:
        The loss to differentiate, and its terms per token.
    """
    import torch
    from torch.nn.functional import cross_entropy

    rows = torch.cat([target_ids, control_ids]).to(model.device)
    logits = continuation_logits(model, rows, prefix)
    count = len(target_ids)
    nll = cross_entropy(logits[:count].flatten(0, 1), rows[:count, prefix:].flatten())
    loss = objective.signed_nll_weight * nll
    if not len(control_ids):
        return loss, Terms(float(nll.detach()), 0.0)
    # cross entropy minus the frozen entropy is the KL; its gradient is the softmax now minus the softmax then
    kl = cross_entropy(logits[count:].flatten(0, 1), frozen.probability, reduction="sum") - frozen.entropy_nats
    loss = loss + objective.kl_weight * kl / len(control_ids)
    return loss, Terms(float(nll.detach()), float(kl.detach()) / len(frozen.probability))


def target_gradient(
    model: PreTrainedModel,
    weights: dict[str, Parameter],
    objective: Objective,
    target_ids: Tensor,
    prefix: int,
    control_ids: Tensor | None = None,
    frozen: Frozen | None = None,
) -> dict[str, Tensor]:
    """Gradient of the objective at the weights as they are, by parameter name, shaped like the weights.

    At the unedited weights the KL has no gradient, so its controls may be left out.
    """
    import torch

    controls = target_ids[:0] if control_ids is None else control_ids
    with torch.enable_grad(), _requiring_gradients(weights):
        loss, _ = loss_of(model, objective, target_ids, controls, frozen or Frozen(torch.empty(0), 0.0), prefix)
        gradients = torch.autograd.grad(loss, list(weights.values()))
    return dict(zip(weights, gradients, strict=True))


@contextmanager
def _requiring_gradients(weights: dict[str, Parameter]) -> Iterator[None]:
    for weight in weights.values():
        weight.requires_grad_(True)
    try:
        yield
    finally:
        for weight in weights.values():
            weight.requires_grad_(False)
