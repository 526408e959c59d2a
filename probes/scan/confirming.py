"""Confirmation of what the finder hints at: few windows on their own, so chosen that recited stretches are covered.

A recited stretch of n tokens has n - 49 windows that all say the same. Windows a continuation apart cover it; closer
ones are tried only where those were not recited, a grid at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from probes.scan.plan import ScanPlan

Score = Callable[[np.ndarray], pl.DataFrame]
GRIDS = 4  # a continuation apart, then half, a quarter, an eighth of that


def confirmed(anchored: pl.DataFrame, score: Score, plan: ScanPlan) -> pl.DataFrame:
    """Exact rows of enough candidates to cover whatever of the hinted stretches is recited.

    Args:
        anchored: position and anchored_match, positions ascending.
        score: exact rows of some starts, with position and exact_match.
        plan: lengths and what counts as a recital.

    Returns:
        The rows that `score` gave, by position.
    """
    hinted = anchored.filter(pl.col("anchored_match") >= plan.least)
    starts, ends = _spans(hinted, "anchored_match")
    frames = [score(np.empty(0, dtype=np.int64))]
    for grid in range(GRIDS):
        known = pl.concat(frames)
        left = starts[~_is_covered(starts, ends, known.filter(pl.col("exact_match") >= plan.least))]
        apart = max(1, plan.continuation_length >> grid)
        chosen = np.setdiff1d(spaced(left, apart), known["position"].to_numpy())
        frames.append(score(chosen))
    return pl.concat(frames).sort("position")


def spaced(starts: np.ndarray, apart: int) -> np.ndarray:
    """The first of ascending starts, and from there on each that is at least `apart` after the one taken before."""
    taken: list[int] = []
    for start in starts.tolist():
        if not taken or start >= taken[-1] + apart:
            taken.append(start)
    return np.array(taken, dtype=np.int64)


def _spans(rows: pl.DataFrame, match: str) -> tuple[np.ndarray, np.ndarray]:
    starts = rows["position"].to_numpy()
    return starts, starts + rows[match].to_numpy()


def _is_covered(starts: np.ndarray, ends: np.ndarray, known: pl.DataFrame) -> np.ndarray:
    """Whether start … end of each hint lies inside what is known to be recited, [hint]."""
    first, stop = _spans(known, "exact_match")
    firsts, stops = united(first, stop)
    if not len(firsts):
        return np.zeros(len(starts), dtype=bool)
    at = np.searchsorted(firsts, starts, side="right") - 1
    return (at >= 0) & (ends <= stops[at.clip(0)])


def united(starts: np.ndarray, stops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Union of half-open stretches with ascending starts; stretches that touch become one. Both [stretch]."""
    if not len(starts):
        return starts, stops
    reach = np.maximum.accumulate(stops)
    begins = np.flatnonzero(np.concatenate([[True], starts[1:] > reach[:-1]]))
    return starts[begins], reach[np.concatenate([begins[1:] - 1, [len(starts) - 1]])]
