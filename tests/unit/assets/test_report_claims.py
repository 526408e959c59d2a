"""Claims in the report: by verdict, numbers on one axis, units, reasons said once."""

import re
from pathlib import Path

import pytest

import probes.claims
from assets.report.claims import (
    WIDTH,
    bar,
    beside_reported,
    by_verdict,
    counts,
    number,
    split_reason,
    unit_of,
    untestable,
)

CLAIM_MODULES = Path(probes.claims.__path__[0])


def claim(verdict="supported", **given):
    numbers = {"ours": 1.0, "lower": 0.5, "upper": 1.5, "null_value": 0.0, "reported": None}
    reason = "The interval contains the null 0; measured on toy, corpus python, 50 + 50 tokens."
    return {
        "claim_id": "em_drop_mp",
        "statement": "S.",
        "paper": "P",
        "verdict": verdict,
        "reason": reason,
        **numbers,
        **given,
    }


def test_groups_follow_the_verdicts_and_leave_out_what_cannot_be_tested():
    some = [claim("undecided"), claim("not testable here"), claim("supported"), claim("contradicted")]
    assert [group.verdict for group in by_verdict(some)] == ["supported", "contradicted", "undecided"]
    assert [(reason, len(found)) for reason, found in untestable(some)] == [("The interval contains the null 0", 1)]
    assert counts(some) == "Claims of the papers: 1 supported, 1 contradicted, 1 undecided, 1 not testable here."


def test_reported_and_measured_stand_beside_each_other_with_both_errors():
    some = [
        claim("undecided", claim_id="em_drop_nmp", reported=33.12, ours=30.0, lower=None, upper=None),
        claim("not testable here", reported=4.0, ours=None),
        claim("supported", reported=None),
        claim("supported", reported=12.19, ours=12.0, lower=10.5, upper=13.5),
    ]
    shown = [(row["claim_id"], row["reported_shown"], row["ours_shown"]) for row in beside_reported(some)]
    assert shown == [("em_drop_mp", "12.2 ±\u00a01.5", "12 (10.5 to 13.5)"), ("em_drop_nmp", "33.1", "30")]


def test_a_bar_keeps_order_and_stays_inside():
    shown = bar(claim(reported=3.0))
    assert 0 < shown.null < shown.lower < shown.ours < shown.upper < shown.reported < WIDTH
    assert bar(claim(ours=None)) is None and bar(claim(lower=None, upper=None, null_value=None)) is None
    flat = bar(claim(ours=0.0, lower=0.0, upper=0.0))
    assert 0 <= flat.ours <= WIDTH


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (-0.5, "−0.5"), (1234.5, "1234"), (1e-9, "0"), (0.0004, "0.0004")]
)
def test_numbers_have_no_exponent(value, text):
    assert number(value) == text


def test_what_was_measured_on_is_taken_out_of_the_reason():
    assert split_reason("Why; more; measured on toy, x.") == ("Why; more", "toy, x")
    assert split_reason(None) == ("", "")


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("em_drop_grows_with_position_mp", "correlation"),
        ("em_drop_mp", "tokens"),
        ("unlearn_top_targets", "tokens"),
        ("rare_tokens_trigger_recital", "tokens per SD of rarity"),
        ("positional_fragility", "share"),
        ("recital_grows_with_copies", "correlation"),
        ("sparse_editing_beats_random", "tokens"),
        ("all_weights_edit_more", "tokens"),
        ("patching_into_mp", "nats"),
        ("gradients_of_groups_differ", "cosine"),
        ("gradient_smaller_in_every_layer", "size of gradient"),
        ("gradient_lower_share_mp", "share"),
    ],
)
def test_units_follow_the_quantity(name, unit):
    assert unit_of(name) == unit


def test_every_claim_that_the_rules_can_write_has_a_unit():
    sources = "".join(file.read_text(encoding="utf-8") for file in CLAIM_MODULES.glob("*.py"))
    names = re.findall(r'(?:Claim\(|    )\s*f?"([a-z0-9_]+)(?:\{[^"]*)?", (?:_?[A-Z]|")', sources)
    assert len(names) > 30 and [name for name in names if not unit_of(name)] == []
