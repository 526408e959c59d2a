"""Plans of edits: targets, kept and watched paragraphs; and what is refused before any work."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from probes.errors import ProbeError


def check_targets(names: Sequence[str], exact_match: Sequence[int], continuation_length: int) -> None:
    """Refuse an empty target set and targets that the model does not recite: there would be nothing to forget.

    Args:
        names: of the targets.
        exact_match: leading greedy tokens equal to the truth, [target].
        continuation_length: tokens of the continuation.

    Raises:
        ProbeError: names the first such target.
    """
    if not len(names):
        raise ProbeError("no target paragraph was given; name at least one memorized paragraph.")
    for name, match in zip(names, exact_match, strict=True):
        if match < continuation_length:
            raise ProbeError(
                f"target {name} is not memorized (it is recited for {match} of {continuation_length} tokens), so there "
                "is nothing to forget; name memorized paragraphs."
            )


def check_disjoint(target_clusters: Sequence[int], control_clusters: Sequence[int]) -> None:
    """Refuse targets and controls that share a near-duplicate cluster: keeping one would undo the other.

    Raises:
        ProbeError: names the cluster.
    """
    shared = sorted(set(target_clusters) & set(control_clusters))
    if shared:
        raise ProbeError(
            f"near-duplicate cluster {shared[0]} is among the targets and among the controls; "
            "choose controls from other clusters."
        )


def folds(clusters: Sequence[int], count: int, seed: int) -> np.ndarray:
    """Fold of each paragraph, whole clusters together: [paragraph], 0..count-1.

    Raises:
        ProbeError: there are fewer clusters than folds.
    """
    labels = np.unique(np.asarray(clusters))
    if len(labels) < count or count < 2:
        raise ProbeError(f"{len(labels)} clusters cannot be held out in {count} folds; give more targets.")
    order = np.random.default_rng(seed).permutation(len(labels))
    fold_of = dict(zip(labels[order].tolist(), (np.arange(len(labels)) % count).tolist(), strict=True))
    return np.array([fold_of[int(cluster)] for cluster in clusters])
