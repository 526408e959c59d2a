"""Near duplicates in crowds: many texts of one template, of which few or none are duplicates."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import corpus_stats.duplicates.near_duplicates as near_duplicates
from corpus_stats.duplicates.near_duplicates import ShingleSets, near_duplicate_clusters


def template_crowd(rows: int, private: int, seed: int, vocabulary: int = 50_000) -> np.ndarray:
    """Texts of 100 tokens that differ in one run of `private` tokens, [paragraph, position]."""
    generator = np.random.default_rng(seed)
    crowd = np.repeat(generator.integers(0, vocabulary, (1, 100)), rows, axis=0)
    crowd[:, 30 : 30 + private] = generator.integers(0, vocabulary, (rows, private))
    return crowd


def jaccard(a: np.ndarray, b: np.ndarray, shingle: int = 5) -> float:
    """Similarity of two rows by Python's own sets."""
    left, right = (set(zip(*(row.tolist()[i:] for i in range(shingle)), strict=False)) for row in (a, b))
    return len(left & right) / len(left | right)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(2, 40),
    threshold=st.sampled_from([0.3, 0.5, 0.7, 0.8, 0.9, 1.0]),
    vocabulary=st.sampled_from([2, 5, 1000]),
    seed=st.integers(0, 2**16),
)
def test_marks_never_lose_a_similar_pair(rows, threshold, vocabulary, seed):
    generator = np.random.default_rng(seed)
    crowd = np.repeat(generator.integers(0, vocabulary, (1, 30)), rows, axis=0)
    for row in crowd:
        changed = generator.integers(0, 30, generator.integers(0, 8))
        row[changed] = generator.integers(0, vocabulary, len(changed))
    labels = clusters_of_one_group(crowd, threshold)
    expected = list(range(rows))
    for i, j in itertools.combinations(range(rows), 2):
        if jaccard(crowd[i], crowd[j], 3) >= threshold:
            expected = [expected[i] if label == expected[j] else label for label in expected]
    assert [labels.index(label) for label in labels] == [expected.index(label) for label in expected]


def clusters_of_one_group(crowd: np.ndarray, threshold: float) -> list[int]:
    """Clusters when signatures tell nothing, all rows are candidates of each other and no group counts as small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "SMALL_GROUP", 0)
        patch.setattr(near_duplicates, "candidate_groups", lambda *_: [np.arange(len(crowd))])
        return near_duplicate_clusters(crowd, threshold, shingle_length=3).tolist()


@pytest.mark.parametrize("private", [37, 10])
def test_a_crowd_of_one_template_is_no_cluster_and_costs_no_quadratic_time(private, monkeypatch):
    crowd = template_crowd(2000, private, seed=1)
    assert jaccard(crowd[0], crowd[1]) == pytest.approx({37: 0.4, 10: 0.75}[private], abs=0.03)
    compared = []
    original = ShingleSets.similar

    def counting(self, pivot, others):
        compared.append(len(others))
        return original(self, pivot, others)

    monkeypatch.setattr(ShingleSets, "similar", counting)
    labels = near_duplicate_clusters(crowd)
    assert len(set(labels.tolist())) == 2000
    assert sum(compared) < 20 * 2000, "4 million pairs share the template"


def test_true_duplicates_in_a_crowd_are_found():
    crowd = template_crowd(1500, 37, seed=2)
    crowd[700] = crowd[20]
    crowd[800] = crowd[30]
    crowd[800, 0] += 1
    labels = near_duplicate_clusters(crowd)
    assert labels[700] == labels[20] and labels[800] == labels[30]
    assert len(set(labels.tolist())) == 1498
