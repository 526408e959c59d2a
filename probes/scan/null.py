"""The null of a scan: how far text is continued by predictability alone, and how far the document is, side by side.

The same windows are cut out of text the model cannot have by heart as it stands: other text, or the document with its
sentences shuffled, which keeps words, phrases and topic. A sentence that fills a window survives the shuffling, so
that null errs to the side of too much, never of too little.
"""

from __future__ import annotations

import re

import numpy as np
import polars as pl

from probes.scan.plan import ScanPlan
from probes.statistics.bounded import bounded_test

LEVELS = (10, 20, 50)
BLOCK_CHARACTERS = 4000
_SENTENCE = re.compile(r".+?(?:[.!?;:]+[\"')\]]*\s+|\n\s*\n|\Z)", re.DOTALL)
_LINE = re.compile(r".*?(?:\n|\Z)", re.DOTALL)


def shuffled_sentences(text: str, seed: int) -> str:
    """The text with its sentences in random order; lines where it has fewer sentences than one per 400 characters."""
    sentences = _SENTENCE.findall(text)
    if len(sentences) * 400 < len(text):
        sentences = [line for line in _LINE.findall(text) if line]
    order = np.random.default_rng(seed).permutation(len(sentences))
    spaced = [s if s[-1:].isspace() else s + "\n" for s in sentences]
    return "".join(spaced[index] for index in order)


def reach_levels(plan: ScanPlan) -> list[int]:
    """Tokens whose reach is reported: 10, 20, 50, and the whole continuation."""
    return sorted({level for level in (*LEVELS, plan.continuation_length) if level <= plan.continuation_length})


def reach(frame: pl.DataFrame, token_count: int, plan: ScanPlan) -> pl.DataFrame:
    """Share of starts whose window is recited for at least 10, 20, 50 tokens.

    Blocks of neighbouring starts are the unit of the interval (`bounded_test`), none below three.

    Args:
        frame: position and exact_match of starts all over the text; without exact_match they are left out.
        token_count: tokens of the text.
        plan: lengths.

    Returns:
        One row per level: match, share, share_lower, share_upper (null where there is no interval), start_count.
    """
    known = frame.filter(pl.col("exact_match").is_not_null())
    match = known["exact_match"].to_numpy()
    blocks = (known["position"].to_numpy() - plan.prefix_length) // plan.block_length(token_count)
    rows = []
    for level in reach_levels(plan):
        row: dict[str, float | None] = {
            "match": level,
            "share": None,
            "lower": None,
            "upper": None,
            "start_count": len(match),
        }
        if len(match):
            found = bounded_test((match >= level).astype(np.float64), blocks, 0.0, 1.0)
            ends = [None if np.isnan(end) else float(end) for end in (found.lower, found.upper)]
            row |= {"share": float(found.estimate), "share_lower": ends[0], "share_upper": ends[1]}
        rows.append(row)
    kinds = {
        "match": pl.Int32,
        **dict.fromkeys(("share", "share_lower", "share_upper"), pl.Float64),
        "start_count": pl.Int64,
    }
    return pl.DataFrame(rows, schema=kinds)


def null_share(longest: np.ndarray, null_match: np.ndarray) -> np.ndarray:
    """Share of the null's windows recited as far as each passage's longest, one added to both counts, [passage].

    The one more keeps the share above zero: from n windows nothing below 1 / (n + 1) can be told.
    """
    ranked = np.sort(null_match)
    reaching = len(ranked) - np.searchsorted(ranked, longest, side="left")
    return (reaching + 1) / (len(ranked) + 1)
