"""One range of starts of a document, scanned in one of the three ways: a pure function, so that ranges can be spread.

exact: every window on its own. screened: windows are dropped at their first mismatch, with the same exact match.
anchored: one pass over long rows finds candidates, which are confirmed exactly; a random sample of starts is measured
exactly whatever the finder says, so that its recall is known.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from probes.scan.anchored import anchored_scores
from probes.scan.confirming import confirmed
from probes.scan.plan import ScanPlan
from probes.scan.windows import ScanModels, exact_scores, screened_scores, written_instead

ANCHORED = ("anchored_match", "anchored_logprob_nats", "anchored_entropy_nats", "anchored_context_length")


def scan_range(models: ScanModels, ids: np.ndarray, first: int, stop: int, plan: ScanPlan) -> pl.DataFrame:
    """Every start of the plan in first … stop - 1.

    Args:
        models: what measures.
        ids: token ids of the whole document, [token]; may be memory mapped.
        first: first start.
        stop: after the last start.
        plan: lengths, stride and way.

    Returns:
        One row per start: position, way (exact, screened, confirmed, sampled; anchored where no exact row was made),
        is_sampled, exact_match and is_memorized (null without an exact row), continuation_logprob_nats, entropy_nats,
        top2_margin, token_accuracy and rouge_l of what is written instead, and the anchored columns.

    Raises:
        ProbeError: a token is not the model's, or the windows exceed its context.
    """
    starts = plan.starts(len(ids), first, stop)
    sample = plan.sampled(len(ids))
    if plan.method == "anchored":
        frame = _anchored(models, ids, starts, np.intersect1d(sample, starts), plan)
    else:
        score = exact_scores if plan.method == "exact" else screened_scores
        empty = {name: pl.lit(None, dtype=kind) for name, kind in _ANCHORED_TYPES.items()}
        frame = score(models, ids, starts, plan).with_columns(way=pl.lit(plan.method), **empty)
    written = written_instead(models, ids, frame.filter(pl.col("exact_match").is_not_null()), plan)
    return frame.join(written, on="position", how="left", maintain_order="left").with_columns(
        is_sampled=pl.col("position").is_in(sample.tolist()),
        is_memorized=pl.col("exact_match") == plan.continuation_length,
    )


_ANCHORED_TYPES = {
    "anchored_match": pl.Int32,
    "anchored_logprob_nats": pl.Float64,
    "anchored_entropy_nats": pl.Float64,
    "anchored_context_length": pl.Int32,
}


def _anchored(
    models: ScanModels, ids: np.ndarray, starts: np.ndarray, sample: np.ndarray, plan: ScanPlan
) -> pl.DataFrame:
    """Hints for all starts, exact rows for candidates and for the sample."""
    stop = int(starts[-1]) + 1 if len(starts) else 0
    every = anchored_scores(models.model, ids, int(starts[0]) if len(starts) else 0, stop, plan, models.batch_size)
    hints = every.filter(pl.col("position").is_in(starts.tolist()))
    found = confirmed(hints, lambda some: exact_scores(models, ids, some, plan), plan)
    others = np.setdiff1d(sample, found["position"].to_numpy())
    known = pl.concat(
        [
            found.with_columns(way=pl.lit("confirmed")),
            screened_scores(models, ids, others, plan).with_columns(way=pl.lit("sampled")),
        ]
    )
    return hints.join(known, on="position", how="left", maintain_order="left").with_columns(
        pl.col("way").fill_null("anchored")
    )
