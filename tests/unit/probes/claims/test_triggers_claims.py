"""Verdicts follow from numbers by rule, in every direction, and "not testable here" says why."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.attention.rarity import head_rarity
from probes.claims.rules import Measured, judge
from probes.claims.triggers import trigger_claims
from probes.triggers.effect import trigger_effect
from probes.triggers.head_correlations import head_correlations
from probes.triggers.summaries import strongest_triggers
from tests.support.worlds.triggers_worlds import trigger_world
from warehouse.registry import TABLES


def evidence(effect: float, lean: float, clusters: int = 30, seed: int = 0) -> dict[str, pl.DataFrame]:
    """Frames of a checkpoint; `effect` of rarity on the drop, `lean` of head 1.2 towards rare tokens."""
    world = trigger_world(clusters=clusters, positions=12, effect=effect, seed=seed)
    grid = world.sort("paragraph_id", "position")
    surprisal = grid["surprisal_bits"].to_numpy().reshape(clusters, 12)
    raw = np.random.default_rng(seed).exponential(size=(clusters, 2, 3, 12))
    raw[:, 1, 2] *= np.exp(lean * (surprisal - surprisal.mean()))
    attention = raw / raw.sum(axis=-1, keepdims=True)
    labels = grid["near_duplicate_cluster"].to_numpy().reshape(clusters, 12)[:, 0]
    rank = np.argsort(np.argsort(-surprisal.ravel())).reshape(surprisal.shape)
    rarity = head_rarity(attention, surprisal, rank, labels, seed=0, bootstrap_draws=200, permutations=200)
    return {
        "perturbations": world.with_columns(pl.col("em_drop").clip(0, 50)),
        "rarity": rarity.with_columns(paragraph_group=pl.lit("MP")),
        "effects": trigger_effect(world, permutations=50),
        "strongest": strongest_triggers(world),
        "correlations": head_correlations(attention, labels),
    }


def verdicts(claims: pl.DataFrame) -> dict[str, str]:
    return dict(claims.select("claim_id", "verdict").iter_rows())


@given(
    numbers=st.lists(st.floats(-5, 5), min_size=3, max_size=3).map(sorted),
    null=st.floats(-5, 5),
    direction=st.sampled_from(["greater", "less"]),
)
def test_the_rule_is_symmetric_and_complete(numbers, null, direction):
    lower, ours, upper = numbers
    verdict, reason = judge(Measured(ours, lower, upper, null), direction)
    mirrored, _ = judge(Measured(-ours, -upper, -lower, -null), "less" if direction == "greater" else "greater")
    assert verdict == mirrored and reason
    assert (verdict == "undecided") == (lower <= null <= upper)
    if verdict == "supported":
        assert ours > null if direction == "greater" else ours < null


def test_without_numbers_nothing_is_testable():
    for missing in (Measured(), Measured(1.0, None, None, 0.0), Measured(1.0, 0.5, 2.0, None)):
        assert judge(missing, "greater")[0] == "not testable here"


def test_verdicts_follow_the_planted_direction():
    yes, no = (verdicts(trigger_claims(**evidence(effect, lean))) for effect, lean in ((12, 1.0), (-12, -1.0)))
    assert yes["rare_tokens_trigger_recital"] == "supported" and no["rare_tokens_trigger_recital"] == "contradicted"
    assert yes["strongest_triggers_are_rare"] == "supported" and no["strongest_triggers_are_rare"] == "contradicted"
    assert yes["a_head_reads_rare_tokens_within"] == "supported"
    assert no["a_head_reads_rare_tokens_within"] != "supported"
    assert yes["em_drop_grows_with_position_nmp"] == "supported"


def test_an_empty_world_supports_nothing_about_rarity():
    found = verdicts(trigger_claims(**evidence(0, 0, seed=3)))
    about_rarity = ("rare_tokens_trigger_recital", "strongest_triggers_are_rare", "a_head_reads_rare_tokens_within")
    assert {found[name] for name in about_rarity} == {"undecided"}


def test_numbers_of_the_papers_model_are_tested_on_that_model_only():
    frames = evidence(0, 1.0)
    elsewhere, there = (trigger_claims(**frames, is_papers_model=flag) for flag in (False, True))
    numbers = ["em_drop_mp", "em_drop_nmp", "head_1_2"]
    assert {verdicts(elsewhere)[name] for name in numbers} == {"not testable here"}
    assert verdicts(there)["em_drop_mp"] in {"supported", "contradicted"}
    assert there.filter(claim_id="em_drop_mp")["reported"].item() == 12.19
    mean = frames["perturbations"].filter("is_memorized")["em_drop"].mean()
    assert there.filter(claim_id="em_drop_mp")["ours"].item() == pytest.approx(mean)
    another = evidence(0, 1.0)
    another["rarity"] = another["rarity"].with_columns(layer=1 - pl.col("layer"))
    assert verdicts(trigger_claims(**another, is_papers_model=True))["head_1_2"] == "contradicted"


def test_memorized_paragraphs_that_are_harder_to_corrupt():
    frames = evidence(0, 0)
    easier = frames["perturbations"].with_columns(
        em_drop=(pl.col("em_drop") + 20 * ~pl.col("is_memorized")).clip(0, 50)
    )
    claims = trigger_claims(**(frames | {"perturbations": easier}))
    row = claims.filter(claim_id="memorized_harder_to_corrupt").row(0, named=True)
    assert row["verdict"] == "supported" and row["ours"] == pytest.approx(20, abs=6) and row["null_value"] == 0


def test_a_checkpoint_without_memorized_paragraphs():
    frames = evidence(0, 0)
    none = frames["perturbations"].with_columns(is_memorized=pl.lit(False))
    frames |= {
        "perturbations": none,
        "effects": trigger_effect(none, permutations=5),
        "strongest": strongest_triggers(none),
    }
    found = verdicts(trigger_claims(**frames))
    for name in ("em_drop_mp", "memorized_harder_to_corrupt", "early_tokens_destroy", "rare_tokens_trigger_recital"):
        assert found[name] == "not testable here"


def test_nothing_measured_gives_the_same_claims_all_untestable():
    frames = evidence(0, 0)
    empty = trigger_claims(**{name: frame.clear() for name, frame in frames.items()})
    assert empty["claim_id"].to_list() == trigger_claims(**frames)["claim_id"].to_list()
    assert set(empty["verdict"]) == {"not testable here"}


def test_rows_have_the_columns_of_the_table():
    claims = trigger_claims(**evidence(0, 0))
    table = {column.name: column for column in TABLES["claims"].columns if column.name != "checkpoint_id"}
    assert claims.columns == list(table)
    assert all(claims[name].null_count() == 0 for name, column in table.items() if not column.nullable)
    assert claims["claim_id"].is_unique().all() and claims["reason"].str.ends_with(".").all()


@pytest.mark.parametrize("frame_name", ["effects", "rarity"])
def test_what_does_not_hold_over_token_types_is_undecided(frame_name):
    frames = evidence(12, 1.0)
    claim = {"effects": "rare_tokens_trigger_recital", "rarity": "a_head_reads_rare_tokens_within"}[frame_name]
    for lower, q, expected in ((0.1, 0.01, "supported"), (-0.1, 0.2, "undecided")):
        over_types = frames[frame_name].with_columns(
            token_estimate=pl.lit(1.0), token_lower=pl.lit(lower), token_upper=pl.lit(9.0), token_q_value=pl.lit(q)
        )
        assert verdicts(trigger_claims(**(frames | {frame_name: over_types})))[claim] == expected
