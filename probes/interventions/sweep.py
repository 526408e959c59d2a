"""Sweeps of interventions: cost to recital and to the rest, selectivity with an interval, beside its nulls.

P2 (Menta et al. 2025, arXiv 2501.05078) short-circuits attention block by block. An early block takes everything
down with it, so the loss of recital counts only as far as other text is spared: selectivity = relative loss of token
accuracy on recital − relative loss of token accuracy on text that is not in the groups, against what as many random
heads and noise of the same cost to that text reach.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from probes.architectures import Adapter, adapter_for
from probes.errors import ProbeError
from probes.forward.capture import batches, rows_per_pass
from probes.forward.fused import fused, is_hooked
from probes.forward.inputs import readable_paragraphs
from probes.forward.trunk import TokenScores, clean_trunk, score_tokens
from probes.interventions.hooks import (
    NOTHING,
    Intervention,
    Kind,
    Means,
    activation_means,
    block_sweep,
    check,
    head_sweep,
    intervened,
    interventions_named,
    last_quartile,
)
from probes.interventions.nulls import (
    Heads,
    Nulls,
    ablations,
    all_weights_noised,
    as_best,
    heads_of,
    noises,
    random_heads,
)
from probes.interventions.partial_forward import applied, layers_of_heads
from probes.interventions.selectivity import (
    Losses,
    PairedScores,
    bootstrap_weights,
    losses,
    selectivity_levels,
    widening,
)

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray
    from torch import Tensor, nn

__all__ = [
    "NOTHING",
    "Intervention",
    "Means",
    "activation_means",
    "block_sweep",
    "head_sweep",
    "intervened",
    "interventions_named",
    "last_quartile",
    "measure_interventions",
]

UTILITY = "utility_ids"
"""Name of the other text among the groups."""


def measure_interventions(
    model: nn.Module,
    groups: Mapping[str, Any],
    utility_ids: Any,
    interventions: Iterable[Intervention],
    prefix_length: int = 50,
    batch_size: int = 32,
    clusters: Mapping[str, Sequence[int]] | None = None,
    utility_clusters: Sequence[int] | None = None,
    means: Means | None = None,
    seed: int = 0,
    bootstrap_count: int = 1000,
    random_count: int = 20,
) -> pl.DataFrame:
    """Recital and utility under each intervention; the first row of each group is the untouched model (kind none).

    Every batch runs once untouched; each intervention then starts at its lowest block. Token accuracy and entropy
    are teacher-forced: share of continuation tokens that are the argmax after the true text, and mean entropy of the
    next-token distributions there; all vocabulary and all positions count.

    Args:
        model: causal language model of a supported architecture, left as found.
        groups: token ids by paragraph group (MP, NMP, …), [paragraph, position].
        utility_ids: held-out text, [paragraph, position]; every position after the first is predicted.
        interventions: what to do, e.g. `block_sweep(model)`.
        prefix_length: tokens of a paragraph that are given.
        batch_size: paragraphs per forward; memory grows with layers × batch_size (see Trunk).
        clusters, utility_clusters: near-duplicate cluster of each paragraph by group; each its own where absent.
        means: for mean ablation; from utility_ids where absent.
        seed, bootstrap_count: resamples of clusters; the interval is their 2.5 % and 97.5 % quantile.
        random_count: random choices of heads for each kind and number of heads.

    Returns:
        kind, part, layer (lowest), last_layer, head (null: all), paragraph_group, paragraph_count, cluster_count,
        em_mean (tokens), nll_nats, token_accuracy_share, entropy_nats, utility_nll_nats, utility_perplexity,
        utility_accuracy_share; memorization_drop_share (exact match), recital_loss_share and utility_drop_share
        (token accuracy of the group and of utility_ids; each with _lower, _upper), selectivity (the last two's
        difference; null where the untouched model recites nothing), lower, upper; random_mean, random_lower,
        random_upper and p_value of as many random heads, noise_mean, noise_lower, noise_upper of noise on all weights
        that raises utility_nll_nats as much; null_value (mean of the null that leaves less), excess over it,
        excess_lower, excess_upper, and family_lower, family_upper, wide enough for the best of all blocks (ranges,
        heads) that the same was done to;
        is_selective (see `Nulls.beside`) and is_collapsed: utility is no better than always the commonest token.

    Raises:
        ProbeError: no paragraphs in a group or in utility_ids, clusters that do not fit, impossible interventions.
    """
    adapter, todo = adapter_for(model), [NOTHING, *interventions]
    means = _means(adapter, todo, utility_ids, means, batch_size)
    rivals = _rivals(adapter, todo, random_count, seed)
    plans = [(one,) for one in todo] + [
        ablations(kind, heads) for (kind, _), drawn in rivals.items() for heads in drawn
    ]
    texts = {UTILITY: (some(model, utility_ids, 1, "utility_ids"), 1)}
    texts |= {group: (some(model, ids, prefix_length, group), prefix_length) for group, ids in groups.items()}
    found = {name: outcomes(adapter, *text, plans, means, batch_size) for name, text in texts.items()}
    noise = noise_outcomes(adapter, texts, batch_size)
    utility = found[UTILITY]
    utility_units = cluster_units(utility_clusters, utility[0], "utility_ids")
    of_use = bootstrap_weights(utility_units, seed + 1, bootstrap_count)
    guess = constant_share(texts[UTILITY][0])
    rows: list[dict[str, Any]] = []
    for group in groups:
        recital = found[group]
        units = cluster_units((clusters or {}).get(group), recital[0], group)
        draws = bootstrap_weights(units, seed, bootstrap_count), of_use
        count = 1 + int(min(units.max(), utility_units.max()))
        lost = [losses(m, recital[0], u, utility[0], draws, count) for m, u in zip(recital, utility, strict=True)]
        noisy = [
            losses(m, recital[0], u, utility[0], draws, count)
            for m, u in zip(noise[group], noise[UTILITY], strict=True)
        ]
        nulls = Nulls(_by_kind(adapter, todo, rivals, lost), noisy)
        wider = _widenings(todo, lost)
        for index, intervention in enumerate(todo):
            heads = heads_of(adapter, intervention)
            rows.append(
                _describe(intervention, group, units)
                | _levels(recital[index], utility[index])
                | selectivity_levels(lost[index])
                | as_best(nulls.beside(lost[index], intervention.kind, heads), wider[_family(intervention)])
                | {"is_collapsed": bool(utility[index].accuracy.mean() <= guess)}
            )
    return _frame(rows)


def _family(intervention: Intervention) -> tuple[str, str, str]:
    """Interventions among which one would pick the best: all blocks, all ranges or all heads, done alike."""
    size = "head" if intervention.head is not None else "block" if len(intervention.layers) == 1 else "range"
    return intervention.kind, intervention.part, size


def _widenings(todo: list[Intervention], lost: list[Losses]) -> dict[tuple[str, str, str], float]:
    """How much wider intervals of the best of each family must be; `lost` begins with those of `todo`."""
    import numpy as np

    draws: dict[tuple[str, str, str], list[NDArray[Any]]] = {}
    for intervention, found in zip(todo, lost, strict=False):
        draws.setdefault(_family(intervention), []).append(found.selectivity)
    return {name: widening(np.array(several)) for name, several in draws.items()}


def _rivals(adapter: Adapter, todo: list[Intervention], count: int, seed: int) -> dict[tuple[Kind, int], list[Heads]]:
    """Random choices of heads for each kind and number of heads; single heads are each other's where all are swept."""
    asked = {(one.kind, len(heads_of(adapter, one))) for one in todo if heads_of(adapter, one)}
    every = adapter.layer_count * adapter.head_count
    swept = {kind: sum(one.kind == kind and one.head is not None for one in todo) for kind, _ in asked}
    wanted = sorted((kind, size) for kind, size in asked if not (size == 1 and swept[kind] == every))
    return {(kind, size): random_heads(adapter, size, count, seed) for kind, size in wanted}


def _by_kind(
    adapter: Adapter, todo: list[Intervention], rivals: dict[tuple[Kind, int], list[Heads]], lost: list[Losses]
) -> dict[tuple[str, int], list[tuple[Heads, Losses]]]:
    """Losses of the alternatives by kind and number of heads; `lost` holds those of `todo`, then of the rivals."""
    known: dict[tuple[str, int], list[tuple[Heads, Losses]]] = {}
    start = len(todo)
    for (kind, size), drawn in rivals.items():
        known[kind, size] = list(zip(drawn, lost[start : start + len(drawn)], strict=True))
        start += len(drawn)
    for intervention, found in zip(todo, lost, strict=False):
        if intervention.head is not None and (intervention.kind, 1) not in rivals:
            known.setdefault((intervention.kind, 1), []).append((heads_of(adapter, intervention), found))
    return known


def noise_outcomes(
    adapter: Adapter, texts: Mapping[str, tuple[Tensor, int]], batch_size: int
) -> dict[str, list[PairedScores]]:
    """Outcome under each of `noises()` on each text, given as token ids and prefix length; every noise is made once."""
    found: dict[str, list[PairedScores]] = {name: [] for name in texts}
    for noise in noises():
        with all_weights_noised(adapter.model, noise):
            for name, (ids, prefix_length) in texts.items():
                found[name] += outcomes(adapter, ids, prefix_length, [()], None, batch_size)
    return found


def constant_share(token_ids: Tensor) -> float:
    """Accuracy of always predicting the commonest token of a text."""
    predicted = token_ids[:, 1:].flatten()
    return float(predicted.unique(return_counts=True)[1].max()) / len(predicted)


def _means(
    adapter: Adapter, todo: list[Intervention], utility_ids: Any, means: Means | None, batch_size: int
) -> Means | None:
    """The given means, or those of utility_ids where an intervention needs them; refuses what cannot be done."""
    if means is None and any(intervention.kind == "mean" for intervention in todo):
        means = activation_means(adapter.model, utility_ids, batch_size)
    for intervention in todo:
        check(adapter, intervention, means)
    return means


def some(model: nn.Module, token_ids: Any, prefix_length: int, name: str) -> Tensor:
    """Token ids of a group that is not empty."""
    ids = readable_paragraphs(model, token_ids, prefix_length)
    if not len(ids):
        raise ProbeError(f"group {name} holds no paragraphs; leave it out or fill it.")
    return ids


def cluster_units(clusters: Sequence[int] | None, outcome: PairedScores, name: str) -> NDArray[Any]:
    """Cluster index of each paragraph, 0 to cluster count - 1."""
    import numpy as np

    count = len(outcome.nll)
    labels = np.arange(count) if clusters is None else np.asarray(clusters)
    if labels.shape != (count,):
        raise ProbeError(f"{labels.size} clusters for the {count} paragraphs of {name}; pass one for each.")
    return np.unique(labels, return_inverse=True)[1]


def outcomes(
    adapter: Adapter,
    ids: Tensor,
    prefix_length: int,
    bundles: Sequence[Sequence[Intervention]],
    means: Means | None,
    batch_size: int,
) -> list[PairedScores]:
    """Outcome of each bundle of simultaneous interventions on all paragraphs; one clean forward per batch.

    Everything, the untouched model too, runs on fused kernels: logits equal transformers' own to rounding.
    """
    import numpy as np

    is_plain = not is_hooked(adapter.model)
    known = layers_of_heads(bundles) if is_plain else ()
    parts: list[list[PairedScores]] = [[] for _ in bundles]
    with fused(adapter.model):
        for batch in batches(ids, rows_per_pass(adapter, ids, batch_size)):
            trunk = clean_trunk(adapter, batch[:, :-1], known)
            for bundle, found in zip(bundles, parts, strict=True):
                with applied(trunk, bundle, means, is_plain=is_plain) as start:
                    hidden = trunk.resume(start, prefix_length - 1)
                found.append(_outcome(score_tokens(adapter, hidden, batch[:, prefix_length:])))
    return [PairedScores(*map(np.concatenate, zip(*of_batches, strict=True))) for of_batches in parts]


def _outcome(scores: TokenScores) -> PairedScores:
    columns = scores.exact_match, scores.nll.mean(1), scores.is_argmax.float().mean(1), scores.entropy.mean(1)
    return PairedScores(*(column.double().cpu().numpy() for column in columns))


def _describe(intervention: Intervention, group: str, units: NDArray[Any]) -> dict[str, Any]:
    is_nothing = intervention.kind == "none"
    return {
        "kind": intervention.kind,
        "part": intervention.part,
        "layer": None if is_nothing else intervention.first_layer,
        "last_layer": None if is_nothing else max(intervention.layers),
        "head": intervention.head,
        "paragraph_group": group,
        "paragraph_count": len(units),
        "cluster_count": int(units.max()) + 1,
    }


def _levels(memory: PairedScores, use: PairedScores) -> dict[str, float]:
    import numpy as np

    return {
        "em_mean": float(memory.exact_match.mean()),
        "nll_nats": float(memory.nll.mean()),
        "token_accuracy_share": float(memory.accuracy.mean()),
        "entropy_nats": float(memory.entropy.mean()),
        "utility_nll_nats": float(use.nll.mean()),
        "utility_perplexity": float(np.exp(use.nll.mean())),
        "utility_accuracy_share": float(use.accuracy.mean()),
    }


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    import polars as pl

    texts, counts = (
        ("kind", "part", "paragraph_group"),
        ("layer", "last_layer", "head", "paragraph_count", "cluster_count"),
    )
    flags = ("is_collapsed", "is_selective")
    types = dict.fromkeys(texts, pl.String) | dict.fromkeys(counts, pl.Int32) | dict.fromkeys(flags, pl.Boolean)
    names = list(rows[0]) if rows else []
    return pl.DataFrame(rows, schema={name: types.get(name, pl.Float64) for name in names})
