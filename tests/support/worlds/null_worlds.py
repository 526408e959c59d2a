"""Worlds in which rarity does nothing, though much else goes on: what a test must not mistake for an effect of rarity.

One sample is what the tests of rarity read: prefix tokens with their rarity, attention of several heads, and what
changing each token costs. docs/false_positives.md has the table of what every test finds in them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

TYPES = 400
HEADS = (2, 2)


@dataclass(frozen=True)
class World:
    """What goes on besides rarity.

    Attributes:
        profile: how much more often rare tokens stand late in the prefix; heads and costs grow along it as well.
        taste: spread of what a token type is to a head, or costs, for reasons of its own.
        unlike: spread of the logarithm of how loud clusters are; copies differ, too.
        copies: near duplicates of a cluster, at most.
    """

    profile: float = 0.0
    taste: float = 0.0
    unlike: float = 0.0
    copies: int = 1


WORLDS = {
    "plain": World(),
    "position profile": World(profile=1.5),
    "token tastes": World(taste=1.5),
    "unlike clusters": World(unlike=0.8, copies=3),
    "all at once": World(profile=1.0, taste=1.0, unlike=0.5, copies=2),
}


@dataclass(frozen=True)
class Sample:
    """One draw from a world; paragraphs of a cluster stand side by side.

    Attributes:
        token_ids, surprisal_bits, rarity_rank, em_drop: [paragraph, position].
        attention: [paragraph, layer, head, position].
        clusters: [paragraph].
        is_memorized: [paragraph]; alternates over clusters.
    """

    token_ids: np.ndarray
    surprisal_bits: np.ndarray
    rarity_rank: np.ndarray
    em_drop: np.ndarray
    attention: np.ndarray
    clusters: np.ndarray
    is_memorized: np.ndarray

    def triggers(self, seed: int = 0) -> pl.DataFrame:
        """Rows of the view `triggers`; copies differ from cluster to cluster, token NLL follows rarity loosely."""
        rng = np.random.default_rng([seed, 7])
        row, position = (axis.ravel() for axis in np.indices(self.em_drop.shape))
        copies = 4 ** rng.integers(0, 4, size=self.clusters.max() + 1)
        nll = 0.2 * self.surprisal_bits + rng.exponential(size=self.em_drop.shape)
        return pl.DataFrame(
            {
                "paragraph_id": row,
                "position": position + 1,
                "token_id": self.token_ids.ravel(),
                "em_drop": self.em_drop.ravel(),
                "delta_nll_nats": self.em_drop.ravel() / 10,
                "surprisal_bits": self.surprisal_bits.ravel(),
                "token_nll_nats": nll.ravel(),
                "duplication_count": copies[self.clusters][row],
                "is_memorized": self.is_memorized[row],
                "near_duplicate_cluster": self.clusters[row],
            }
        )


def draw(world: World, clusters: int, seed: int, positions: int = 20) -> Sample:
    """One sample; the same seed, the same sample."""
    rng = np.random.default_rng([seed, clusters])
    token = _tokens(rng, world, clusters, positions)
    copies = rng.integers(1, world.copies + 1, size=clusters)
    cluster = np.repeat(np.arange(clusters), copies)
    token, loud = token[cluster], np.exp(world.unlike * rng.normal(size=clusters))[cluster]
    share = _shares()
    surprisal = -np.log2(share)[token]
    late = world.profile * np.arange(positions) / positions
    pull = _noise(rng, cluster, (*HEADS, positions)) * loud[:, None, None, None] + late
    pull = pull + np.moveaxis(world.taste * rng.normal(size=(TYPES, *HEADS))[token], 1, -1)
    attention = np.exp(pull - pull.max(axis=-1, keepdims=True))
    cost = loud[:, None] * _noise(rng, cluster, (positions,)) ** 2 * 4 + 6 * late
    cost = cost + 8 * np.maximum(world.taste * rng.normal(size=TYPES)[token], -1)
    return Sample(
        token, surprisal, TYPES - 1 - token, np.clip(np.round(cost), 0, 50).astype(float),
        attention / attention.sum(axis=-1, keepdims=True), cluster, cluster % 2 == 0,
    )  # fmt: skip


def _shares() -> np.ndarray:
    share = 1 / np.arange(1, TYPES + 1)
    return share / share.sum()


def _tokens(rng: np.random.Generator, world: World, clusters: int, positions: int) -> np.ndarray:
    """Zipf's law, tilted towards rare tokens late in the prefix, [cluster, position]."""
    tilt = world.profile * 0.5 * (np.arange(positions) / positions - 0.5)
    share = _shares()[None] * np.arange(1, TYPES + 1)[None] ** tilt[:, None]
    share = np.cumsum(share / share.sum(axis=1, keepdims=True), axis=1)
    return (rng.random((clusters, positions))[..., None] > share).sum(axis=-1).clip(max=TYPES - 1)


def _noise(rng: np.random.Generator, cluster: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Noise that near duplicates mostly share, [paragraph, ...]."""
    shared = rng.normal(size=(cluster.max() + 1, *shape))[cluster]
    return 0.95 * shared + 0.3 * rng.normal(size=(len(cluster), *shape))
