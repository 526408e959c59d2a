"""Planted worlds, whose duplicates and rarities are known, and null worlds, which have none."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import chisquare

from corpus_stats.counts.occurrences import count_occurrences, count_occurrences_together
from corpus_stats.duplicates.minhash import minhash_signatures, shingle_hashes
from corpus_stats.duplicates.near_duplicates import near_duplicate_clusters
from corpus_stats.paragraphs.sampling import sample_windows
from corpus_stats.tokens.stream import TokenStream

VOCABULARY = 3000


def zipf_ids(count, seed):
    weights = 1 / np.arange(1, VOCABULARY + 1)
    return np.random.default_rng(seed).choice(VOCABULARY, size=count, p=weights / weights.sum())


def stream_over(folder, ids, shard_tokens=7_001):
    shards = []
    for begin in range(0, len(ids), shard_tokens):
        part = ids[begin : begin + shard_tokens].astype("<u2")
        part.tofile(folder / f"{begin}.bin")
        shards.append({"file": f"{begin}.bin", "token_count": len(part)})
    return TokenStream(folder, {"dtype": "<u2", "shards": shards})


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """100,000 tokens with paragraph k planted 2^k times at random places, some of them across shards."""
    generator = np.random.default_rng(8)
    paragraphs = np.array([zipf_ids(100, seed) for seed in range(100, 106)])
    copies = generator.permutation(np.repeat(np.arange(6), 2 ** np.arange(6)))
    pieces = []
    for paragraph in copies:
        pieces += [zipf_ids(int(generator.integers(50, 3000)), int(generator.integers(1 << 30))), paragraphs[paragraph]]
    return stream_over(tmp_path_factory.mktemp("planted"), np.concatenate(pieces)), paragraphs


def test_planted_copies_are_counted_exactly(planted):
    stream, paragraphs = planted
    expected = (2 ** np.arange(6)).tolist()
    whole, prefixes, ends = count_occurrences_together(stream, [paragraphs, paragraphs[:, :50], paragraphs[:, -32:]])
    assert whole.tolist() == prefixes.tolist() == ends.tolist() == expected


def test_a_changed_token_is_no_occurrence(planted):
    stream, paragraphs = planted
    for position in (0, 50, 99):
        changed = paragraphs.copy()
        changed[:, position] = (changed[:, position] + 1) % VOCABULARY
        assert count_occurrences(stream, changed).tolist() == [0] * 6


def test_counts_survive_total_hash_collision(planted, monkeypatch):
    import corpus_stats.counts.occurrences as occurrences

    class OneHash(occurrences.RollingHash):
        def hashes(self, sums, length, count):
            return np.zeros(count, dtype=np.uint64)

        def of_rows(self, rows):
            return np.zeros(len(rows), dtype=np.uint64)

    monkeypatch.setattr(occurrences, "RollingHash", OneHash)
    stream, paragraphs = planted
    assert count_occurrences(stream, paragraphs).tolist() == (2 ** np.arange(6)).tolist()


def test_unrelated_paragraphs_never_cluster():
    for seed in range(5):
        rows = zipf_ids(100_000, seed).reshape(-1, 100)
        assert len(set(near_duplicate_clusters(rows).tolist())) == len(rows)


def brute_force_similar(rows, threshold):
    sets = [set(zip(*(row[i:] for i in range(5)), strict=False)) for row in rows.tolist()]
    holders: dict = {}
    for index, shingles in enumerate(sets):
        for shingle in shingles:
            holders.setdefault(shingle, []).append(index)
    shared: dict = {}
    for members in holders.values():
        for j, b in enumerate(members):
            for a in members[:j]:
                shared[a, b] = shared.get((a, b), 0) + 1
    return [(a, b) for (a, b), n in shared.items() if n / (len(sets[a]) + len(sets[b]) - n) >= threshold]


def test_recall_of_planted_near_duplicates_is_99_per_cent():
    generator = np.random.default_rng(4)
    rows = np.repeat(zipf_ids(75_000, 9).reshape(-1, 100), 4, axis=0)
    for row in rows:
        changed = generator.integers(0, 100, generator.integers(0, 5))
        row[changed] = generator.integers(0, VOCABULARY, len(changed))
    rows = generator.permutation(rows)
    labels = near_duplicate_clusters(rows)
    pairs = np.array(brute_force_similar(rows, 0.8))
    assert len(rows) == 3000
    assert len(pairs) > 400
    assert (labels[pairs[:, 0]] == labels[pairs[:, 1]]).mean() >= 0.99


def test_signatures_estimate_jaccard_without_bias():
    generator = np.random.default_rng(5)
    rows = zipf_ids(20_000, 6).reshape(-1, 100)
    changed = rows.copy()
    changed[:, 40:55] = generator.integers(0, VOCABULARY, (len(rows), 15))
    a, b = shingle_hashes(rows, 5), shingle_hashes(changed, 5)
    truth = [len(set(x) & set(y)) / len(set(x) | set(y)) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    estimates = (minhash_signatures(a) == minhash_signatures(b)).mean(axis=1)
    standard_error = np.std(estimates - truth) / np.sqrt(len(rows))
    assert abs(np.mean(estimates - truth)) < 4 * standard_error + 1e-3


def test_sampling_is_uniform_over_windows(tmp_path):
    """Long documents give windows in proportion to their length, and every window of the grid comes equally often."""
    lengths = np.array([500, 1000, 2500])
    stream = stream_over(tmp_path, np.arange(lengths.sum()) % VOCABULARY)
    documents = pl.DataFrame(
        {
            "document_id": [0, 1, 2],
            "subset": ["a", "b", "c"],
            "token_offset": [0, 500, 1500],
            "token_count": lengths,
        }
    )
    drawn = [sample_windows(stream, documents, 100, 8, seed) for seed in range(300)]
    by_document = pl.concat(drawn)["document_id"].value_counts().sort("document_id")["count"].to_numpy()
    assert chisquare(by_document, 2400 * lengths / lengths.sum()).pvalue > 1e-3
