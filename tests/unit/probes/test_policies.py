"""Replacement policies: what may be drawn, how often, and from which seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from probes.errors import ProbeError
from probes.perturbation.policies import Pools, draw_replacements, frequency_bins


@settings(max_examples=40, deadline=None)
@given(
    vocabulary=st.integers(6, 60),
    draws=st.integers(1, 3),
    excluded=st.sets(st.integers(0, 5), max_size=2),
    seed=st.integers(0, 2**20),
)
def test_draws_are_allowed_distinct_and_never_the_token_itself(vocabulary, draws, excluded, seed):
    prefix = np.random.default_rng(seed).integers(vocabulary, size=30)
    pools = Pools.of_bins(np.zeros(vocabulary, dtype=np.int64), sorted(excluded))
    drawn = draw_replacements(prefix, pools, draws, seed)
    assert drawn.shape == (30, draws)
    assert not np.isin(drawn, list(excluded)).any()
    assert (drawn != prefix[:, None]).all() and ((drawn >= 0) & (drawn < vocabulary)).all()
    assert all(len(set(row)) == draws for row in drawn.tolist())


def test_every_allowed_token_is_equally_likely_in_every_draw():
    pools = Pools.of_bins(np.zeros(8, dtype=np.int64), [7])
    drawn = draw_replacements(np.full(7000, 2), pools, 3, seed=1)
    for draw in range(3):
        counts = np.bincount(drawn[:, draw], minlength=8)
        assert counts[[2, 7]].sum() == 0
        assert stats.chisquare(counts[[0, 1, 3, 4, 5, 6]]).pvalue > 1e-3


def test_frequency_matched_draws_stay_within_the_octave():
    counts = np.random.default_rng(0).zipf(1.4, size=3000).clip(max=10**6)
    bins = frequency_bins(counts)
    assert np.bincount(bins)[np.unique(bins)].min() >= 32
    prefix = np.random.default_rng(1).integers(3000, size=500)
    drawn = draw_replacements(prefix, Pools.of_bins(bins), 2, seed=0)
    assert (bins[drawn] == bins[prefix][:, None]).all()
    rare = counts[prefix] == 1
    assert rare.sum() > 100 and counts[drawn[rare]].max() <= 2  # the octave of 1 holds counts 1 and 2
    for rarer, commoner in zip(np.unique(bins)[:-1], np.unique(bins)[1:], strict=True):
        assert counts[bins == rarer].max() < counts[bins == commoner].min()


def test_sparse_octaves_join_rarer_neighbours_and_bins_order_like_counts():
    counts = np.array([0] * 3 + [1] * 40 + [100] * 35 + [5000] * 2)
    bins = frequency_bins(counts, least_size=32)
    assert len(set(bins[:43])) == 1  # three unseen tokens are too few for a bin of their own
    assert len(set(bins[43:])) == 1 and bins[43] != bins[0]


def test_replacements_depend_on_seed_and_content_only():
    pools = Pools.of_bins(np.zeros(100, dtype=np.int64))
    prefix = np.arange(20)
    first = draw_replacements(prefix, pools, 2, seed=1)
    assert (first == draw_replacements(prefix.astype(np.uint16), pools, 2, seed=1)).all()
    assert (first[:, :1] == draw_replacements(prefix, pools, 1, seed=1)).all()
    assert (first != draw_replacements(prefix, pools, 2, seed=2)).any()
    assert (first != draw_replacements(prefix + 1, pools, 2, seed=1)).any()


def test_too_few_candidates_are_refused():
    with pytest.raises(ProbeError, match="1 possible"):
        draw_replacements(np.array([0, 1]), Pools.of_bins(np.zeros(2, dtype=np.int64)), 2, seed=0)
