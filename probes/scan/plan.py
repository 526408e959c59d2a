"""Plan of a scan: lengths of prefix and continuation, the way it is done, where windows start, which are sampled.

A window that starts at t has the prefix t - prefix_length … t - 1 and the continuation t … t + continuation_length - 1
(Cooper et al. 2025, arXiv 2505.12546, slide such windows over a book).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from probes.errors import ProbeError

Method = Literal["anchored", "screened", "exact"]
METHODS: tuple[Method, ...] = ("anchored", "screened", "exact")
MOST_SAMPLED = 1000
LEAST_SAMPLED = 200


@dataclass(frozen=True)
class ScanPlan:
    """How a document is scanned.

    Attributes:
        prefix_length: tokens that are shown, at least 2.
        continuation_length: tokens that are to be recited.
        stride: tokens between two starts.
        method: exact (every window on its own), screened (dropped at the first mismatch) or anchored (a finder, what it
            finds is confirmed exactly).
        row_starts: starts that one row of the anchored pass reads; rows have prefix + continuation - 1 + this tokens.
        least_match: a recital of fewer tokens makes no passage; the whole continuation where that is shorter.
        seed: of the random sample and of the null.
    """

    prefix_length: int = 50
    continuation_length: int = 50
    stride: int = 1
    method: Method = "anchored"
    row_starts: int = 200
    least_match: int = 20
    seed: int = 1

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ProbeError(f"there is no way {self.method!r} to scan; choose one of {', '.join(METHODS)}.")
        least = {"prefix": 2, "continuation": 1, "stride": 1, "row": 1, "match": 1}
        given = (self.prefix_length, self.continuation_length, self.stride, self.row_starts, self.least_match)
        for (name, at_least), value in zip(least.items(), given, strict=True):
            if value < at_least:
                raise ProbeError(f"the {name} of a scan is {value}; it needs to be at least {at_least}.")

    @property
    def length(self) -> int:
        """Tokens of a window."""
        return self.prefix_length + self.continuation_length

    @property
    def least(self) -> int:
        """Tokens from which a recital counts."""
        return min(self.least_match, self.continuation_length)

    def starts(self, token_count: int, first: int = 0, stop: int | None = None) -> np.ndarray:
        """First continuation tokens of all windows of a document, within first … stop - 1, int64 [start]."""
        end = token_count - self.continuation_length + 1
        last = end if stop is None else min(stop, end)
        skipped = -(-max(0, first - self.prefix_length) // self.stride)
        return np.arange(self.prefix_length + skipped * self.stride, last, self.stride, dtype=np.int64)

    def windows(self, ids: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Token ids of the windows at these starts, int64 [start, position]."""
        return np.asarray(ids)[starts[:, None] - self.prefix_length + np.arange(self.length)].astype(np.int64)

    def block_length(self, token_count: int) -> int:
        """Tokens of a block, one start of which is sampled: windows of neighbours hardly overlap in a long document."""
        starts = max(1, token_count - self.length + 1)
        apart = max(self.length, -(-starts // MOST_SAMPLED))
        return max(1, min(apart, starts // LEAST_SAMPLED))

    def sampled(self, token_count: int) -> np.ndarray:
        """A random sample of starts, one of each block, whatever range is asked about, int64 [start]."""
        block, grid = self.block_length(token_count), self.stride
        count = len(range(self.prefix_length, token_count - self.continuation_length + 1, grid))
        held = max(1, block // grid)  # starts of a block
        begins = np.arange(0, count, held)
        sizes = np.minimum(held, count - begins)
        drawn = begins + np.floor(np.random.default_rng(self.seed).random(len(begins)) * sizes).astype(np.int64)
        return self.prefix_length + drawn * grid


def refuse_short(token_count: int, plan: ScanPlan, name: str) -> None:
    """Refuse a document that holds no window.

    Raises:
        ProbeError: names both lengths.
    """
    if token_count < plan.length:
        raise ProbeError(
            f"{name} has {token_count} tokens, a window needs {plan.length}; scan a longer text, or ask for a shorter "
            "--prefix and --continuation."
        )
