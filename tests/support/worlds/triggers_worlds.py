"""Synthetic trigger frames: paragraphs of tokens with a position profile, near duplicates and a known rarity effect."""

from __future__ import annotations

import numpy as np
import polars as pl


def trigger_world(
    clusters: int = 30,
    positions: int = 15,
    copies: int = 1,
    seed: int = 0,
    effect: float = 0.0,
    memorized_share: float = 0.5,
) -> pl.DataFrame:
    """Rows of the view `triggers`; `effect` is the EM drop per standard deviation of rarity in memorized paragraphs.

    Under effect 0 rarity is unrelated to the outcome, but related to the token NLL; outcomes are skewed, grow along the
    prefix, differ between paragraphs, and `copies` near duplicates of a cluster share rarity and most of the outcome.
    """
    rng = np.random.default_rng(seed)

    def repeated(values: np.ndarray) -> np.ndarray:
        return np.repeat(values, copies, axis=0)

    count = clusters * copies
    memorized = repeated(np.arange(clusters) < round(clusters * memorized_share))
    surprisal = repeated(rng.gamma(3, 3, size=(clusters, positions))) + 0.1 * rng.normal(size=(count, positions))
    z = (surprisal - surprisal.mean(axis=1, keepdims=True)) / surprisal.std(axis=1, keepdims=True)
    shared = repeated(rng.gamma(1, 5, size=(clusters, positions)) + 6 * rng.normal(size=(clusters, 1)))
    drop = shared + 0.5 * np.arange(positions) + effect * z * memorized[:, None] + rng.normal(size=(count, positions))
    row, position = (axis.ravel() for axis in np.indices((count, positions)))
    return pl.DataFrame(
        {
            "paragraph_id": [f"p{index:05}" for index in row],
            "position": position + 1,
            "em_drop": drop.ravel(),
            "delta_nll_nats": (0.1 * drop + 0.3 * rng.normal(size=drop.shape)).ravel(),
            "surprisal_bits": surprisal.ravel(),
            "token_nll_nats": (0.2 * surprisal + rng.exponential(size=drop.shape)).ravel(),
            "duplication_count": repeated(4 ** rng.integers(0, 4, size=clusters))[row],
            "is_memorized": memorized[row],
            "near_duplicate_cluster": repeated(rng.permutation(clusters))[row],
        }
    )


def token_world(
    clusters: int = 40, positions: int = 20, types: int = 400, seed: int = 0, spread: float = 0.0, effect: float = 0.0
) -> pl.DataFrame:
    """Zipf-distributed token types; each type costs something of its own, `spread` wide, besides `effect` of rarity."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, types + 1)
    token = rng.choice(types, p=share / share.sum(), size=(clusters, positions))
    surprisal = np.log2(token + 2.0)
    z = (surprisal - surprisal.mean(axis=1, keepdims=True)) / surprisal.std(axis=1, keepdims=True)
    own = spread * rng.normal(size=types)
    row, position = (axis.ravel() for axis in np.indices(token.shape))
    drop = own[token] + effect * z + 4 * rng.normal(size=token.shape) + 0.5 * np.arange(positions)
    return pl.DataFrame(
        {
            "paragraph_id": row,
            "position": position + 1,
            "token_id": token.ravel(),
            "em_drop": drop.ravel(),
            "delta_nll_nats": drop.ravel() / 10,
            "surprisal_bits": surprisal.ravel(),
            "token_nll_nats": rng.exponential(size=row.size),
            "duplication_count": 1 + row % 4,
            "is_memorized": row % 2 == 0,
            "near_duplicate_cluster": row,
        }
    )
