"""How much of the paper's -0.97 is construction: its number for even attention, on its own paragraphs."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from probes.attention.rarity import head_rarity
from tests.support.shared_data import released


@pytest.fixture(scope="module")
def paragraphs() -> np.ndarray:
    import torch

    folder = released("localizing-paragraph-memorization")

    files = ("50_50_preds.pt", "11_29_preds.pt")
    return np.concatenate([torch.load(folder / name, weights_only=True).numpy() for name in files])


def even_attention(paragraphs: np.ndarray, counts: np.ndarray) -> pl.DataFrame:
    """Head rarity of one head that hardly prefers anything."""
    prefix = paragraphs[:, :50]
    rank = np.unique(counts, return_inverse=True)[1][prefix]
    surprisal = -np.log2((counts[prefix] + 1) / (counts.sum() + len(counts)))
    noise = np.random.default_rng(0).uniform(0.98, 1.02, size=(len(prefix), 1, 1, 50))
    attention = (noise / noise.sum(axis=-1, keepdims=True)).astype(np.float32)
    clusters = np.unique(prefix[:, :8], axis=0, return_inverse=True)[1]
    return head_rarity(attention, surprisal, rank, clusters, seed=0, bootstrap_draws=50, permutations=20)


def test_even_attention_nearly_reaches_the_papers_number_when_counted_the_papers_way(paragraphs):
    """Unigrams counted over the sample itself, half of it model output, as in P1."""
    frame = even_attention(paragraphs, np.bincount(paragraphs.ravel(), minlength=50257))
    summed = frame.filter(coefficient="summed_by_rank").row(0, named=True)
    assert summed["uniform_null"] == pytest.approx(-0.826, abs=0.005)
    assert summed["estimate"] == pytest.approx(summed["uniform_null"], abs=0.01)
    within = frame.filter(coefficient="spearman").row(0, named=True)
    assert abs(within["estimate"]) < 0.02 and within["placebo_lower"] <= within["estimate"] <= within["placebo_upper"]


def test_corpus_counts_leave_a_weaker_but_still_strong_null(paragraphs):
    folder, files = released("lm-extraction-benchmark"), ("train_prefix.npy", "train_suffix.npy")
    counts = sum(np.bincount(np.load(folder / name).ravel(), minlength=50257) for name in files)
    summed = even_attention(paragraphs, counts).filter(coefficient="summed_by_rank").row(0, named=True)
    assert summed["uniform_null"] == pytest.approx(-0.595, abs=0.005)
