"""One run: from the unedited weights, a fixed number of steps on the chosen weights, watched on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from probes.editing.objective import Frozen, Objective, Terms, loss_of
from probes.editing.optimizer import AdamSettings, MaskedAdam
from probes.errors import ProbeError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter
    from transformers import PreTrainedModel

    from probes.editing.selections import Chosen


@dataclass(frozen=True)
class Recipe:
    """How an edit is made: objective, optimizer, number of steps, length of the prefix."""

    objective: Objective
    adam: AdamSettings
    step_count: int = 10
    prefix_length: int = 50

    def check(self) -> None:
        """Refuse what cannot work.

        Raises:
            ProbeError: names what is wrong.
        """
        self.objective.check()
        self.adam.check()
        if self.step_count < 1:
            raise ProbeError(f"an edit of {self.step_count} steps changes nothing; ask for at least one.")


@dataclass(frozen=True)
class Texts:
    """What a run reads: rows whose likelihood moves, rows that are to stay as they are, and how they are now.

    `target_ids` is [target, position]: the memorized paragraphs for unlearn; their prefixes with the replacement
    continuation for edit. `control_ids` is [control, position].
    """

    target_ids: Tensor
    control_ids: Tensor
    frozen: Frozen


@dataclass(frozen=True)
class EditedRun:
    """Where a run ended: terms before each step, and whether the controls ended worse than guessing."""

    terms: tuple[Terms, ...]
    is_diverged: bool


def run_edit(
    model: PreTrainedModel,
    weights: dict[str, Parameter],
    chosen: Chosen,
    recipe: Recipe,
    texts: Texts,
    first_gradient: Mapping[str, Tensor] | None = None,
    after_step: Callable[[int], None] = lambda step: None,
) -> EditedRun:
    """Move the chosen weights; the caller restores them (`originals_of`).

    Args:
        model: at the unedited weights, gradients off.
        weights: what `editable_weights` returns.
        chosen: what `select` returns.
        recipe: objective, optimizer, steps.
        texts: targets and controls.
        first_gradient: gradient of the objective at the unedited weights (`target_gradient`), which is the same for
            every selection; computed if not given.
        after_step: called with the number of steps made.

    Raises:
        ProbeError: the loss or a weight is no longer finite.
    """
    import torch

    optimizer, terms = MaskedAdam(weights, chosen, recipe.adam), []
    with torch.enable_grad(), optimizer.during_backward():
        for step in range(recipe.step_count):
            if step == 0 and first_gradient is not None:
                optimizer.apply(first_gradient)
            else:
                optimizer.begin_step()
                terms.append(_step(model, recipe, texts, step))
            after_step(step + 1)
    _refuse_non_finite({name: weights[name] for name in chosen}, recipe)
    limit = math.log(model.get_output_embeddings().weight.shape[0])
    return EditedRun(tuple(terms), bool(terms) and terms[-1].kl_nats > limit)


def _step(model: PreTrainedModel, recipe: Recipe, texts: Texts, step: int) -> Terms:
    # at the unedited weights the KL has neither value nor gradient, so the first step need not read the controls
    controls = texts.control_ids if step else texts.control_ids[:0]
    loss, terms = loss_of(model, recipe.objective, texts.target_ids, controls, texts.frozen, recipe.prefix_length)
    if not math.isfinite(float(loss.detach())):
        raise diverged(recipe, step)
    loss.backward()
    return terms


def _refuse_non_finite(weights: dict[str, Parameter], recipe: Recipe) -> None:
    import torch

    if not all(bool(torch.isfinite(weight).all()) for weight in weights.values()):
        raise diverged(recipe, recipe.step_count)


def diverged(recipe: Recipe, step: int) -> ProbeError:
    """The error of a run that left the finite numbers."""
    return ProbeError(
        f"the edit diverged within {max(1, step)} of {recipe.step_count} steps with learning rate "
        f"{recipe.adam.learning_rate:g}; nothing was kept, lower the learning rate."
    )
