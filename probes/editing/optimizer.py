"""Adam over chosen entries only.

The released code of P1 masks gradients and hands all weights to an optimizer whose weight decay then moves the masked
ones, too. Here nothing but the chosen entries is ever written, so the others stay bit-identical by construction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from probes.errors import ProbeError

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.nn import Parameter

    from probes.editing.selections import Chosen


@dataclass(frozen=True)
class AdamSettings:
    """Adam of Kingma and Ba 2015 (arXiv 1412.6980); weight decay is added to the gradient, as in torch.optim.Adam."""

    learning_rate: float
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def check(self) -> None:
        """Refuse settings that cannot work.

        Raises:
            ProbeError: names the setting.
        """
        import math

        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ProbeError(f"the learning rate is {self.learning_rate}; give a positive number.")
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1 and self.epsilon > 0 and self.weight_decay >= 0):
            raise ProbeError(f"the optimizer settings {self} are outside what Adam allows; correct them.")


@dataclass
class MaskedAdam:
    """Adam whose moments exist for the chosen entries only.

    `during_backward` updates each weight as soon as its gradient is there and drops the gradient, so gradients of two
    weights never lie in memory together.
    """

    weights: dict[str, Parameter]
    chosen: Chosen
    settings: AdamSettings
    step_count: int = 0
    moments: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    @contextmanager
    def during_backward(self) -> Iterator[None]:
        """While this lasts a backward pass is an optimizer step; call `begin_step` before each."""
        handles = []
        for name in self.chosen:
            weight = self.weights[name].requires_grad_(True)
            handles.append(weight.register_post_accumulate_grad_hook(lambda w, name=name: self._update(name, w)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            for name in self.chosen:
                self.weights[name].requires_grad_(False)
                self.weights[name].grad = None

    def begin_step(self) -> None:
        """Count the step that the next backward pass makes."""
        self.step_count += 1

    def apply(self, gradients: Mapping[str, Tensor]) -> None:
        """One step with gradients computed elsewhere, shaped like the weights, by parameter name."""
        self.begin_step()
        for name in self.chosen:
            self._move(name, gradients[name])

    def _update(self, name: str, weight: Tensor) -> None:
        gradient, weight.grad = weight.grad, None
        if gradient is not None:
            self._move(name, gradient)

    def _move(self, name: str, gradient: Tensor) -> None:
        """Write the chosen entries of one weight; all of them in place when the whole weight is chosen."""
        import torch

        with torch.no_grad():
            flat, places = self.weights[name].data.view(-1), self.chosen[name]
            if places is None:
                flat += self._change(name, flat, gradient.reshape(-1))
            else:
                values = flat[places]
                flat[places] = values + self._change(name, values, gradient.reshape(-1)[places])

    def _change(self, name: str, values: Tensor, gradient: Tensor) -> Tensor:
        """What Adam adds to the chosen entries, [entry]."""
        import torch

        adam = self.settings
        if adam.weight_decay:
            gradient = gradient + adam.weight_decay * values
        if name not in self.moments:
            self.moments[name] = torch.zeros_like(gradient), torch.zeros_like(gradient)
        mean, square = self.moments[name]
        mean.lerp_(gradient, 1 - adam.beta1)
        square.mul_(adam.beta2).addcmul_(gradient, gradient, value=1 - adam.beta2)
        size = (square.sqrt() / (1 - adam.beta2**self.step_count) ** 0.5).add_(adam.epsilon)
        return (mean / size).mul_(-adam.learning_rate / (1 - adam.beta1**self.step_count))


@contextmanager
def no_gradients(model: nn.Module) -> Iterator[None]:
    """All parameters without gradients inside; the flags are as before afterwards."""
    before = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    model.requires_grad_(False)
    try:
        yield
    finally:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(before[name])
