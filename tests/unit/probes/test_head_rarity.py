"""Head rarity against scipy paragraph by paragraph, and its nulls against what they must be."""

from __future__ import annotations

import warnings

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from probes.attention.rarity import head_rarity
from probes.attention.within_paragraphs import Sample, permutation_p
from probes.errors import ProbeError
from probes.statistics.rank_correlation import dense_ranks

ORACLES = {
    "spearman": lambda a, x: stats.spearmanr(a, x).statistic,
    "kendall": lambda a, x: stats.kendalltau(a, x).statistic,
    "pearson": lambda a, x: stats.pearsonr(a, x).statistic,
}


def world(paragraphs: int, heads: int, length: int, seed: int) -> dict[str, np.ndarray]:
    """Random attention and rarity with ties; head 0 leans to rare tokens."""
    rng = np.random.default_rng(seed)
    rank = rng.integers(0, length // 2, size=(paragraphs, length))
    surprisal = 20.0 - rank
    raw = rng.exponential(size=(paragraphs, 1, heads, length))
    raw[:, 0, 0] *= 1 + 0.2 * surprisal
    attention = (raw / raw.sum(axis=-1, keepdims=True)).astype(np.float32)
    return {
        "attention": attention,
        "surprisal_bits": surprisal,
        "rarity_rank": rank,
        "clusters": rng.integers(0, max(3, paragraphs // 2), size=paragraphs),
    }


def of(frame: pl.DataFrame, coefficient: str) -> pl.DataFrame:
    return frame.filter(pl.col("coefficient") == coefficient)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**16), paragraphs=st.integers(4, 12))
def test_estimates_equal_scipys_averaged_over_clusters(seed, paragraphs):
    arrays = world(paragraphs, 3, 14, seed)
    frame = head_rarity(**arrays, seed=0, bootstrap_draws=50, permutations=20)
    clusters = arrays["clusters"]
    for name, oracle in ORACLES.items():
        for head in range(3):
            each = np.array(
                [oracle(arrays["attention"][p, 0, head], arrays["surprisal_bits"][p]) for p in range(paragraphs)]
            )
            expected = np.mean([each[clusters == c].mean() for c in np.unique(clusters)])
            assert of(frame, name)["estimate"][head] == pytest.approx(expected, abs=1e-6)


def test_placebos_equal_the_estimate_with_another_texts_rarity():
    """Features and ordered pairs met afterwards stand in for re-pairing first and correlating then."""
    arrays, count = world(6, 2, 12, 5) | {"clusters": np.arange(6)}, 9
    frame = head_rarity(**arrays, seed=4, bootstrap_draws=50, permutations=count)
    sample = Sample.of(arrays["attention"].reshape(6, 2, 12), arrays["clusters"], 4, 50, count)
    assert (np.sort(sample.partners, axis=0) == np.arange(6)[:, None]).all(), "every cluster meets one"
    met = [
        {name: arrays[name][sample.partners[:, index]] for name in ("surprisal_bits", "rarity_rank")}
        for index in range(count)
    ]
    drawn = pl.concat(head_rarity(**(arrays | one), seed=4, bootstrap_draws=50, permutations=2) for one in met)
    for (name, head), rows in drawn.group_by("coefficient", "head"):
        found = of(frame, str(name)).filter(pl.col("head") == head).row(0, named=True)
        assert found["placebo"] == pytest.approx(rows["estimate"].mean(), abs=1e-6)
        low, high = np.quantile(rows["estimate"], [0.025, 0.975])
        assert (found["placebo_lower"], found["placebo_upper"]) == pytest.approx((low, high), abs=1e-6)


def test_copies_meet_the_copies_of_another_text_in_order():
    clusters = np.array([0, 0, 0, 1, 2, 2])
    attention = np.arange(6, dtype=float).reshape(6, 1, 1) * np.ones((1, 1, 4))
    sample = Sample.of(attention, clusters, 0, 10, 50)
    for drawn in sample.partners.T:
        met = clusters[drawn]
        assert [len(set(met[clusters == c])) for c in range(3)] == [1, 1, 1] and len(set(met)) == 3
        if met[0] == 2:
            assert drawn[:3].tolist() == [4, 5, 4]


def test_whoever_picks_the_best_head_pays_for_the_choice():
    """Twelve heads of noise: the best one's own p is small time and again, its p as the best is not."""
    own, of_all, covered = [], [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        attention, token = rng.dirichlet(np.ones(14), size=(20, 3, 4)), rng.integers(50, size=(20, 14))
        rows = head_rarity(
            attention, np.log2(token + 2.0), 49 - token, np.arange(20), seed=seed, bootstrap_draws=50, permutations=199
        ).filter(coefficient="spearman")
        best = rows.filter(rank_among_heads=0).row(0, named=True)
        own.append(best["p_value"] <= 0.05)
        of_all.append(rows["family_p_value"].min() <= 0.05)
        covered.append(best["family_lower"] <= 0 <= best["family_upper"])
        assert rows["family_lower"].min() >= -1 and rows["family_upper"].max() <= 1
    assert np.mean(own) > 0.15
    assert 0.02 <= np.mean(of_all) <= 0.08
    assert np.mean(covered) >= 0.93


def test_summed_by_rank_is_the_construction_of_the_paper():
    arrays = world(9, 2, 16, 3)
    frame = of(head_rarity(**arrays, seed=0, bootstrap_draws=50, permutations=20), "summed_by_rank")
    for head in range(2):
        sums: dict[int, float] = {}
        evenly: dict[int, float] = {}
        for p in range(9):
            ranks = stats.rankdata(arrays["rarity_rank"][p], method="dense") - 1
            for rank, weight in zip(ranks, arrays["attention"][p, 0, head], strict=True):
                sums[rank] = sums.get(rank, 0) + float(weight)
                evenly[rank] = evenly.get(rank, 0) + 1 / 16
        ranks = sorted(sums)
        assert frame["estimate"][head] == pytest.approx(stats.pearsonr(ranks, [sums[r] for r in ranks])[0], abs=1e-5)
        expected = stats.pearsonr(ranks, [evenly[r] for r in ranks])[0]
        assert frame["uniform_null"][head] == pytest.approx(expected, abs=1e-9)


def test_even_attention_says_nothing_within_paragraphs_but_looks_strong_in_the_papers_number():
    rng = np.random.default_rng(0)
    token = rng.integers(60, size=(200, 50))
    arrays = {"surprisal_bits": np.log2(token + 1.0), "rarity_rank": 59 - token, "clusters": np.arange(200)}
    even = np.full((200, 1, 1, 50), 0.02, dtype=np.float32)
    noisy = even + rng.normal(0, 1e-4, size=even.shape).astype(np.float32)
    frame = head_rarity(np.concatenate([even, noisy], axis=2), **arrays, seed=0, bootstrap_draws=200, permutations=200)
    summed = of(frame, "summed_by_rank")
    assert summed["uniform_null"][0] < -0.5
    assert summed["estimate"][0] == pytest.approx(summed["uniform_null"][0], abs=1e-6)
    for name in ORACLES:
        even_row, noisy_row = of(frame, name).rows(named=True)
        assert even_row["estimate"] is None and even_row["p_value"] is None and even_row["rank_among_heads"] is None
        assert noisy_row["lower"] < 0 < noisy_row["upper"] and noisy_row["p_value"] > 0.01


def test_a_head_that_leans_to_rare_tokens_is_found_with_the_right_signs():
    frame = head_rarity(**world(150, 6, 30, 1), seed=2, bootstrap_draws=300, permutations=300)
    for name in ORACLES:
        rows = of(frame, name)
        assert rows["estimate"][0] > rows["placebo_upper"][0] and rows["lower"][0] > 0
        assert rows["q_value"][0] < 0.01 and rows["rank_among_heads"][0] == 0
        assert sorted(rows["rank_among_heads"]) == list(range(6))
    summed = of(frame, "summed_by_rank")
    assert summed["estimate"][0] < summed["placebo_lower"][0] and summed["rank_among_heads"][0] == 0


def test_every_interval_contains_its_estimate():
    rng = np.random.default_rng(0)
    token = rng.choice(300, p=1 / np.arange(1, 301) / (1 / np.arange(1, 301)).sum(), size=(60, 30))
    attention = rng.dirichlet(np.ones(30), size=(60, 1, 4)).astype(np.float32)
    frame = head_rarity(attention, np.log2(token + 2.0), 299 - token, np.arange(60), seed=0, permutations=20)
    assert (frame["lower"] <= frame["estimate"]).all() and (frame["estimate"] <= frame["upper"]).all()


def test_copies_of_paragraphs_change_neither_interval_nor_p_value():
    arrays = world(40, 2, 20, 5) | {"clusters": np.arange(40)}
    copied = {name: np.repeat(values, 3, axis=0) for name, values in arrays.items()}
    options = {"seed": 1, "bootstrap_draws": 200, "permutations": 100}
    once, thrice = head_rarity(**arrays, **options), head_rarity(**copied, **options)
    numbers = ["estimate", "lower", "upper", "placebo_lower", "placebo_upper", "p_value"]
    assert np.allclose(once.select(numbers), thrice.select(numbers), atol=1e-5)
    assert (once["cluster_count"][0], thrice["cluster_count"][0], thrice["paragraph_count"][0]) == (40, 40, 120)


def test_two_clusters_have_estimates_but_no_intervals_and_no_tests():
    arrays = world(6, 2, 12, 0) | {"clusters": np.array([0, 0, 0, 1, 1, 1])}
    frame = head_rarity(**arrays, seed=0)
    assert frame["estimate"].null_count() == 0
    for name in ("lower", "upper", "placebo", "placebo_lower", "placebo_upper", "p_value", "q_value"):
        assert frame[name].null_count() == frame.height


@pytest.mark.parametrize("constant", ["attention", "surprisal_bits", "rarity_rank"])
def test_constant_input_gives_null_without_warnings(constant):
    arrays = world(12, 2, 12, 0)
    arrays[constant] = np.ones_like(arrays[constant])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = head_rarity(**arrays, seed=0, bootstrap_draws=50, permutations=20)
    assert not any(frame[name].is_nan().any() for name, dtype in frame.schema.items() if dtype == pl.Float64)
    concerned = ["summed_by_rank"] if constant == "rarity_rank" else list(ORACLES)
    if constant == "attention":
        assert of(frame, "spearman")["estimate"].is_null().all()
    else:
        assert frame.filter(pl.col("coefficient").is_in(concerned))["estimate"].is_null().all()


def test_the_same_seed_gives_the_same_table_and_the_order_of_paragraphs_does_not_matter():
    arrays = world(30, 2, 15, 4)
    options = {"seed": 3, "bootstrap_draws": 100, "permutations": 50}
    shuffled = np.random.default_rng(0).permutation(30)
    first = head_rarity(**arrays, **options)
    assert first.equals(head_rarity(**arrays, **options))
    moved = head_rarity(**{name: values[shuffled] for name, values in arrays.items()}, **options)
    numbers = ["estimate", "lower", "upper", "placebo_lower", "p_value"]
    assert np.allclose(first.select(numbers), moved.select(numbers), atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 6), min_size=7, max_size=7), min_size=1, max_size=5))
def test_dense_ranks_equal_scipys(values):
    assert np.array_equal(dense_ranks(np.array(values)), stats.rankdata(values, method="dense", axis=-1) - 1)


def test_p_values_count_shuffles_and_take_the_normal_tail_beyond_them():
    placebo = np.random.default_rng(0).normal(size=(999, 3))
    estimate = np.array([1.0, 6.0, np.nan])
    counted = permutation_p(estimate, placebo, normal_tail=False)
    tail = permutation_p(estimate, placebo, normal_tail=True)
    assert counted[0] == tail[0] == pytest.approx(2 * stats.norm.sf(1), abs=0.05)
    assert counted[1] == 1 / 1000 and tail[1] == pytest.approx(2 * stats.norm.sf(6), rel=5)
    assert tail[1] < 1e-6 and np.isnan(tail[2])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"attention": np.ones((3, 4, 5))}, "attention"),
        ({"surprisal_bits": np.ones((6, 11))}, "surprisal_bits"),
        ({"rarity_rank": np.ones((5, 12))}, "rarity_rank"),
        ({"clusters": np.ones(5)}, "cluster labels"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, says):
    with pytest.raises(ProbeError, match=says):
        head_rarity(**(world(6, 2, 12, 0) | change), seed=0)


@pytest.mark.parametrize("with_tokens", [False, True])
def test_a_group_without_paragraphs_has_every_head_and_no_numbers(with_tokens):
    full = world(6, 2, 12, 0)
    arrays, none = (
        part | ({"token_ids": part["rarity_rank"]} if with_tokens else {})
        for part in (full, {name: values[:0] for name, values in full.items()})
    )
    expected, empty = (head_rarity(**part, seed=0, bootstrap_draws=5, permutations=5) for part in (arrays, none))
    assert empty.schema == expected.schema
    keys = ["layer", "head", "coefficient"]
    assert empty.select(keys).equals(expected.select(keys))
    assert empty["estimate"].is_null().all() and (empty["paragraph_count"] == 0).all()
