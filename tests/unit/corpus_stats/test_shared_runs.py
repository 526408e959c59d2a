"""Copies cut at another phase are one observation: shared runs against a loop over pairs, and on released text."""

from __future__ import annotations

import numpy as np
import pytest

from corpus_stats import CorpusError
from corpus_stats.duplicates import shared_runs
from corpus_stats.duplicates.near_duplicates import duplicate_clusters, near_duplicate_clusters, shared_run_clusters
from tests.support.shared_data import released


def released_paragraphs() -> np.ndarray:
    import torch

    folder = released("localizing-paragraph-memorization")
    return torch.load(folder / "50_50_preds.pt", weights_only=True).numpy()


def components_by_a_loop(rows: np.ndarray, run: int) -> list[int]:
    runs = [{tuple(row[i : i + run]) for i in range(len(row) - run + 1)} for row in rows.tolist()]
    labels = list(range(len(rows)))
    for i in range(len(rows)):
        for j in range(i):
            if runs[i] & runs[j] and labels[i] != labels[j]:
                old, new = max(labels[i], labels[j]), min(labels[i], labels[j])
                labels = [new if label == old else label for label in labels]
    return np.unique(labels, return_inverse=True)[1].tolist()


def windows_of_one_text(length: int, step: int, count: int) -> np.ndarray:
    text = np.random.default_rng(3).integers(0, 5000, length)
    return np.stack([text[i * step : i * step + 100] for i in range(count)])


@pytest.mark.parametrize(("seed", "run"), [(0, 4), (1, 6), (2, 10)])
def test_runs_join_what_a_loop_over_all_pairs_joins(seed, run):
    generator = np.random.default_rng(seed)
    rows = generator.integers(0, 4, (60, 20))  # four tokens only: runs are shared by chance
    rows[30:, : run + 1] = rows[:30, 20 - run - 1 :]
    assert shared_run_clusters(rows, run).tolist() == components_by_a_loop(rows, run)


def test_windows_cut_at_other_phases_are_one_cluster():
    windows = windows_of_one_text(350, 20, 12)
    assert len(set(near_duplicate_clusters(windows).tolist())) > 1, "Jaccard alone does not see the shift"
    assert set(duplicate_clusters(windows).tolist()) == {0}


def test_one_token_less_than_the_run_is_no_link():
    text = np.random.default_rng(4).integers(0, 5000, 151)
    rows = np.stack([text[:100], text[51:151]])
    assert shared_run_clusters(rows, 49).tolist() == [0, 0] and shared_run_clusters(rows, 50).tolist() == [0, 1]


def test_equal_hashes_alone_join_nothing(monkeypatch):
    rows = np.random.default_rng(5).integers(0, 5000, (8, 60))
    monkeypatch.setattr(shared_runs, "run_hashes", lambda ids, run: np.zeros((len(ids), 60 - run + 1), dtype=np.uint64))
    assert shared_run_clusters(rows, 50).tolist() == list(range(8))


def test_either_link_joins_and_links_chain():
    generator = np.random.default_rng(6)
    text, apart = generator.integers(0, 5000, 140), generator.integers(0, 5000, 100)
    edited = text[:100].copy()
    edited[[9, 31, 53, 75]] += 1  # similar by shingles, no run of 50 in common
    rows = np.stack([edited, text[:100], text[40:], apart])
    assert shared_run_clusters(rows).tolist() == [0, 1, 1, 2]
    assert duplicate_clusters(rows, threshold=0.6).tolist() == [0, 0, 0, 1]


def test_the_released_paragraphs_are_116_texts():
    rows = released_paragraphs()
    assert int(near_duplicate_clusters(rows).max()) + 1 == 190
    assert int(shared_run_clusters(rows).max()) + 1 == 116
    assert int(duplicate_clusters(rows).max()) + 1 == 116


def test_a_run_longer_than_the_paragraphs_is_refused():
    with pytest.raises(CorpusError, match="do not fit"):
        shared_run_clusters(np.zeros((2, 40), dtype=int), 50)
