"""Token types as random effects: against statsmodels, and where treating types as fixed goes wrong."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from statsmodels.stats.meta_analysis import combine_effects

from probes.attention.rarity import head_rarity
from probes.statistics.token_types import WeightedTypes, token_random_effects, variance_between
from probes.triggers.effect import trigger_effect
from tests.support.worlds.triggers_worlds import token_world


def rows(seed: int, spread: float, slope: float = 0.0, types: int = 60, count: int = 900):
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, types + 1)
    token = rng.choice(types, p=share / share.sum(), size=count)
    rarity = np.log2(token + 2.0)
    own = rng.normal(size=types) * spread
    return (slope * rarity + own[token] + rng.normal(size=count))[:, None], rarity, token, np.ones(count)


def test_the_line_is_weighted_least_squares_over_type_means():
    values, rarity, token, weights = rows(0, spread=1.0, slope=0.5)
    found = token_random_effects(values, rarity, token, weights)
    of_type = WeightedTypes.of(values, rarity, token, weights)
    sampling = of_type.noise / of_type.weight[:, None]
    weight = 1 / (sampling + variance_between(of_type, sampling))
    fit = sm.WLS(of_type.y[:, 0], sm.add_constant(of_type.x), weights=weight[:, 0]).fit()
    assert found.estimate[0] == pytest.approx(fit.params[1])
    errors = [np.sqrt(max(fit.scale, 1) * fit.normalized_cov_params[1, 1]), fit.HC3_se[1]]
    low, high = found.estimate[0] - found.lower[0], found.upper[0] - found.estimate[0]
    assert low == pytest.approx(high) == pytest.approx(max(errors) * 2.0, rel=0.01)
    assert found.type_count == len(np.unique(token))


def test_variance_between_types_equals_statsmodels_where_there_is_no_slope():
    """With rarity unrelated to everything the moments are close to those of a plain random-effects mean."""
    values, rarity, token, weights = rows(1, spread=2.0, types=200, count=6000)
    of_type = WeightedTypes.of(values, rarity, token, weights)
    sampling = of_type.noise / of_type.weight[:, None]
    theirs = combine_effects(of_type.y[:, 0], sampling[:, 0], method_re="dl").tau2
    assert variance_between(of_type, sampling)[0] == pytest.approx(theirs, rel=0.05)


def test_columns_are_estimated_independently_and_copies_do_not_count():
    values, rarity, token, weights = rows(2, spread=1.0)
    both = np.concatenate([values, -3 * values + 1], axis=1)
    found = token_random_effects(both, rarity, token, weights)
    assert found.estimate[1] == pytest.approx(-3 * found.estimate[0]) and found.p_value[0] == pytest.approx(
        found.p_value[1]
    )
    twice = token_random_effects(
        *(np.repeat(part, 2, axis=0) for part in (values, rarity, token)), np.repeat(weights, 2) / 2
    )
    assert np.allclose([twice.estimate[0], twice.p_value[0]], [found.estimate[0], found.p_value[0]])


def test_few_types_or_constant_rarity_say_nothing():
    values, rarity, token, weights = rows(3, spread=1.0)
    assert np.isnan(token_random_effects(values, rarity, token % 4, weights).estimate).all()
    assert np.isnan(token_random_effects(values, np.ones_like(rarity), token, weights).p_value).all()


def test_types_that_merely_differ_fool_clusters_but_not_the_random_effects():
    """Every type costs what it costs, for no reason of rarity: findings must stay rare over types."""
    naive, over_types = [], []
    for seed in range(200):
        frame = token_world(seed=seed, spread=4.0)
        row = trigger_effect(frame, permutations=1, outcomes=["em_drop"], adjustments=["full"], terms=["all"]).row(
            0, named=True
        )
        naive.append(row["p_value"] < 0.05)
        over_types.append(row["token_p_value"] < 0.05)
    assert np.mean(naive) > 0.4
    assert 0.02 <= np.mean(over_types) <= 0.08


def test_a_real_effect_of_rarity_holds_over_types_too():
    frame = token_world(seed=1, spread=1.0, effect=4.0)
    result = trigger_effect(frame, permutations=10, outcomes=["em_drop"], adjustments=["full"])
    row = result.filter(term="MP").row(0, named=True)
    assert row["token_lower"] > 0 and row["token_p_value"] < 0.01 and row["token_type_count"] > 50
    assert result.filter(term="MP_minus_NMP")["token_estimate"].item() is None
    blind = trigger_effect(frame.drop("token_id"), permutations=10, outcomes=["em_drop"], adjustments=["full"])
    assert blind["token_estimate"].is_null().all() and blind["estimate"].equals(result["estimate"])
    assert isinstance(blind, pl.DataFrame)


def test_heads_with_favourite_tokens_fool_clusters_but_not_the_random_effects():
    """Every head has favourite token types, for no reason of rarity."""
    naive, over_types = [], []
    for seed in range(50):
        rng = np.random.default_rng(seed)
        share = 1 / np.arange(1, 301)
        token = rng.choice(300, p=share / share.sum(), size=(40, 20))
        taste = rng.normal(size=(300, 4))[token] + 0.5 * rng.normal(size=(40, 20, 4))
        attention = np.exp(np.moveaxis(taste, 2, 1))[:, None]
        attention /= attention.sum(axis=-1, keepdims=True)
        frame = head_rarity(
            attention, np.log2(token + 2.0), 299 - token, np.arange(40), seed=seed, bootstrap_draws=20,
            permutations=39, token_ids=token,
        ).filter(coefficient="spearman")  # fmt: skip
        naive += (frame["p_value"] < 0.05).to_list()
        over_types += (frame["token_p_value"] < 0.05).to_list()
    assert np.mean(naive) > 0.5
    assert 0.01 <= np.mean(over_types) <= 0.1


def test_a_head_that_looks_at_rare_tokens_holds_over_types():
    rng = np.random.default_rng(0)
    token = rng.integers(200, size=(50, 20))
    rarity = np.log2(token + 2.0)
    raw = rng.exponential(size=(50, 1, 3, 20))
    raw[:, 0, 1] *= rarity**2
    raw[:, 0, 2] = 1.0
    frame = head_rarity(
        raw / raw.sum(axis=-1, keepdims=True), rarity, 199 - token, np.arange(50), seed=0, permutations=50,
        token_ids=token,
    )  # fmt: skip
    by = {(row["coefficient"], row["head"]): row for row in frame.iter_rows(named=True)}
    for coefficient in ("spearman", "pearson"):
        found = by[coefficient, 1]
        assert found["token_lower"] > 0 and found["token_q_value"] < 0.01
        assert found["token_estimate"] == pytest.approx(found["estimate"], abs=0.1)
        assert by[coefficient, 0]["token_p_value"] > 0.01 and by[coefficient, 2]["token_estimate"] is None
    assert by["kendall", 1]["token_estimate"] is None
    assert by["summed_by_rank", 1]["token_upper"] < 0 < by["summed_by_rank", 0]["token_upper"]
    assert frame["token_type_count"].drop_nulls().unique().to_list() == [len(np.unique(token))]
