"""Near duplicates and the ladder: signatures against datasketch, clusters against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from datasketch import MinHash, MinHashLSH

from corpus_stats import CorpusError
from corpus_stats.duplicates.near_duplicates import (
    HASHING_SCHEME,
    band_shape,
    candidate_groups,
    minhash_signatures,
    near_duplicate_clusters,
    shingle_hashes,
)
from corpus_stats.paragraphs.ladder import build_ladder


def mutated_families(families: int, members: int, length: int, seed: int) -> np.ndarray:
    """Random paragraphs and copies of them with 0 to 9 tokens changed, [paragraph, position]."""
    generator = np.random.default_rng(seed)
    rows = np.repeat(generator.integers(0, 5000, (families, length)), members, axis=0)
    for row in rows:
        changed = generator.integers(0, length, generator.integers(0, 10))
        row[changed] = generator.integers(0, 5000, len(changed))
    return generator.permutation(rows)


def brute_force_clusters(rows: np.ndarray, threshold: float, shingle: int) -> list[int]:
    sets = [{tuple(row[i : i + shingle]) for i in range(len(row) - shingle + 1)} for row in rows.tolist()]
    labels = list(range(len(sets)))
    for i in range(len(sets)):
        for j in range(i):
            shared = len(sets[i] & sets[j])
            if shared and shared / len(sets[i] | sets[j]) >= threshold:
                old, new = max(labels[i], labels[j]), min(labels[i], labels[j])
                labels = [new if label == old else label for label in labels]
    return labels


def as_partition(labels) -> set[frozenset[int]]:
    groups: dict[int, list[int]] = {}
    for row, label in enumerate(labels):
        groups.setdefault(int(label), []).append(row)
    return {frozenset(group) for group in groups.values()}


@pytest.mark.parametrize("seed", [1, 7])
def test_signatures_equal_datasketch(seed):
    hashes = shingle_hashes(mutated_families(20, 3, 60, seed), 5)
    ours = minhash_signatures(hashes, permutation_count=64, seed=seed)
    for row, signature in zip(hashes, ours, strict=True):
        theirs = MinHash(num_perm=64, seed=seed, hashfunc=int, scheme=HASHING_SCHEME)
        theirs.update_batch(row.tolist())
        assert (theirs.hashvalues == signature).all()


def test_candidates_are_those_of_datasketch_lsh():
    hashes = shingle_hashes(mutated_families(30, 5, 60, seed=2), 5)
    signatures = minhash_signatures(hashes, seed=1)
    bands, rows = band_shape(0.8)
    index = MinHashLSH(num_perm=128, params=(bands, rows))
    sketches = MinHash.bulk(hashes.tolist(), num_perm=128, hashfunc=int)
    for key, sketch in enumerate(sketches):
        index.insert(key, sketch)
    theirs = {frozenset((key, other)) for key, sketch in enumerate(sketches) for other in index.query(sketch)}
    ours = {
        frozenset(pair)
        for group in candidate_groups(signatures, bands, rows)
        for pair in itertools.combinations(group.tolist(), 2)
    }
    assert ours == {pair for pair in theirs if len(pair) == 2}
    assert len(ours) > 50


def test_the_scheme_is_datasketch_default():
    assert MinHash().scheme == HASHING_SCHEME


@pytest.mark.parametrize("threshold", [0.5, 0.8, 1.0])
def test_clusters_equal_brute_force(threshold):
    rows = mutated_families(40, 6, 60, seed=3)
    labels = near_duplicate_clusters(rows, threshold=threshold)
    assert labels.dtype == np.int32
    assert as_partition(labels) == as_partition(brute_force_clusters(rows, threshold, 5))
    _, first = np.unique(labels, return_index=True)
    assert (np.diff(first) > 0).all(), "labels are numbered by first appearance"


def test_repeated_tokens_and_unrelated_rows():
    rows = np.vstack([np.zeros((3, 20), int), np.arange(60).reshape(3, 20)])
    assert near_duplicate_clusters(rows).tolist() == [0, 0, 0, 1, 2, 3]
    assert near_duplicate_clusters(rows[:0]).tolist() == []


def test_band_shape_meets_its_promise():
    for threshold in (0.3, 0.5, 0.8, 0.95, 1.0):
        bands, rows = band_shape(threshold)
        assert bands * rows <= 128
        assert (1 - threshold**rows) ** bands <= 1e-3 or rows == 1


def test_impossible_requests():
    rows = np.zeros((2, 4), int)
    with pytest.raises(CorpusError, match="Shingles of 5"):
        near_duplicate_clusters(rows)
    with pytest.raises(CorpusError, match="threshold"):
        near_duplicate_clusters(rows, threshold=0)


def test_ladder_uses_each_cluster_once():
    clusters = np.array([0, 0, 1, 2, 2, 2, 3, 4, 5, 6, 7, 8, 9])
    copies = build_ladder(clusters, {256: 1, 16: 2, 1: 3}, held_out=2, seed=4)
    assert sorted(copies.tolist()) == [-1] * 5 + [0, 0, 1, 1, 1, 16, 16, 256]
    used = clusters[copies >= 0]
    assert len(set(used.tolist())) == len(used)
    assert copies.tolist() == build_ladder(clusters, {1: 3, 16: 2, 256: 1}, held_out=2, seed=4).tolist()
    assert copies.tolist() != build_ladder(clusters, {256: 1, 16: 2, 1: 3}, held_out=2, seed=5).tolist()


def test_ladder_that_cannot_be_built():
    with pytest.raises(CorpusError, match="needs 4 paragraphs"):
        build_ladder(np.array([0, 1, 1, 2]), {4: 2}, held_out=2, seed=1)
    with pytest.raises(CorpusError, match="positive"):
        build_ladder(np.array([0, 1]), {0: 1}, held_out=0, seed=1)
