"""Windows on their own: exact scores as `scores` gives them, and the cascade that drops a window at its first miss.

Windows of the same tokens are measured once. Nothing else is shared between overlapping windows, because a shifted
window has another context at every position: keys and values of one are not those of the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from probes.scan.plan import ScanPlan
from probes.scoring.generation import generate_continuations
from probes.scoring.half_precision import (
    extractable_with_rescoring,
    is_exact,
    measure_margin_bound,
    score_with_rescoring,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SCHEMA = pl.Schema(
    {
        "position": pl.Int64,
        "exact_match": pl.Int32,
        "continuation_logprob_nats": pl.Float64,
        "entropy_nats": pl.Float64,
        "top2_margin": pl.Float64,
    }
)
WRITTEN = pl.Schema({"position": pl.Int64, "token_accuracy": pl.Float64, "rouge_l": pl.Float64})
CALIBRATION_WINDOWS = 64


@dataclass
class ScanModels:
    """The model that scans, what loads it in float32 for doubtful rows, and how small a margin is doubtful.

    Attributes:
        model: the checkpoint in any precision, in eval mode.
        exact_model: loads the same checkpoint in float32.
        margin_bound: logits; 0 in float32.
        batch_size: windows or rows per forward pass.
    """

    model: PreTrainedModel
    exact_model: Callable[[], PreTrainedModel]
    margin_bound: float = 0.0
    batch_size: int = 32

    @classmethod
    def calibrated(
        cls, model: PreTrainedModel, exact_model: Callable[[], PreTrainedModel], ids: np.ndarray, plan: ScanPlan
    ) -> ScanModels:
        """With the bound measured on windows all over the document, the same whichever range is scanned."""
        if is_exact(model):
            return cls(model, exact_model)
        starts = plan.starts(len(ids))
        chosen = starts[np.unique(np.linspace(0, len(starts) - 1, CALIBRATION_WINDOWS).astype(int))]
        bound = measure_margin_bound(model, exact_model, plan.windows(ids, chosen), plan.prefix_length)
        return cls(model, exact_model, bound)


def exact_scores(models: ScanModels, ids: np.ndarray, starts: np.ndarray, plan: ScanPlan) -> pl.DataFrame:
    """Every window on its own: leading match, log-probability and mean entropy of the continuation.

    Args:
        models: what scores.
        ids: token ids of the document, [token].
        starts: first continuation tokens, [start].
        plan: lengths.

    Returns:
        One row per start, in order: position and the columns of SCHEMA.

    Raises:
        ProbeError: a token is not the model's, or the windows exceed its context.
    """
    if not len(starts):
        return SCHEMA.to_frame()
    windows, inverse = np.unique(plan.windows(ids, starts), axis=0, return_inverse=True)
    found = score_with_rescoring(
        models.model, models.exact_model, windows, plan.prefix_length,
        margin_bound=models.margin_bound, batch_size=models.batch_size,
    ).scores  # fmt: skip
    entropy = found.tokens.filter(pl.col("position") >= plan.prefix_length)["entropy_nats"].to_numpy()
    frame = found.paragraphs.with_columns(
        entropy_nats=pl.Series(entropy.astype(np.float64).reshape(len(windows), -1).mean(axis=1))
    )
    return _in_order(frame, inverse, starts)


def screened_scores(models: ScanModels, ids: np.ndarray, starts: np.ndarray, plan: ScanPlan) -> pl.DataFrame:
    """The same leading match by the cascade; log-probability and entropy only from `plan.least` tokens on.

    Args and errors are those of `exact_scores`; the columns too, null for windows that were dropped.
    """
    if not len(starts):
        return SCHEMA.to_frame()
    windows, inverse = np.unique(plan.windows(ids, starts), axis=0, return_inverse=True)
    found = extractable_with_rescoring(
        models.model, models.exact_model, windows, plan.prefix_length, [plan.prefix_length], models.margin_bound,
        batch_size=models.batch_size,
    )  # fmt: skip
    empty = {name: pl.lit(None, dtype=pl.Float64) for name in ("continuation_logprob_nats", "entropy_nats")}
    frame = _in_order(found.with_columns(**empty), inverse, starts)
    survivors = frame.filter(pl.col("exact_match") >= plan.least)["position"].to_numpy()
    return frame.update(exact_scores(models, ids, survivors, plan).drop("exact_match", "top2_margin"), on="position")


def _in_order(frame: pl.DataFrame, inverse: np.ndarray, starts: np.ndarray) -> pl.DataFrame:
    """Rows of distinct windows as rows of starts."""
    names = [name for name in SCHEMA if name != "position"]
    spread = frame.select(names)[inverse.ravel()]
    return spread.insert_column(0, pl.Series("position", starts)).cast(SCHEMA)


def written_instead(models: ScanModels, ids: np.ndarray, frame: pl.DataFrame, plan: ScanPlan) -> pl.DataFrame:
    """How much of the truth greedy decoding still writes after it has left it: near-verbatim overlap.

    Args:
        models: what decodes.
        ids: token ids of the document, [token].
        frame: position and exact_match; only windows with at least plan.least tokens that end early are decoded.
        plan: lengths.

    Returns:
        position, token_accuracy and rouge_l (share of the continuation in the longest common subsequence).
    """
    near = frame.filter((pl.col("exact_match") >= plan.least) & (pl.col("exact_match") < plan.continuation_length))
    if near.is_empty():
        return WRITTEN.to_frame()
    windows = plan.windows(ids, near["position"].to_numpy())
    written: Any = generate_continuations(models.model, windows, near["exact_match"].to_list(), plan.prefix_length)
    return pl.concat([near.select("position"), written.select("token_accuracy", "rouge_l")], how="horizontal")
