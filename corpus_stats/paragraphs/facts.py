"""Facts a paragraph's token ids alone tell: its name and its variety."""

from __future__ import annotations

import hashlib

import numpy as np


def paragraph_id(token_ids: np.ndarray) -> str:
    """Content hash of a paragraph: BLAKE2b-128 of its ids as little-endian uint32, 32 hexadecimal digits."""
    return hashlib.blake2b(np.asarray(token_ids).astype("<u4").tobytes(), digest_size=16).hexdigest()


def paragraph_ids(token_ids: np.ndarray) -> list[str]:
    """`paragraph_id` of every row of [paragraph, position]."""
    return [hashlib.blake2b(row, digest_size=16).hexdigest() for row in np.asarray(token_ids).astype("<u4")]


def unique_token_count(token_ids: np.ndarray) -> np.ndarray:
    """Distinct ids of every row of [paragraph, position], int32 [paragraph]."""
    ordered = np.sort(np.asarray(token_ids), axis=1)
    return 1 + np.count_nonzero(ordered[:, 1:] != ordered[:, :-1], axis=1).astype(np.int32)
