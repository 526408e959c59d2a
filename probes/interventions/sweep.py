"""Sweeps of interventions: cost to recital and to the rest, selectivity with an interval, collapse told apart.

P2 (Menta et al. 2025, arXiv 2501.05078) short-circuits attention block by block. An early block takes everything
down with it, so the loss of recital counts only as far as the model keeps its use: selectivity = relative drop of
exact match − relative drop of utility, utility being text that is not in the groups.
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
    Means,
    activation_means,
    block_sweep,
    check,
    head_sweep,
    intervened,
    interventions_named,
    last_quartile,
)
from probes.interventions.partial_forward import applied, layers_of_heads
from probes.interventions.selectivity import PairedScores, bootstrap_weights, selectivity

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

    Returns:
        kind, part, layer (lowest), last_layer, head (null: all), paragraph_group, paragraph_count, cluster_count,
        em_mean (tokens), nll_nats, token_accuracy_share, entropy_nats, utility_nll_nats, utility_perplexity,
        utility_accuracy_share, memorization_drop_share, utility_drop_share (each with _lower, _upper), selectivity,
        lower, upper, is_collapsed, is_selective. Utility drop is the larger of two relative drops, of next-token
        accuracy and of the geometric mean of the probability of the true token; selectivity is null where the
        untouched model recites nothing. is_selective: the interval lies above 0 and the model has not collapsed
        (drop < 0.5).

    Raises:
        ProbeError: no paragraphs in a group or in utility_ids, clusters that do not fit, impossible interventions.
    """
    adapter, todo = adapter_for(model), [NOTHING, *interventions]
    means = _means(adapter, todo, utility_ids, means, batch_size)
    bundles = [(intervention,) for intervention in todo]
    utility = outcomes(adapter, some(adapter.model, utility_ids, 1, "utility_ids"), 1, bundles, means, batch_size)
    utility_units = cluster_units(utility_clusters, utility[0], "utility_ids")
    of_use = bootstrap_weights(utility_units, seed + 1, bootstrap_count)
    rows: list[dict[str, Any]] = []
    for group, token_ids in groups.items():
        recital = outcomes(
            adapter, some(adapter.model, token_ids, prefix_length, group), prefix_length, bundles, means, batch_size
        )
        units = cluster_units((clusters or {}).get(group), recital[0], group)
        draws = bootstrap_weights(units, seed, bootstrap_count), of_use
        for intervention, memory, use in zip(todo, recital, utility, strict=True):
            rows.append(
                _describe(intervention, group, units)
                | _levels(memory, use)
                | selectivity(memory, recital[0], use, utility[0], draws)
            )
    return _frame(rows)


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
