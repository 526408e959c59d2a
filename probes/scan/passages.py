"""Passages: maximal stretches of a document every token of which is recited from some prefix of the document itself."""

from __future__ import annotations

import numpy as np
import polars as pl

from probes.scan.confirming import united
from probes.scan.plan import ScanPlan
from probes.statistics.bounded import bounded_test

SCHEMA = pl.Schema(
    {
        "passage": pl.Int32,
        "first_position": pl.Int64,
        "token_count": pl.Int32,
        "start_count": pl.Int32,
        "memorized_start_count": pl.Int32,
        "longest_match": pl.Int32,
        "best_position": pl.Int64,
        "continuation_logprob_nats": pl.Float64,
    }
)


def recited_starts(frame: pl.DataFrame, plan: ScanPlan) -> pl.DataFrame:
    """Starts whose own window is recited for at least plan.least tokens."""
    return frame.filter(pl.col("exact_match") >= plan.least).sort("position")


def merged(recited: pl.DataFrame) -> pl.DataFrame:
    """Recitals that overlap or touch, as passages.

    Args:
        recited: position (ascending), exact_match, is_memorized, continuation_logprob_nats of recited starts.

    Returns:
        One row per passage in the order of the text: passage (0-based), first_position, token_count, start_count
        (starts in it that were measured on their own and recited), memorized_start_count (of these, recited in full),
        longest_match, best_position (the longest, then the most probable recital) and its continuation_logprob_nats.
    """
    starts = recited["position"].to_numpy()
    firsts, stops = united(starts, starts + recited["exact_match"].to_numpy())
    label = (np.searchsorted(firsts, starts, side="right") - 1).astype(np.int32)
    order = ["exact_match", "continuation_logprob_nats", "position"]
    ranked = recited.with_columns(passage=pl.Series(label, dtype=pl.Int32)).sort(
        order, descending=[True, True, False], nulls_last=True
    )
    facts = ranked.group_by("passage").agg(
        start_count=pl.len(),
        memorized_start_count=pl.col("is_memorized").sum(),
        longest_match=pl.col("exact_match").max(),
        best_position=pl.col("position").first(),
        continuation_logprob_nats=pl.col("continuation_logprob_nats").first(),
    )
    places = pl.DataFrame({"passage": np.arange(len(firsts)), "first_position": firsts, "token_count": stops - firsts})
    joined = facts.join(places.cast({"passage": pl.Int32}), on="passage")
    return joined.select(list(SCHEMA)).cast(SCHEMA).sort("passage")


def longest_cover(recited: pl.DataFrame, token_count: int) -> np.ndarray:
    """Length of the longest recital that covers each token, 0 where none does, int32 [token]."""
    cover = np.zeros(token_count, dtype=np.int32)
    for position, match in recited.sort("exact_match").select("position", "exact_match").iter_rows():
        cover[position : position + match] = match
    return cover


def is_inside(passages: pl.DataFrame, starts: np.ndarray, length: int) -> np.ndarray:
    """Whether the `length` tokens from each start on lie inside one passage, [start]."""
    if passages.is_empty():
        return np.zeros(len(starts), dtype=bool)
    first = passages["first_position"].to_numpy()
    stop = first + passages["token_count"].to_numpy()
    at = np.searchsorted(first, starts, side="right") - 1
    return (at >= 0) & (starts + length <= stop[at.clip(0)])


def finder_recall(frame: pl.DataFrame, plan: ScanPlan) -> dict[str, float | int | None]:
    """Share of sampled starts that are recited in full and lie in a passage that the finder led to.

    Passages are made of confirmed starts alone, so that the sample does not find itself. Stretches of a window's length
    are the unit of the interval (`bounded_test`), since neighbouring windows say the same; none below three of them.

    Args:
        frame: rows of `scan_range`, of the whole document or of its sampled and recited starts.
        plan: lengths.
    """
    sample = frame.filter("is_sampled")
    recited = sample.filter("is_memorized")["position"].to_numpy()
    counts: dict[str, float | int | None] = {
        "sampled_start_count": sample.height,
        "sampled_recited_count": len(recited),
    }
    if not len(recited):
        return counts | {"recall": None, "recall_lower": None, "recall_upper": None}
    own = merged(recited_starts(frame.filter(pl.col("way") != "sampled"), plan))
    found = is_inside(own, recited, plan.continuation_length).astype(np.float64)
    test = bounded_test(found, recited // plan.length, 0.0, 1.0)
    lower, upper = (None if np.isnan(end) else float(end) for end in (test.lower, test.upper))
    return counts | {"recall": float(found.mean()), "recall_lower": lower, "recall_upper": upper}
