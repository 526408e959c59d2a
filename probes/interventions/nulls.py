"""Nulls of selectivity: as many heads drawn at random, and noise on all weights that costs other text as much.

Any damage has some selectivity by chance and by nature (recited tokens are surer than others), so zero is no null.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probes.architectures import Adapter, HeadRef
from probes.interventions.hooks import Intervention, Kind
from probes.interventions.selectivity import Losses, bootstrap_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

Heads = tuple[HeadRef, ...]

NOISE_STRENGTHS = (0.03, 0.06, 0.1, 0.17, 0.3, 0.5, 0.8, 1.1, 1.5)
"""In standard deviations of each weight: from what nobody notices to a model that knows nothing."""
NOISE_SEEDS = tuple(range(6))
LEVEL = 0.05


@dataclass(frozen=True)
class Noise:
    """Gaussian noise on all weights, `strength` standard deviations of each."""

    strength: float
    seed: int


def noises() -> list[Noise]:
    """Every strength with every seed, strengths of a seed side by side and ascending."""
    return [Noise(strength, seed) for seed in NOISE_SEEDS for strength in NOISE_STRENGTHS]


@contextmanager
def all_weights_noised(model: nn.Module, noise: Noise) -> Iterator[None]:
    """While open every weight w is w + strength · std(w) · N(0, 1); afterwards all are what they were, bit by bit."""
    import torch

    generator = torch.Generator().manual_seed(noise.seed)
    kept = [(weight, weight.detach().clone()) for weight in model.parameters()]
    try:
        with torch.no_grad():
            for weight, before in kept:
                draw = torch.randn(before.shape, generator=generator).to(before)
                spread = before.float().std() if before.numel() > 1 else before.float().abs().mean()
                weight.copy_(before + noise.strength * spread.to(before) * draw)
        yield
    finally:
        with torch.no_grad():
            for weight, before in kept:
                weight.copy_(before)


def heads_of(adapter: Adapter, intervention: Intervention) -> Heads:
    """Heads whose attention an intervention changes; none where it changes an MLP or nothing."""
    if intervention.part == "mlp" or intervention.kind == "none":
        return ()
    heads = range(adapter.head_count) if intervention.head is None else (intervention.head,)
    return tuple(HeadRef(layer, head) for layer in intervention.layers for head in heads)


def random_heads(adapter: Adapter, size: int, count: int, seed: int) -> list[Heads]:
    """Different sets of `size` heads drawn at random; all there are where these are no more than `count` + 1."""
    import numpy as np

    every = [HeadRef(layer, head) for layer in range(adapter.layer_count) for head in range(adapter.head_count)]
    if math.comb(len(every), size) <= count + 1:
        return list(itertools.combinations(every, size))
    rng, drawn = np.random.default_rng([seed, size]), dict[Heads, None]()
    while len(drawn) < count:
        pick = rng.choice(len(every), size, replace=False)
        drawn[tuple(every[index] for index in sorted(pick))] = None
    return list(drawn)


def ablations(kind: Kind, heads: Heads) -> tuple[Intervention, ...]:
    """The same thing done to each of the heads."""
    return tuple(Intervention(kind, (head.layer,), head.head) for head in heads)


@dataclass(frozen=True)
class Nulls:
    """Selectivity of the alternatives on one group of paragraphs, with the resamples of the group.

    Attributes:
        random: losses of random choices by kind and number of heads, with the heads.
        noise: losses under each noise of `noises()`, in its order.
    """

    random: dict[tuple[str, int], list[tuple[Heads, Losses]]]
    noise: Sequence[Losses]

    def beside(self, ours: Losses, kind: str, heads: Heads) -> dict[str, float | bool | None]:
        """An intervention's place among the alternatives, under the names of the table interventions.

        excess is what selectivity exceeds a null by, of both nulls the one that leaves less; its interval holds the
        error of the paragraphs and how much one random choice, or one noise, differs from the next. is_selective: that
        interval lies above 0, and at most 5 % of the random choices do as well (none, where they are under 19).
        """
        import numpy as np

        others = [found.selectivity for names, found in self.random.get((kind, len(heads)), []) if names != heads]
        beside_random, p_value = _place(ours.selectivity, others)
        noise = list(self._noise_of_equal_cost(float(ours.cost_nats[0])))
        beside_noise, _ = _place(ours.selectivity, noise)
        if not others and not noise:
            noise = [np.zeros_like(ours.selectivity)]
        excesses = [
            _excess(ours.selectivity, np.array(found), ours.cluster_count) for found in (others, noise) if found
        ]
        null, excess, lower, upper = min(excesses, key=lambda found: found[2] if found[2] is not None else -np.inf)
        is_rare = not others or (p_value is not None and p_value <= max(LEVEL, 1 / (1 + len(others))) + 1e-12)
        return (
            {f"random_{name}": value for name, value in beside_random.items()}
            | {"p_value": p_value}
            | {f"noise_{name}": value for name, value in beside_noise.items()}
            | {"null_value": null, "excess": excess, "excess_lower": lower, "excess_upper": upper}
            | {"is_selective": lower is not None and lower > 0 and is_rare}
        )

    def _noise_of_equal_cost(self, cost_nats: float) -> NDArray[Any]:
        """Selectivity of the noise that first costs utility as much, one per seed, [seed, 1 + draw]."""
        import numpy as np

        count = len(NOISE_STRENGTHS)
        seeds = [self.noise[start : start + count] for start in range(0, len(self.noise), count)]
        return np.array([_at_equal_cost(curve, cost_nats) for curve in seeds if len(curve)])


def as_best(beside: dict[str, float | bool | None], wider: float) -> dict[str, float | bool | None]:
    """What `Nulls.beside` says, with the interval of the excess widened for the best of several (`widening`)."""
    excess, lower, upper = (beside[name] for name in ("excess", "excess_lower", "excess_upper"))
    if excess is None or lower is None or upper is None:
        return beside | {"family_lower": None, "family_upper": None}
    return beside | {
        "family_lower": excess - wider * (excess - lower),
        "family_upper": excess + wider * (upper - excess),
    }


def _excess(ours: NDArray[Any], null: NDArray[Any], cluster_count: int) -> tuple[float | None, ...]:
    """Mean of a null, selectivity beyond it, and the 95 % interval of that; ours [1 + draw], null [choice, 1 + draw].

    Two errors meet (MOVER: Zou and Donner 2008): of the paragraphs, resampled in both alike, and of one further choice
    of the null, by t.
    """
    import numpy as np
    from scipy.stats import t

    excess, lower, upper = bootstrap_interval(ours - null.mean(axis=0), cluster_count)
    if excess is None or lower is None or upper is None:
        return None, None, None, None
    count, spread = len(null), 0.0
    if count > 1:
        spread = float(t.ppf(0.975, count - 1) * null[:, 0].std(ddof=1) * np.sqrt(1 + 1 / count))
    below, above = np.hypot(excess - lower, spread), np.hypot(upper - excess, spread)
    return float(null[:, 0].mean()), excess, float(excess - below), float(excess + above)


def _at_equal_cost(curve: Sequence[Losses], cost_nats: float) -> NDArray[Any]:
    """Selectivity along noise of rising strength, read off where other text's NLL has risen as much."""
    import numpy as np

    before_cost, before = 0.0, np.zeros_like(curve[0].selectivity)
    if cost_nats <= 0:
        return before
    for found in curve:
        cost = float(found.cost_nats[0])
        if cost >= cost_nats:
            share = (cost_nats - before_cost) / (cost - before_cost)
            mixed: NDArray[Any] = (1 - share) * before + share * found.selectivity
            return mixed
        before_cost, before = cost, found.selectivity
    return before


def _place(ours: NDArray[Any], others: Sequence[NDArray[Any]]) -> tuple[dict[str, float | None], float | None]:
    """Mean and central 95 % of the alternatives, and the share of them that does at least as much, ours counted."""
    import numpy as np

    known = np.array([other[0] for other in others if np.isfinite(other[0])])
    if not np.isfinite(ours[0]) or not len(known):
        return dict.fromkeys(("mean", "lower", "upper")), None
    lower, upper = np.quantile(known, [0.025, 0.975])
    place: dict[str, float | None] = {"mean": float(known.mean()), "lower": float(lower), "upper": float(upper)}
    return place, float((1 + (known >= ours[0] - 1e-12).sum()) / (1 + len(known)))
