"""Marks of passages that can be guessed without having been seen: repetition, counting, few different tokens.

A model that has seen none of it continues `1, 2, 3, …` or a copied line, too. Such passages are marked, not left out.
How surprising a passage is to a reader of no more than the text before it is measured by a general compressor.
"""

from __future__ import annotations

import re
import zlib

import numpy as np

FEW_DIFFERENT = 0.35
"""Distinct tokens per token below which a passage of twenty tokens or more counts as repetitive."""

LEAST_BITS_PER_TOKEN = 5.0
PERIODIC_SHARE = 0.6
COUNTED_SHARE = 0.7
_LONGEST_PERIOD = 50
_WINDOW = 32_768  # what zlib looks back
_NUMBER = re.compile(r"\d+")


def surprise_bits(text: str, before: str) -> float:
    """Bits that zlib needs for the text when it knows what stands before it.

    Args:
        text: the passage.
        before: the text in front of it, of which the last 32 KiB count.
    """
    known = before.encode("utf-8", errors="surrogatepass")[-_WINDOW:]
    data = text.encode("utf-8", errors="surrogatepass")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, known) if known else zlib.compressobj(
        9, zlib.DEFLATED, -15, 9
    )  # fmt: skip
    return 8.0 * len(packer.compress(data) + packer.flush())


def mark(token_ids: np.ndarray, text: str, before: str) -> str | None:
    """Reason for which a passage is guessable, or None.

    Args:
        token_ids: of the passage, [token].
        text: the passage.
        before: the prefix in front of it.

    Returns:
        counting, repetition, few different tokens or copied prefix.
    """
    if is_counting(text):
        return "counting"
    if periodic_share(token_ids) >= PERIODIC_SHARE:
        return "repetition"
    if len(np.unique(token_ids)) < FEW_DIFFERENT * len(token_ids):
        return "few different tokens"
    if surprise_bits(text, before) < LEAST_BITS_PER_TOKEN * len(token_ids):
        return "copied prefix"
    return None


def is_counting(text: str) -> bool:
    """Whether most numbers of a text follow each other in equal steps, and there are many of them."""
    numbers = np.array([int(digits[:15]) for digits in _NUMBER.findall(text)], dtype=np.int64)
    if len(numbers) < 6 or sum(map(len, _NUMBER.findall(text))) < 0.15 * len(text):
        return False
    steps = np.diff(numbers)
    _, counts = np.unique(steps[steps != 0], return_counts=True)
    return bool(len(counts)) and int(counts.max()) >= COUNTED_SHARE * len(steps)


def periodic_share(token_ids: np.ndarray) -> float:
    """Largest share of tokens that equal the one a fixed number of places before, over periods up to 50."""
    ids = np.asarray(token_ids)
    periods = range(1, min(_LONGEST_PERIOD, len(ids) // 3) + 1)
    return max((float((ids[period:] == ids[:-period]).mean()) for period in periods), default=0.0)
