"""Score card of localizations: do the heads a method points at matter more than as many heads drawn at random?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from probes.architectures import Adapter, HeadRef, adapter_for
from probes.errors import ProbeError
from probes.interventions import cluster_units, outcomes, some
from probes.interventions_hooks import Intervention, Kind, Means, activation_means, check
from probes.interventions_selectivity import Outcome, bootstrap_weights, selectivity

if TYPE_CHECKING:
    import polars as pl
    from torch import nn

Heads = tuple[HeadRef, ...]


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
        choice, paragraph_group, head_count, em_mean, memorization_drop_share, utility_drop_share, selectivity, lower,
        upper, is_collapsed, is_selective (as in `measure_interventions`), random_mean, random_lower, random_upper
        (mean, 2.5 % and 97.5 % quantile of the random choices' selectivity) and p_value: share of random choices at
        least as selective, the choice itself counted, so at least 1 / (random_count + 1).

    Raises:
        ProbeError: an empty choice, a head that does not exist, no paragraphs.
    """
    import polars as pl

    adapter = adapter_for(model)
    means = activation_means(model, utility_ids, batch_size) if kind == "mean" else None
    named = [(name, tuple(heads)) for name, heads in choices.items()]
    rivals = _rivals(adapter, named, random_count, seed)
    plans = [heads for _, heads in named] + [heads for drawn in rivals.values() for heads in drawn]
    bundles = [[], *([_ablate(kind, head) for head in heads] for heads in plans)]
    _check(adapter, named, kind, means)
    utility = outcomes(adapter, some(utility_ids, 1, "utility_ids"), 1, bundles, means, batch_size)
    of_use = bootstrap_weights(cluster_units(None, utility[0], "utility_ids"), seed + 1, bootstrap_count)
    rows: list[dict[str, Any]] = []
    for group, token_ids in groups.items():
        recital = outcomes(adapter, some(token_ids, prefix_length, group), prefix_length, bundles, means, batch_size)
        units = cluster_units((clusters or {}).get(group), recital[0], group)
        draws = bootstrap_weights(units, seed, bootstrap_count), of_use
        scored = [
            selectivity(m, recital[0], u, utility[0], draws) for m, u in zip(recital[1:], utility[1:], strict=True)
        ]
        rows += _rows(group, named, rivals, scored, recital[1:])
    flags = dict.fromkeys(("is_collapsed", "is_selective"), pl.Boolean)
    types = {"choice": pl.String, "paragraph_group": pl.String, "head_count": pl.Int32} | flags
    return pl.DataFrame(rows, schema={name: types.get(name, pl.Float64) for name in (rows[0] if rows else types)})


def _ablate(kind: Kind, head: HeadRef) -> Intervention:
    return Intervention(kind, (head.layer,), head.head)


def _check(adapter: Adapter, named: list[tuple[str, Heads]], kind: Kind, means: Means | None) -> None:
    for name, heads in named:
        if not heads:
            raise ProbeError(f"choice {name!r} names no head; leave it out or name at least one.")
        for head in heads:
            check(adapter, _ablate(kind, head), means)


def _rivals(adapter: Adapter, named: list[tuple[str, Heads]], count: int, seed: int) -> dict[int, list[Heads]]:
    """Random choices for each size that occurs, the same for all methods of that size."""
    import numpy as np

    every = [HeadRef(layer, head) for layer in range(adapter.layer_count) for head in range(adapter.head_count)]
    drawn: dict[int, list[Heads]] = {}
    for size in sorted({min(len(heads), len(every)) for _, heads in named}):
        rng = np.random.default_rng([seed, size])
        picks = [rng.choice(len(every), size, replace=False) for _ in range(count)]
        drawn[size] = [tuple(every[index] for index in sorted(pick)) for pick in picks]
    return drawn


def _rows(
    group: str,
    named: list[tuple[str, Heads]],
    rivals: dict[int, list[Heads]],
    scored: list[dict[str, Any]],
    recital: list[Outcome],
) -> list[dict[str, Any]]:
    """One row per choice; `scored` and `recital` hold the choices, then the random ones size by size."""
    random, start = {}, len(named)
    for size, drawn in rivals.items():
        random[size] = [row["selectivity"] for row in scored[start : start + len(drawn)]]
        start += len(drawn)
    return [
        {"choice": name, "paragraph_group": group, "head_count": len(heads)}
        | {"em_mean": float(outcome.exact_match.mean())}
        | row
        | _against(row["selectivity"], random[len(heads)])
        for (name, heads), row, outcome in zip(named, scored[: len(named)], recital, strict=False)
    ]


def _against(ours: float | None, random: list[float | None]) -> dict[str, float | None]:
    """Where a selectivity stands among those of the random choices."""
    import numpy as np

    known = np.array([value for value in random if value is not None])
    if ours is None or not len(known):
        return dict.fromkeys(("random_mean", "random_lower", "random_upper", "p_value"))
    lower, upper = np.quantile(known, [0.025, 0.975])
    return {
        "random_mean": float(known.mean()),
        "random_lower": float(lower),
        "random_upper": float(upper),
        "p_value": float((1 + (known >= ours).sum()) / (1 + len(known))),
    }
