"""Selectivity: what an intervention costs recital beyond what it costs all text, by the same measure on both sides.

Exact match over fifty tokens falls to zero under damage that accuracy per token barely sees, so a difference of the two
is no selectivity. Here both sides are the relative loss of next-token accuracy under teacher forcing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray


class PairedScores(NamedTuple):
    """One intervention on one set of paragraphs, each [paragraph]: means over the predicted tokens."""

    exact_match: NDArray[Any]
    nll: NDArray[Any]
    accuracy: NDArray[Any]
    entropy: NDArray[Any]


class Losses(NamedTuple):
    """Relative losses of one intervention: the estimate, then its resamples of clusters, each [1 + draw].

    Attributes:
        exact_match: of exact match, on the recited paragraphs.
        recital: of token accuracy, on the same.
        utility: of token accuracy, on other text.
        cluster_count: clusters of the smaller of both sets.
        cost_nats: rise of the mean NLL of other text; finer than accuracy, for comparing what two damages cost.
    """

    exact_match: NDArray[Any]
    recital: NDArray[Any]
    utility: NDArray[Any]
    cost_nats: NDArray[Any]
    cluster_count: int

    @property
    def selectivity(self) -> NDArray[Any]:
        """Loss of recital beyond that of other text, [1 + draw]; not a number where nothing is recited."""
        import numpy as np

        return np.where(np.isfinite(self.exact_match), self.recital - self.utility, np.nan)


def bootstrap_weights(units: NDArray[Any], seed: int, count: int) -> NDArray[Any]:
    """Weight of each paragraph in each bootstrap sample of clusters, [draw, paragraph]; row 0 is the sample itself."""
    import numpy as np

    clusters = int(units.max()) + 1
    picked = np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), size=count)
    return np.concatenate([np.ones((1, len(units))), picked[:, units]])


def losses(
    memory: PairedScores,
    clean_memory: PairedScores,
    use: PairedScores,
    clean_use: PairedScores,
    draws: tuple[NDArray[Any], NDArray[Any]],
    cluster_count: int,
) -> Losses:
    """Losses of one intervention against the untouched model.

    Args:
        memory, clean_memory: recited paragraphs with and without the intervention.
        use, clean_use: other text with and without it.
        draws: weights of both sets, [1 + draw, paragraph], as `bootstrap_weights` gives them.
        cluster_count: clusters of the smaller of both sets.
    """
    of_memory, of_use = draws
    return Losses(
        relative_drop(of_memory @ memory.exact_match, of_memory @ clean_memory.exact_match),
        relative_drop(of_memory @ memory.accuracy, of_memory @ clean_memory.accuracy),
        relative_drop(of_use @ use.accuracy, of_use @ clean_use.accuracy),
        of_use @ (use.nll - clean_use.nll) / of_use.sum(1),
        cluster_count,
    )


def selectivity_levels(found: Losses) -> dict[str, float | None]:
    """Drops and selectivity with their intervals, under the names of the table interventions."""
    named: dict[str, float | None] = {}
    of = {"memorization_drop": found.exact_match, "recital_loss": found.recital, "utility_drop": found.utility}
    for name, values in of.items():
        estimate, lower, upper = bootstrap_interval(values, found.cluster_count)
        named |= {f"{name}_share": estimate, f"{name}_lower": lower, f"{name}_upper": upper}
    estimate, lower, upper = bootstrap_interval(found.selectivity, found.cluster_count)
    return named | {"selectivity": estimate, "lower": lower, "upper": upper}


def bootstrap_interval(values: NDArray[Any], cluster_count: int) -> tuple[float | None, float | None, float | None]:
    """Estimate and the 95 % interval of its bootstrap, expanded for few clusters; no interval below three.

    Args:
        values: the estimate, then its resamples, [1 + draw]; not a number where undefined.
        cluster_count: clusters that were resampled.
    """
    import numpy as np

    from probes.statistics.clusters import LEAST_CLUSTER_COUNT, expanded_tail

    defined = values[1:][np.isfinite(values[1:])]
    if not np.isfinite(values[0]) or not len(defined):
        return None, None, None
    if cluster_count < LEAST_CLUSTER_COUNT:
        return float(values[0]), None, None
    tail = expanded_tail(cluster_count)
    lower, upper = np.quantile(defined, [tail, 1 - tail])
    return float(values[0]), float(lower), float(upper)


def widening(draws: NDArray[Any]) -> float:
    """By how much an interval must be wider that holds for the best of several: max-statistic of their resamples.

    Args:
        draws: estimates, then their resamples, of all that were compared, [choice, 1 + draw].

    Returns:
        The 95 % quantile of the largest |deviation| in standard deviations, over that of one normal number; at least 1.
    """
    import numpy as np
    from scipy.special import ndtri

    known = draws[np.isfinite(draws).all(axis=1)]
    away = known[:, 1:] - known[:, :1]
    spread = away.std(axis=1)
    if not (spread > 0).any():
        return 1.0
    largest = np.abs(away[spread > 0] / spread[spread > 0, None]).max(axis=0)
    return max(1.0, float(np.quantile(largest, 0.95) / ndtri(0.975)))


def relative_drop(after: NDArray[Any], before: NDArray[Any]) -> NDArray[Any]:
    """1 − after / before; not a number where before is 0."""
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(before > 0, 1 - after / before, np.nan)
