"""The trigger regression against statsmodels with every dummy written out, and its bookkeeping."""

from __future__ import annotations

import warnings

import numpy as np
import polars as pl
import pytest
import statsmodels.formula.api as smf

from probes.errors import ProbeError
from probes.triggers.effect import ADJUSTMENTS, OUTCOMES, trigger_effect
from tests.support.worlds.triggers_worlds import trigger_world

FORMULAS = {
    "paragraph": "C(paragraph_id)",
    "position": "C(paragraph_id) + C(position):C(is_memorized) + position:doublings",
    "full": "C(paragraph_id) + C(position):C(is_memorized) + position:doublings + token_nll_nats:C(is_memorized)"
    " + token_nll_nats:doublings + C(nll_eighth):C(is_memorized)",
}


def term(frame: pl.DataFrame, outcome: str, adjustment: str, name: str) -> dict:
    return frame.filter(outcome=outcome, adjustment=adjustment, term=name).row(0, named=True)


def with_rarity(frame: pl.DataFrame) -> pl.DataFrame:
    by, one = pl.col("surprisal_bits"), pl.len().over("near_duplicate_cluster")
    positions = pl.col("position").n_unique()
    return frame.with_columns(
        rarity=((by - by.mean()) / by.std(ddof=0)).over("paragraph_id"),
        weight=positions / one,
        doublings=pl.col("duplication_count").log(2),
        nll_eighth=(8 * (pl.col("token_nll_nats").rank("min") - 1) / pl.len()).floor().cast(pl.String),
        rarity_mp=((by - by.mean()) / by.std(ddof=0)).over("paragraph_id") * pl.col("is_memorized"),
        rarity_nmp=((by - by.mean()) / by.std(ddof=0)).over("paragraph_id") * ~pl.col("is_memorized"),
    )


@pytest.mark.filterwarnings("ignore:.*rank-deficient")
@pytest.mark.parametrize("adjustment", ADJUSTMENTS)
@pytest.mark.parametrize("copies", [1, 2])
def test_equals_weighted_least_squares_with_every_dummy_written_out(adjustment, copies):
    frame = with_rarity(trigger_world(clusters=12, positions=8, copies=copies, effect=2, seed=3))
    ours = trigger_effect(frame, permutations=5, adjustments=[adjustment])
    data, groups = frame.to_pandas(), frame["near_duplicate_cluster"].to_numpy()
    for outcome in OUTCOMES:
        for regressors, names in (("rarity", ["all"]), ("rarity_mp + rarity_nmp", ["MP", "NMP"])):
            model = smf.wls(f"{outcome} ~ {regressors} + {FORMULAS[adjustment]}", data, weights=data["weight"])
            fit = model.fit(cov_type="cluster", cov_kwds={"groups": groups})
            for variable, name in zip(regressors.split(" + "), names, strict=True):
                row = term(ours, outcome, adjustment, name)
                assert row["estimate"] == pytest.approx(fit.params[variable], rel=1e-6)
                # CR2 takes leverage out, statsmodels counts columns: near one another, ours the larger.
                assert 0.9 < row["standard_error"] / float(fit.bse[variable]) < 1.5


def test_finds_the_planted_effect_in_memorized_paragraphs_only():
    result = trigger_effect(trigger_world(clusters=40, effect=4, copies=2, seed=1), permutations=100)
    memorized, others, difference = (term(result, "em_drop", "full", t) for t in ("MP", "NMP", "MP_minus_NMP"))
    assert memorized["lower"] < 4 < memorized["upper"] and memorized["p_value"] < 1e-4
    assert memorized["estimate"] > memorized["placebo_upper"] and memorized["placebo_p_value"] < 0.02
    assert others["lower"] < 0 < others["upper"] and others["placebo_lower"] < others["estimate"]
    assert difference["estimate"] == pytest.approx(memorized["estimate"] - others["estimate"])
    assert difference["lower"] > 0
    assert memorized["paragraph_count"] == 40 and memorized["cluster_count"] == 20


def test_a_threshold_of_likelihood_is_not_taken_for_rarity():
    """Rare tokens are unlikely ones; beyond a threshold of NLL every change costs 20 tokens, rarity itself 1 per SD."""
    generator = np.random.default_rng(8)
    frame = with_rarity(trigger_world(clusters=80, positions=30, seed=8))
    rarity, noise = frame["rarity"].to_numpy(), generator.normal(size=(2, frame.height))
    nll = np.exp(0.8 * rarity + 0.6 * noise[0])
    drop = 1.0 * rarity + 20.0 * (nll > np.quantile(nll, 0.75)) + noise[1]
    world = frame.with_columns(token_nll_nats=pl.Series(nll), em_drop=pl.Series(drop))
    found = term(trigger_effect(world, permutations=5), "em_drop", "full", "all")
    assert found["lower"] < 1.0 < found["upper"] and found["estimate"] < 1.5


def test_what_took_the_tokens_place_is_held_fixed_unless_it_is_as_rare_by_design():
    generator = np.random.default_rng(9)
    frame = with_rarity(trigger_world(clusters=40, positions=20, effect=2, seed=9))
    replacement = generator.normal(size=frame.height)
    drop = frame["em_drop"] + 10 * pl.Series(replacement)
    noisy = frame.with_columns(em_drop=drop)
    known = noisy.with_columns(replacement_surprisal_bits=pl.Series(replacement))
    matched = noisy.with_columns(replacement_surprisal_bits=pl.col("surprisal_bits") + 0.01)
    plain, adjusted, tied = (
        term(trigger_effect(world, permutations=5), "em_drop", "full", "MP") for world in (noisy, known, matched)
    )
    assert adjusted["standard_error"] < plain["standard_error"] / 1.3
    assert adjusted["lower"] < 2 < adjusted["upper"]
    assert tied["estimate"] == pytest.approx(plain["estimate"])


def test_position_that_looks_like_rarity_is_adjusted_away():
    frame = trigger_world(clusters=40, positions=20, seed=5).with_columns(
        em_drop=pl.col("position") * 2.0, surprisal_bits=pl.col("position") + pl.col("surprisal_bits") * 0.1
    )
    result = trigger_effect(frame, permutations=50)
    assert term(result, "em_drop", "paragraph", "all")["lower"] > 5
    adjusted = term(result, "em_drop", "full", "all")
    assert abs(adjusted["estimate"]) < 1e-6
    assert term(result, "delta_nll_nats", "full", "all")["p_value"] > 0.01


def test_says_how_much_position_and_how_much_rarity_explain():
    by_position = trigger_effect(trigger_world(clusters=40, seed=2), permutations=5)
    row = term(by_position, "em_drop", "full", "all")
    assert row["position_partial_r2"] > 5 * row["partial_r2"] >= 0
    by_rarity = trigger_effect(trigger_world(clusters=40, seed=2, effect=8, memorized_share=1), permutations=5)
    row = term(by_rarity, "em_drop", "full", "all")
    assert row["partial_r2"] > 2 * row["position_partial_r2"] > 0


def test_copies_of_paragraphs_change_nothing():
    frame = trigger_world(clusters=20, seed=4, effect=1)
    copied = pl.concat(frame.with_columns(paragraph_id=pl.col("paragraph_id") + f"-{copy}") for copy in range(3))
    numbers = ["estimate", "placebo", "placebo_lower", "placebo_upper", "placebo_p_value", "partial_r2"]
    once, thrice = (trigger_effect(f, permutations=30).select(numbers).fill_null(0).to_numpy() for f in (frame, copied))
    assert np.allclose(once, thrice, atol=1e-8)


@pytest.mark.parametrize("memorized_share", [0.0, 1.0])
def test_a_missing_group_is_null_and_counted_as_nothing(memorized_share):
    result = trigger_effect(trigger_world(memorized_share=memorized_share), permutations=5)
    missing = "MP" if memorized_share == 0 else "NMP"
    row = term(result, "em_drop", "full", missing)
    assert row["estimate"] is None and row["cluster_count"] == 0
    assert term(result, "em_drop", "full", "MP_minus_NMP")["estimate"] is None


def test_two_clusters_have_an_estimate_but_no_interval():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = trigger_effect(trigger_world(clusters=2, copies=4, memorized_share=1), permutations=5)
    row = term(result, "em_drop", "full", "all")
    assert row["estimate"] is not None and row["lower"] is None and row["placebo"] is None


def test_rarity_that_does_not_vary_gives_null():
    result = trigger_effect(trigger_world().with_columns(surprisal_bits=pl.lit(3.0)), permutations=5)
    assert result["estimate"].is_null().all()


def test_duplication_that_does_not_vary_has_no_effect_to_estimate():
    result = trigger_effect(trigger_world().with_columns(duplication_count=pl.lit(7)), permutations=5)
    assert term(result, "em_drop", "full", "per_duplication_doubling")["estimate"] is None
    assert term(result, "em_drop", "full", "all")["estimate"] is not None


def test_the_order_of_rows_does_not_matter_and_null_outcomes_are_left_out():
    frame = trigger_world(clusters=10, seed=6)
    first = trigger_effect(frame, permutations=10)
    unperturbed = frame.with_columns(position=pl.lit(0), em_drop=None, delta_nll_nats=None).cast(frame.schema)
    mixed = pl.concat([unperturbed, frame]).sample(fraction=1, shuffle=True, seed=1)
    assert first.equals(trigger_effect(mixed, permutations=10))


def test_wrong_requests_are_refused():
    with pytest.raises(ProbeError, match="lacks token_nll_nats"):
        trigger_effect(trigger_world().drop("token_nll_nats"))
    with pytest.raises(ProbeError, match="exactness"):
        trigger_effect(trigger_world(), outcomes=["exactness"])
    with pytest.raises(ProbeError, match="no token"):
        trigger_effect(trigger_world().clear())
