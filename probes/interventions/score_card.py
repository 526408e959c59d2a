"""Score card of localizations: do the heads a method points at matter more than as many heads drawn at random?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from probes.architectures import Adapter, HeadRef, adapter_for
from probes.errors import ProbeError
from probes.interventions.hooks import Intervention, Kind, Means, activation_means, check
from probes.interventions.selectivity import bootstrap_weights, selectivity
from probes.interventions.sweep import cluster_units, outcomes, some

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
        One row per choice and evaluation, an evaluation being a group or "unrelated", the held-out text: choice,
        heads (`layer.head`, spaces between), head_count, evaluation, paragraph_count, drop_share, drop_lower,
        drop_upper (relative loss of exact match, of utility where unrelated), random_drop_mean, random_drop_lower,
        random_drop_upper (mean, 2.5 % and 97.5 % quantile over random choices), drop_p_value; selectivity, lower,
        upper, random_mean, random_lower, random_upper, p_value (null where unrelated), is_collapsed, is_selective as
        in `measure_interventions`. A p value is the share of random choices that do at least as much, the choice
        itself counted, so at least 1 / (random_count + 1).

    Raises:
        ProbeError: an empty choice, a head that does not exist, no paragraphs.
    """
    adapter = adapter_for(model)
    means = activation_means(model, utility_ids, batch_size) if kind == "mean" else None
    named = [(name, tuple(heads)) for name, heads in choices.items()]
    rivals = _rivals(adapter, named, random_count, seed)
    plans = [heads for _, heads in named] + [heads for drawn in rivals.values() for heads in drawn]
    bundles = [[], *([_ablate(kind, head) for head in heads] for heads in plans)]
    _check(adapter, named, kind, means)
    utility = outcomes(adapter, some(adapter.model, utility_ids, 1, "utility_ids"), 1, bundles, means, batch_size)
    of_use = bootstrap_weights(cluster_units(None, utility[0], "utility_ids"), seed + 1, bootstrap_count)
    rows: list[dict[str, Any]] = []
    unrelated: list[dict[str, Any]] = []
    for group, token_ids in groups.items():
        recital = outcomes(
            adapter, some(adapter.model, token_ids, prefix_length, group), prefix_length, bundles, means, batch_size
        )
        units = cluster_units((clusters or {}).get(group), recital[0], group)
        draws = bootstrap_weights(units, seed, bootstrap_count), of_use
        scored = [
            selectivity(m, recital[0], u, utility[0], draws) for m, u in zip(recital[1:], utility[1:], strict=True)
        ]
        rows += _rows(group, len(units), named, rivals, scored)
        unrelated = unrelated or _rows("unrelated", len(utility[0].nll), named, rivals, _of_use(scored))
    return _frame(rows + unrelated)


def _of_use(scored: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same choices, looked at for what they cost the held-out text alone."""
    names = ("share", "lower", "upper")
    nothing = dict.fromkeys(("selectivity", "lower", "upper", "is_selective"))
    return [
        row | nothing | {f"memorization_drop_{name}": row[f"utility_drop_{name}"] for name in names} for row in scored
    ]


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    import polars as pl

    types = (
        dict.fromkeys(("choice", "heads", "evaluation"), pl.String)
        | dict.fromkeys(("head_count", "paragraph_count"), pl.Int32)
        | dict.fromkeys(("is_collapsed", "is_selective"), pl.Boolean)
    )
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
    evaluation: str,
    paragraph_count: int,
    named: list[tuple[str, Heads]],
    rivals: dict[int, list[Heads]],
    scored: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """One row per choice; `scored` holds the choices, then the random ones size by size."""
    random, start = {}, len(named)
    for size, drawn in rivals.items():
        random[size] = scored[start : start + len(drawn)]
        start += len(drawn)
    return [
        {"choice": name, "heads": " ".join(map(str, heads)), "head_count": len(heads), "evaluation": evaluation}
        | {"paragraph_count": paragraph_count}
        | _compared(row, random[len(heads)])
        for (name, heads), row in zip(named, scored[: len(named)], strict=True)
    ]


def _compared(row: dict[str, Any], random: list[dict[str, Any]]) -> dict[str, Any]:
    """Drop and selectivity of a choice, each beside those of random choices."""
    drops = {f"drop_{name}": row[f"memorization_drop_{name}"] for name in ("share", "lower", "upper")}
    of_drop = _against(row["memorization_drop_share"], [other["memorization_drop_share"] for other in random])
    of_selectivity = _against(row["selectivity"], [other["selectivity"] for other in random])
    kept = {name: row[name] for name in ("selectivity", "lower", "upper")}
    flags = {name: row[name] for name in ("is_collapsed", "is_selective")}
    named = {f"random_drop_{name}": of_drop[name] for name in ("mean", "lower", "upper")}
    rest = {f"random_{name}": of_selectivity[name] for name in ("mean", "lower", "upper")}
    return (
        drops | named | {"drop_p_value": of_drop["p_value"]} | kept | rest | {"p_value": of_selectivity["p_value"]}
    ) | flags


def _against(ours: float | None, random: list[float | None]) -> dict[str, float | None]:
    """Where a number stands among those of the random choices: their mean and quantiles, and a p value."""
    import numpy as np

    known = np.array([value for value in random if value is not None])
    if ours is None or not len(known):
        return dict.fromkeys(("mean", "lower", "upper", "p_value"))
    lower, upper = np.quantile(known, [0.025, 0.975])
    return {
        "mean": float(known.mean()),
        "lower": float(lower),
        "upper": float(upper),
        "p_value": float((1 + (known >= ours).sum()) / (1 + len(known))),
    }
