"""Selectivity: relative loss of recital minus relative loss of use, with a cluster-bootstrap interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLLAPSE_SHARE = 0.5  # from this relative utility drop on the model has collapsed and nothing counts as success


class PairedScores(NamedTuple):
    """One intervention on one set of paragraphs, each [paragraph]: means over the predicted tokens."""

    exact_match: NDArray[Any]
    nll: NDArray[Any]
    accuracy: NDArray[Any]
    entropy: NDArray[Any]


def bootstrap_weights(units: NDArray[Any], seed: int, count: int) -> NDArray[Any]:
    """Weight of each paragraph in each bootstrap sample of clusters, [draw, paragraph]; row 0 is the sample itself."""
    import numpy as np

    clusters = int(units.max()) + 1
    picked = np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), size=count)
    return np.concatenate([np.ones((1, len(units))), picked[:, units]])


def selectivity(
    memory: PairedScores,
    clean_memory: PairedScores,
    use: PairedScores,
    clean_use: PairedScores,
    draws: tuple[NDArray[Any], NDArray[Any]],
) -> dict[str, float | bool | None]:
    """Drops and selectivity with the cluster-bootstrap interval; row 0 of the draws is the estimate."""
    import numpy as np

    of_memory, of_use = draws
    lost = relative_drop(of_memory @ memory.exact_match, of_memory @ clean_memory.exact_match)
    less_accurate = relative_drop(of_use @ use.accuracy, of_use @ clean_use.accuracy)
    less_likely = -np.expm1((of_use @ (clean_use.nll - use.nll)) / of_use.sum(1))
    spoiled = np.fmax(less_accurate, less_likely)
    is_collapsed = bool(spoiled[0] >= COLLAPSE_SHARE)
    named: dict[str, float | bool | None] = {}
    for name, values in (("memorization_drop", lost), ("utility_drop", spoiled)):
        estimate, lower, upper = with_interval(values)
        named |= {f"{name}_share": estimate, f"{name}_lower": lower, f"{name}_upper": upper}
    estimate, lower, upper = with_interval(lost - spoiled)
    is_selective = lower is not None and lower > 0 and not is_collapsed
    of_selectivity = {"selectivity": estimate, "lower": lower, "upper": upper}
    return named | of_selectivity | {"is_collapsed": is_collapsed, "is_selective": is_selective}


def with_interval(values: NDArray[Any]) -> tuple[float | None, float | None, float | None]:
    """Estimate and the 2.5 % and 97.5 % quantile of its bootstrap; nothing where there is no estimate.

    Args:
        values: the estimate, then its resamples, [1 + draw]; not a number where undefined.
    """
    import numpy as np

    defined = values[1:][np.isfinite(values[1:])]
    if not np.isfinite(values[0]) or not len(defined):
        return None, None, None
    lower, upper = np.quantile(defined, [0.025, 0.975])
    return float(values[0]), float(lower), float(upper)


def relative_drop(after: NDArray[Any], before: NDArray[Any]) -> NDArray[Any]:
    """1 − after / before; not a number where before is 0."""
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(before > 0, 1 - after / before, np.nan)
