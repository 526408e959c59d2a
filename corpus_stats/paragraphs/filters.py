"""The filters of Stoehr et al. 2024 (§3.1 and released code) on paragraphs, each reporting what it dropped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

FILTER_WORDS = (
    "TripAdvisor", "href", "license", "copyright", "software",
    "manuscript", "submission", "distribution", "disclaimed", "limited",
)  # fmt: skip


def filter_strings(words: Iterable[str] = FILTER_WORDS) -> list[str]:
    """Every word as is, in capitals and capitalized, each with and without a leading space: six strings per word."""
    return [space + form for word in words for form in (word, word.upper(), word.capitalize()) for space in ("", " ")]


def filter_token_sets(tokenizer: PreTrainedTokenizerFast, strings: Iterable[str] | None = None) -> list[list[int]]:
    """Token ids of every filter string, sorted and distinct; padding and special tokens are left out."""
    from corpus_stats.tokens.tokenizer import encoder

    encode = encoder(tokenizer)
    chosen = filter_strings() if strings is None else list(strings)
    special = set(tokenizer.all_special_ids)
    encodings = encode.encode_batch(chosen, add_special_tokens=False)
    return [sorted(set(encoding.ids) - special) for encoding in encodings]


def contains_token_set(token_ids: np.ndarray, token_sets: Sequence[Sequence[int]]) -> np.ndarray:
    """Whether a paragraph's set of ids contains all ids of at least one token set, in any order or place.

    That is the paper's rule: a set of three common pieces hits many paragraphs that do not hold the string.

    Args:
        token_ids: [paragraph, position].
        token_sets: ids of each filter string; empty ones hit nothing.

    Returns:
        bool, [paragraph].
    """
    rows = np.asarray(token_ids)
    wanted = sorted({token for tokens in token_sets for token in tokens})
    present = {token: (rows == token).any(axis=1) for token in wanted}
    hit = np.zeros(len(rows), dtype=bool)
    for tokens in token_sets:
        if len(tokens):
            hit |= np.logical_and.reduce([present[token] for token in tokens])
    return hit


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
