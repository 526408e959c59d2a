"""Selectivity: relative loss of recital minus relative loss of use, with a cluster-bootstrap interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLLAPSE_SHARE = 0.5  # from this relative utility drop on the model has collapsed and nothing counts as success


class Outcome(NamedTuple):
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
    memory: Outcome,
    clean_memory: Outcome,
    use: Outcome,
    clean_use: Outcome,
    draws: tuple[NDArray[Any], NDArray[Any]],
) -> dict[str, float | bool | None]:
    """Drops and selectivity with the cluster-bootstrap interval; row 0 of the draws is the estimate."""
    import numpy as np

    of_memory, of_use = draws
    lost = relative_drop(of_memory @ memory.exact_match, of_memory @ clean_memory.exact_match)
    less_accurate = relative_drop(of_use @ use.accuracy, of_use @ clean_use.accuracy)
    less_likely = -np.expm1((of_use @ (clean_use.nll - use.nll)) / of_use.sum(1))
    spoiled = np.fmax(less_accurate, less_likely)
    kept = lost - spoiled
    defined = kept[1:][np.isfinite(kept[1:])]
    is_known = bool(np.isfinite(kept[0])) and len(defined) > 0
    lower, upper = np.quantile(defined, [0.025, 0.975]) if is_known else (None, None)
    is_collapsed = bool(spoiled[0] >= COLLAPSE_SHARE)
    return {
        "memorization_drop_share": float(lost[0]) if np.isfinite(lost[0]) else None,
        "utility_drop_share": float(spoiled[0]),
        "selectivity": float(kept[0]) if is_known else None,
        "lower": None if lower is None else float(lower),
        "upper": None if upper is None else float(upper),
        "is_collapsed": is_collapsed,
        "is_selective": lower is not None and bool(lower > 0) and not is_collapsed,
    }


def relative_drop(after: NDArray[Any], before: NDArray[Any]) -> NDArray[Any]:
    """1 − after / before; not a number where before is 0."""
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(before > 0, 1 - after / before, np.nan)
