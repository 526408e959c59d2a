"""The duplication ladder: how often the quickstart's training run shows each paragraph."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from corpus_stats.errors import CorpusError

NOT_USED = -1


def build_ladder(clusters: np.ndarray, rungs: Mapping[int, int], held_out: int, seed: int) -> np.ndarray:
    """Assigns paragraphs to rungs, at most one paragraph of each near-duplicate cluster on the whole ladder.

    Args:
        clusters: near-duplicate cluster labels, [paragraph].
        rungs: copies → number of paragraphs shown that often.
        held_out: paragraphs that are never shown (0 copies).
        seed: decides which paragraphs go where.

    Returns:
        int64 copies, [paragraph]; 0 is held out, −1 is not used.

    Raises:
        CorpusError: a rung is not positive, a count is negative, or there are too few clusters.
    """
    if any(copies < 1 for copies in rungs) or min([held_out, *rungs.values()]) < 0:
        raise CorpusError(
            f"A ladder {dict(rungs)} with {held_out} held out is impossible; use positive copies and counts."
        )
    labels = np.asarray(clusters)
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(labels))
    # First paragraph of each cluster in random order: one random member, clusters in random order.
    _, first = np.unique(labels[order], return_index=True)
    candidates = order[np.sort(first)]
    copies = np.repeat([*sorted(rungs, reverse=True), 0], [*(rungs[c] for c in sorted(rungs, reverse=True)), held_out])
    if len(copies) > len(candidates):
        raise CorpusError(
            f"The ladder needs {len(copies)} paragraphs of different near-duplicate clusters but the sample has "
            f"{len(candidates)}; sample more paragraphs or shorten the rungs."
        )
    assigned = np.full(len(labels), NOT_USED, dtype=np.int64)
    assigned[candidates[: len(copies)]] = copies
    return assigned
