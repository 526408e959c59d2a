"""Do rare tokens trigger memorized continuations? The effect of a token's rarity on what changing it destroys.

Per outcome a linear model over prefix tokens: paragraph fixed effects, rarity standardised within the paragraph, and,
step by step, position effects (free at every position, separately for memorized paragraphs and the others) and the
token's own NLL. Duplication is constant within a paragraph, so its main effect is absorbed; whether it changes the
effect of rarity is a term of its own. Near-duplicate clusters are the unit: each weighs one, and the covariance is
cluster-robust for few and unlike clusters. The same model on rarity shuffled within paragraphs stands beside each
estimate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from probes.errors import ProbeError
from probes.statistics.cluster_robust import ClusterRobust
from probes.statistics.clusters import LEAST_CLUSTER_COUNT
from probes.statistics.token_types import token_random_effects
from probes.triggers.panel import ControlBasis, Panel, prepare_panel

OUTCOMES = ("em_drop", "delta_nll_nats")
ADJUSTMENTS = ("paragraph", "position", "full")
_CHUNK = 2**20  # shuffled tokens per step
# Rows of the contrast matrix of each model: what is said of its coefficients.
_MODELS: dict[str, dict[str, tuple[float, ...]]] = {
    "all": {"all": (1,)},
    "group": {"MP": (1, 0), "NMP": (0, 1), "MP_minus_NMP": (1, -1)},
    "duplication": {"per_duplication_doubling": (0, 1)},
}
TERMS = tuple(term for contrasts in _MODELS.values() for term in contrasts)
_NUMBERS = (
    *("estimate", "standard_error", "degrees_of_freedom", "lower", "upper", "p_value"),
    *("placebo", "placebo_lower", "placebo_upper", "placebo_p_value"),
    *("token_estimate", "token_lower", "token_upper", "token_p_value", "partial_r2", "position_partial_r2"),
)
SCHEMA: dict[str, Any] = {
    "outcome": pl.String,
    "adjustment": pl.String,
    "term": pl.String,
    **dict.fromkeys(_NUMBERS, pl.Float64),
    "cluster_count": pl.Int32,
    "paragraph_count": pl.Int32,
    "token_count": pl.Int64,
    "token_type_count": pl.Int32,
}


def trigger_effect(
    frame: pl.DataFrame,
    *,
    seed: int = 0,
    permutations: int = 200,
    outcomes: Sequence[str] = OUTCOMES,
    adjustments: Sequence[str] = ADJUSTMENTS,
    terms: Sequence[str] = TERMS,
) -> pl.DataFrame:
    """Effect of one standard deviation of rarity (within the paragraph) on em_drop and delta_nll_nats.

    Args:
        frame: one row per prefix token of one checkpoint, as the view `triggers` gives it: paragraph_id, position,
            em_drop, delta_nll_nats, surprisal_bits, token_nll_nats, duplication_count, is_memorized,
            near_duplicate_cluster. Rows without an outcome or a token NLL (position 0) are left out.
        seed: seed of the placebo.
        permutations: placebo shuffles.
        outcomes: em_drop (tokens) and delta_nll_nats (nats).
        adjustments: paragraph (fixed effects only), position (and position), full (and the token's NLL).
        terms: which of the terms below to report.

    Returns:
        One row per outcome, adjustment and term. Terms: all (one effect), MP, NMP, MP_minus_NMP (interaction with
        memorized), per_duplication_doubling (how the effect changes when copies double). Columns: estimate with
        cluster-robust standard_error, 95 % interval lower, upper and p_value (CR2 and t with degrees_of_freedom after
        Bell and McCaffrey; null below two of them: the term rests on too few clusters);
        placebo, placebo_lower, placebo_upper, placebo_p_value of rarity shuffled within paragraphs; for all, MP and
        NMP, where the frame has a column token_id, the same effect with token types as random effects: token_estimate,
        token_lower, token_upper, token_p_value, token_type_count (an effect that holds over paragraphs but not over
        types is a few tokens' own, see probes/statistics/token_types.py); partial_r2, the
        share of the outcome's remaining variation within paragraphs that rarity explains, beside
        position_partial_r2 (both for `all` of `full`); cluster_count, paragraph_count, token_count. Null where the
        data cannot say: no such paragraphs, no variation, or (intervals and tests) fewer than three clusters.

    Raises:
        ProbeError: a column is missing or an argument unknown.
    """
    known = (*OUTCOMES, *ADJUSTMENTS, *TERMS)
    unknown = [name for name in (*outcomes, *adjustments, *terms) if name not in known]
    if unknown:
        raise ProbeError(f"{unknown[0]!r} is no outcome, adjustment or term; choose among {', '.join(known)}.")
    panel = prepare_panel(frame)
    orders = panel.shuffles(permutations, seed)
    rows = [row for adjustment in adjustments for row in _adjusted(panel, adjustment, outcomes, terms, orders)]
    order = pl.col("outcome").replace_strict({name: i for i, name in enumerate(outcomes)}, return_dtype=pl.Int32)
    return pl.DataFrame(rows, schema=SCHEMA, orient="row").sort(order, maintain_order=True)


def _adjusted(
    panel: Panel, adjustment: str, outcomes: Sequence[str], terms: Sequence[str], orders: np.ndarray
) -> Iterator[dict[str, Any]]:
    """Rows of one adjustment: every outcome and model."""
    projection = ControlBasis.of(panel, adjustment)
    ys = np.stack([panel.scaled(panel.outcomes[outcome]) for outcome in outcomes], axis=1)
    for model, of_model in _MODELS.items():
        contrasts = {term: contrast for term, contrast in of_model.items() if term in terms}
        if not contrasts:
            continue
        for outcome, y, fitted in zip(outcomes, ys.T, _fit_model(panel, projection, ys, model, orders), strict=True):
            for term, contrast in contrasts.items():
                row: dict[str, Any] = {"outcome": outcome, "adjustment": adjustment, "term": term}
                row |= _counts(panel, term)
                if fitted is not None:
                    row |= _contrast(fitted, np.array(contrast, dtype=np.float64), _least_clusters(panel, term))
                if fitted is not None and term in ("all", "MP", "NMP"):
                    row |= _over_token_types(panel, projection, y, _members(panel, term))
                if term == "all" and adjustment == "full":
                    row |= _explained(panel, projection, y)
                yield {name: row.get(name) for name in SCHEMA}


def _members(panel: Panel, term: str) -> np.ndarray:
    """Tokens a term rests on, [token]."""
    return {"MP": panel.is_memorized, "NMP": ~panel.is_memorized}.get(term, np.ones(len(panel.rarity), dtype=bool))


def _counts(panel: Panel, term: str) -> dict[str, int]:
    kept = _members(panel, term)
    return {
        "cluster_count": len(np.unique(panel.cluster[kept])),
        "paragraph_count": len(np.unique(panel.paragraph[kept])),
        "token_count": int(kept.sum()),
    }


def _least_clusters(panel: Panel, term: str) -> int:
    """Clusters a term rests on at most: those of the smaller group where two are compared."""
    groups = ("MP", "NMP") if term == "MP_minus_NMP" else (term,)
    return min(_counts(panel, group)["cluster_count"] for group in groups)


@dataclass(frozen=True)
class _Fitted:
    """The cluster-robust fit and the placebo's coefficients [permutation, coefficient]."""

    robust: ClusterRobust
    placebo: np.ndarray


def _fit_model(
    panel: Panel, projection: ControlBasis, ys: np.ndarray, model: str, orders: np.ndarray
) -> list[_Fitted | None]:
    """Fit one model to [token, outcome], one fit per outcome; None where the data do not identify it.

    The placebo shuffles what the controls leave of rarity: shuffled rarity as such would no longer share variation with
    the controls, would vary more and so look more certain than the estimate beside it.
    """
    columns = _regressors(panel, panel.rarity, model)
    if not projection.identifies(columns):
        return [None] * ys.shape[1]
    left = projection.residual(panel.scaled(panel.rarity)) / panel.root_weight
    parts = [
        projection.coefficients(ys, _regressors(panel, left[chunk], model))
        for chunk in np.array_split(orders, max(1, orders.size // _CHUNK))
    ]
    placebo = np.moveaxis(np.concatenate(parts), 2, 0)
    robust = (ClusterRobust(y, columns, projection.basis, panel.cluster) for y in ys.T)
    return [_Fitted(fit, drawn) for fit, drawn in zip(robust, placebo, strict=True)]


def _regressors(panel: Panel, rarity: np.ndarray, model: str) -> np.ndarray:
    """Columns of a model for rarity [..., token]: [..., token, coefficient], weighted."""
    if model == "all":
        parts = [rarity]
    elif model == "group":
        parts = [rarity * panel.is_memorized, rarity * ~panel.is_memorized]
    else:
        parts = [rarity, rarity * panel.duplication_doublings]
    return panel.scaled(np.stack(parts, axis=-1), axis=-2)


def _contrast(fitted: _Fitted, weights: np.ndarray, clusters: int) -> dict[str, float]:
    """Estimate, interval, test and placebo of one linear combination of coefficients."""
    found, drawn = fitted.robust.contrast(weights), fitted.placebo @ weights
    if clusters < LEAST_CLUSTER_COUNT or not found.is_testable:
        return {"estimate": found.estimate}
    lower, upper = found.interval()
    # Shuffled within paragraphs, rarity has no effect on average: the placebo is centred at zero by construction.
    beyond = int((np.abs(drawn) >= abs(found.estimate)).sum())
    placebo_lower, placebo_upper = np.quantile(drawn, [0.025, 0.975])
    return {
        "estimate": found.estimate,
        "standard_error": found.error,
        "degrees_of_freedom": found.degrees,
        "lower": lower,
        "upper": upper,
        "p_value": found.p_value(),
        "placebo": float(drawn.mean()),
        "placebo_lower": float(placebo_lower),
        "placebo_upper": float(placebo_upper),
        "placebo_p_value": (beyond + 1) / (len(drawn) + 1),
    }


def _over_token_types(panel: Panel, projection: ControlBasis, y: np.ndarray, kept: np.ndarray) -> dict[str, Any]:
    """The effect with token types as random effects; nothing where the frame has no token ids.

    Controls are separate by group, so the part of a group is adjusted by what was held constant in that group.
    """
    if panel.token_id is None:
        return {}
    outcome = projection.residual(y) / panel.root_weight
    rarity = projection.residual(panel.scaled(panel.rarity)) / panel.root_weight
    test = token_random_effects(
        outcome[kept, None], rarity[kept], panel.token_id[kept], np.square(panel.root_weight[kept])
    )
    numbers = {"estimate": test.estimate, "lower": test.lower, "upper": test.upper, "p_value": test.p_value}
    row = {f"token_{name}": None if np.isnan(value[0]) else float(value[0]) for name, value in numbers.items()}
    return row | {"token_type_count": test.type_count}


def _explained(panel: Panel, projection: ControlBasis, y: np.ndarray) -> dict[str, float | None]:
    """Shares of variation within paragraphs that rarity and position each explain beyond everything else."""
    rarity = _regressors(panel, panel.rarity, "all")
    with_all = projection.residual_square(y, rarity)
    without_rarity = projection.residual_square(y, None)
    without_position = ControlBasis.of(panel, "token_nll").residual_square(y, rarity)
    return {
        "partial_r2": 1 - with_all / without_rarity if without_rarity > 0 else None,
        "position_partial_r2": 1 - with_all / without_position if without_position > 0 else None,
    }
