"""Replacement policies, which draw the token that takes another's place, seeded by what the paragraph says."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from probes.errors import ProbeError

Policy = Literal["uniform", "frequency_matched", "plausible", "second_choice", "deletion"]
POLICIES: tuple[Policy, ...] = ("uniform", "frequency_matched", "plausible", "second_choice", "deletion")
BY_CONTEXT: tuple[Policy, ...] = ("plausible", "second_choice")
"""Policies by which the model says what could stand there; position 0 has no context to say it from."""

# Octaves of the corpus count that hold fewer tokens than this are joined with the next rarer octave.
LEAST_BIN_SIZE = 32


@dataclass(frozen=True)
class Pools:
    """For every token id, the ids that may take its place.

    Attributes:
        ids: all allowed ids, pool after pool, [candidate].
        start: where the pool of a token begins in `ids`, [token].
        size: length of that pool, [token].
        index: place of the token in its own pool, -1 where it is not allowed itself, [token].
    """

    ids: np.ndarray
    start: np.ndarray
    size: np.ndarray
    index: np.ndarray

    @classmethod
    def of_bins(cls, bins: np.ndarray, excluded_ids: Sequence[int] = ()) -> Pools:
        """Pools of the tokens that share a bin; `bins` is [token], `excluded_ids` are never drawn."""
        allowed = np.ones(len(bins), dtype=bool)
        allowed[list(excluded_ids)] = False
        ids = np.flatnonzero(allowed)
        ids = ids[np.argsort(bins[ids], kind="stable")]
        start = np.searchsorted(bins[ids], bins, side="left")
        size = np.searchsorted(bins[ids], bins, side="right") - start
        index = np.full(len(bins), -1, dtype=np.int64)
        index[ids] = np.arange(len(ids)) - start[ids]
        return cls(ids, start, size, index)


def frequency_bins(token_counts: np.ndarray, least_size: int = LEAST_BIN_SIZE) -> np.ndarray:
    """Bin of each token: octaves of its corpus count, sparse ones joined with the next rarer octave.

    Args:
        token_counts: occurrences in the corpus, [token].
        least_size: tokens a bin must hold (as far as there are so many).

    Returns:
        Bin numbers, [token]; tokens of one bin are about equally frequent.
    """
    octave = np.floor(np.log2(np.asarray(token_counts, dtype=np.float64) + 1)).astype(np.int64)
    sizes = np.bincount(octave)
    joined = np.arange(len(sizes))
    carried = 0
    for value in range(len(sizes) - 1, -1, -1):  # from the most frequent down
        carried += sizes[value]
        if value and carried < least_size:
            joined[joined == value] = value - 1
        else:
            carried = 0
    bins = joined[octave]
    return _join_rarest(bins, least_size)


def _join_rarest(bins: np.ndarray, least_size: int) -> np.ndarray:
    """The rarest bin has no rarer neighbour: where it is too small it goes to the next more frequent one."""
    values, sizes = np.unique(bins, return_counts=True)
    if len(values) > 1 and sizes[0] < least_size:
        bins = np.where(bins == values[0], values[1], bins)
    return bins


def draw_replacements(prefix_ids: np.ndarray, pools: Pools, draws: int, seed: int) -> np.ndarray:
    """Random replacements of every prefix token of one paragraph; never the token itself, no repeats at a position.

    The generator is seeded by (seed, content of the prefix), and draw d does not depend on how many draws follow, so
    a paragraph gets the same replacements whatever else is swept and however it is batched.

    Args:
        prefix_ids: token ids, [position].
        pools: allowed replacements.
        draws: replacements per position.
        seed: seed of the sweep.

    Returns:
        Token ids, [position, draw].

    Raises:
        ProbeError: a pool has too few other tokens.
    """
    uniform = _generator(seed, prefix_ids).random((draws, len(prefix_ids)))
    own, size = pools.index[prefix_ids], pools.size[prefix_ids]
    free = size - (own >= 0)
    if (free < draws).any():
        raise ProbeError(
            f"a token has only {free.min()} possible replacements, but {draws} draws were asked; ask fewer."
        )
    taken = np.where(own >= 0, own, np.iinfo(np.int64).max)[None]  # places already used, [taken, position]
    for draw in range(draws):
        pick = np.floor(uniform[draw] * (free - draw)).astype(np.int64)
        for place in np.sort(taken, axis=0):  # step over used places, lowest first
            pick += pick >= place
        taken = np.concatenate([taken, pick[None]])
    return pools.ids[pools.start[prefix_ids][:, None] + taken[1:].T]


def gumbel_noise(prefix_ids: np.ndarray, vocabulary_count: int, seed: int) -> np.ndarray:
    """Noise that makes the largest of logits + noise a draw from their softmax, and the d-th largest a d-th draw
    without replacement (the Gumbel-top-k trick). Seeded as the other draws of a paragraph.

    Returns:
        float32, [position, token]; positions after the first, which nothing precedes.
    """
    uniform = _generator(seed, prefix_ids).random((len(prefix_ids) - 1, vocabulary_count), dtype=np.float32)
    return -np.log(-np.log(np.clip(uniform, np.finfo(np.float32).tiny, 1 - np.finfo(np.float32).epsneg)))


def _generator(seed: int, prefix_ids: np.ndarray) -> np.random.Generator:
    content = hashlib.blake2b(np.ascontiguousarray(prefix_ids, dtype="<i8").tobytes(), digest_size=16).digest()
    return np.random.default_rng([seed, *np.frombuffer(content, dtype="<u4").tolist()])
