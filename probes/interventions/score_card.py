"""Score card of localizations: do the heads a method points at matter more than as many heads drawn at random?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from probes.architectures import Adapter, HeadRef, adapter_for
from probes.errors import ProbeError
from probes.interventions.hooks import Kind, Means, activation_means, check
from probes.interventions.nulls import Heads, Nulls, ablations, as_best, random_heads
from probes.interventions.selectivity import (
    Losses,
    bootstrap_interval,
    bootstrap_weights,
    losses,
    selectivity_levels,
    widening,
)
from probes.interventions.sweep import UTILITY, cluster_units, constant_share, noise_outcomes, outcomes, some

if TYPE_CHECKING:
    import polars as pl
    from torch import nn


def score_card(
    model: nn.Module,
    groups: Mapping[str, Any],
    utility_ids: Any,
    choices: Mapping[str, Sequence[HeadRef]],
    kind: Kind = "mean",
    prefix_length: int = 50,
    batch_size: int = 32,
    clusters: Mapping[str, Sequence[int]] | None = None,
    random_count: int = 40,
    seed: int = 0,
    bootstrap_count: int = 1000,
) -> pl.DataFrame:
    """Selectivity of ablating each choice of heads, beside same-size random choices from all heads of the model.

    Args:
        model: causal language model of a supported architecture, left as found.
        groups: token ids by group, [paragraph, position]: the paragraphs the choice was made on, other memorized ones.
        utility_ids: unrelated held-out text, [paragraph, position].
        choices: heads by method, e.g. the top ten by gradient; a block is all its heads.
        kind: what is done to the heads, see `Intervention`.
        prefix_length: tokens of a paragraph that are given.
        batch_size: paragraphs per forward at most.
        clusters: near-duplicate cluster of each paragraph by group.
        random_count: random choices per size.
        seed: of the random choices and the bootstrap.
        bootstrap_count: resamples of clusters behind lower and upper.

    Returns:
        One row per choice and evaluation, an evaluation being a group or "unrelated", the held-out text: choice,
        heads (`layer.head`, spaces between), head_count, evaluation, paragraph_count, drop_share, drop_lower,
        drop_upper (relative loss of exact match, of token accuracy where unrelated), random_drop_mean,
        random_drop_lower, random_drop_upper (mean, 2.5 % and 97.5 % quantile over random choices), drop_p_value (share
        of random choices that lose at least as much, the choice itself counted); and where it is not unrelated
        selectivity, its nulls, family_lower and family_upper (for the best of the choices) and is_selective as in
        `measure_interventions`; is_collapsed.

    Raises:
        ProbeError: an empty choice, a head that does not exist, no paragraphs.
    """
    adapter = adapter_for(model)
    means = activation_means(model, utility_ids, batch_size) if kind == "mean" else None
    named = [(name, tuple(heads)) for name, heads in choices.items()]
    _check(adapter, named, kind, means)
    sizes = sorted({len(heads) for _, heads in named})
    rivals = {size: random_heads(adapter, size, random_count, seed) for size in sizes}
    plans = [heads for _, heads in named] + [heads for drawn in rivals.values() for heads in drawn]
    bundles = [(), *(ablations(kind, heads) for heads in plans)]
    texts = {UTILITY: (some(model, utility_ids, 1, UTILITY), 1)}
    texts |= {group: (some(model, ids, prefix_length, group), prefix_length) for group, ids in groups.items()}
    found = {name: outcomes(adapter, *text, bundles, means, batch_size) for name, text in texts.items()}
    noise, use = noise_outcomes(adapter, texts, batch_size), found[UTILITY]
    of_use = bootstrap_weights(cluster_units(None, use[0], UTILITY), seed + 1, bootstrap_count)
    guess = constant_share(texts[UTILITY][0])
    rows: list[dict[str, Any]] = []
    unrelated: list[dict[str, Any]] = []
    collapsed = [bool(one.accuracy.mean() <= guess) for one in use[1:]]
    for group in groups:
        recital = found[group]
        units = cluster_units((clusters or {}).get(group), recital[0], group)
        draws = bootstrap_weights(units, seed, bootstrap_count), of_use
        count = min(1 + int(units.max()), len(use[0].nll))
        lost = [losses(m, recital[0], u, use[0], draws, count) for m, u in zip(recital[1:], use[1:], strict=True)]
        noisy = [
            losses(m, recital[0], u, use[0], draws, count) for m, u in zip(noise[group], noise[UTILITY], strict=True)
        ]
        card = _Card(kind, named, rivals, lost, noisy, collapsed)
        rows += card.rows(group, len(units))
        unrelated = unrelated or card.of_utility(len(use[0].nll))
    return _frame(rows + unrelated)


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    import polars as pl

    types = (
        dict.fromkeys(("choice", "heads", "evaluation"), pl.String)
        | dict.fromkeys(("head_count", "paragraph_count"), pl.Int32)
        | dict.fromkeys(("is_collapsed", "is_selective"), pl.Boolean)
    )
    return pl.DataFrame(rows, schema={name: types.get(name, pl.Float64) for name in (rows[0] if rows else types)})


def _check(adapter: Adapter, named: list[tuple[str, Heads]], kind: Kind, means: Means | None) -> None:
    for name, heads in named:
        if not heads:
            raise ProbeError(f"choice {name!r} names no head; leave it out or name at least one.")
        for head in heads:
            check(adapter, ablations(kind, (head,))[0], means)


class _Card:
    """Rows of one group; `lost` holds the losses of the choices, then of the random ones size by size."""

    def __init__(
        self,
        kind: Kind,
        named: list[tuple[str, Heads]],
        rivals: dict[int, list[Heads]],
        lost: list[Losses],
        noisy: list[Losses],
        collapsed: list[bool],
    ) -> None:
        self.kind, self.named, self.lost, self.collapsed = kind, named, lost, collapsed
        random: dict[tuple[str, int], list[tuple[Heads, Losses]]] = {}
        start = len(named)
        for size, drawn in rivals.items():
            random[kind, size] = list(zip(drawn, lost[start : start + len(drawn)], strict=True))
            start += len(drawn)
        self.nulls = Nulls(random, noisy)

    def rows(self, evaluation: str, paragraph_count: int) -> list[dict[str, Any]]:
        """One row per choice: what it costs recital, how selectively, and what its rivals do."""
        import numpy as np

        found = self._rows(evaluation, paragraph_count, "exact_match")
        wider = widening(np.array([lost.selectivity for lost in self.lost[: len(self.named)]]))
        for row, (_, heads), lost in zip(found, self.named, self.lost, strict=False):
            names = ("selectivity", "lower", "upper")
            beside = as_best(self.nulls.beside(lost, self.kind, heads), wider)
            row |= {name: selectivity_levels(lost)[name] for name in names} | beside
        return found

    def of_utility(self, paragraph_count: int) -> list[dict[str, Any]]:
        """The same choices, looked at for what they cost the held-out text alone."""
        return self._rows("unrelated", paragraph_count, "utility")

    def _rows(self, evaluation: str, paragraph_count: int, measure: str) -> list[dict[str, Any]]:
        found = []
        for (name, heads), lost, is_collapsed in zip(self.named, self.lost, self.collapsed, strict=False):
            others = [getattr(o, measure)[0] for names, o in self.nulls.random[self.kind, len(heads)] if names != heads]
            ends = zip(
                ("share", "lower", "upper"), bootstrap_interval(getattr(lost, measure), lost.cluster_count), strict=True
            )
            found.append(
                {"choice": name, "heads": " ".join(map(str, heads)), "head_count": len(heads), "evaluation": evaluation}
                | {"paragraph_count": paragraph_count}
                | {f"drop_{end}": value for end, value in ends}
                | _against(float(getattr(lost, measure)[0]), others)
                | {"is_collapsed": is_collapsed}
            )
        return found


def _against(ours: float, others: list[float]) -> dict[str, float | None]:
    """Where a drop stands among those of the random choices: their mean and quantiles, and a p value."""
    import numpy as np

    known = np.array([value for value in others if np.isfinite(value)])
    if not np.isfinite(ours) or not len(known):
        return dict.fromkeys((*(f"random_drop_{name}" for name in ("mean", "lower", "upper")), "drop_p_value"))
    lower, upper = np.quantile(known, [0.025, 0.975])
    return {
        "random_drop_mean": float(known.mean()),
        "random_drop_lower": float(lower),
        "random_drop_upper": float(upper),
        "drop_p_value": float((1 + (known >= ours).sum()) / (1 + len(known))),
    }
