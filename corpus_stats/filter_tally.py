"""What each filter of a sample dropped, counted while windows are drawn and afterwards."""

from __future__ import annotations

import numpy as np
import polars as pl

REPORT_SCHEMA = {
    "step": pl.Int32,
    "filter": pl.String,
    "dropped_count": pl.Int64,
    "dropped_alone_count": pl.Int64,
    "kept_count": pl.Int64,
}


class FilterTally:
    """Counts of paragraphs that reached, failed and passed each filter, in the order the filters are first named."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}

    def add(self, name: str, passes: np.ndarray, reached: np.ndarray | None = None, alone: bool = True) -> np.ndarray:
        """Counts one filter over some paragraphs and returns which of them go on to the next.

        Args:
            name: of the filter.
            passes: whether each paragraph passes it, [paragraph].
            reached: whether each paragraph passed the filters before; None means all.
            alone: whether `passes` is known for all paragraphs, also for those that did not reach the filter.
        """
        before = np.ones(len(passes), dtype=bool) if reached is None else reached
        after = before & passes
        counts = self._counts.setdefault(name, [0, 0, 0])
        counts[0] += int(before.sum()) - int(after.sum())
        counts[1] = counts[1] + int((~passes).sum()) if alone and counts[1] >= 0 else -1
        counts[2] += int(after.sum())
        return after

    def frame(self) -> pl.DataFrame:
        """One row per filter in order: step, filter, dropped_count, dropped_alone_count (null where unknown),
        kept_count."""
        rows = [
            (step, name, dropped, None if alone < 0 else alone, kept)
            for step, (name, (dropped, alone, kept)) in enumerate(self._counts.items())
        ]
        return pl.DataFrame(rows, schema=REPORT_SCHEMA, orient="row")
