"""Every verdict can be reached, a precise zero is a no, and nothing survives only because there are many claims."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from probes.claims.rules import SCHEMA, Claim, Measured, judged_row
from probes.claims.verdicts import SMALLEST_EFFECTS, ClaimSubject, settle

SUBJECT = ClaimSubject("four-layer model", "books", "50 + 50 tokens", is_toy=True)
NAME = "deep_more_selective_than_first"  # 0.05 is of interest


def rows(*intervals, direction="greater", name=NAME):
    found = [
        judged_row(Claim(name, "P2", "It is so."), Measured((low + high) / 2, low, high, 0.0), direction)
        for low, high in intervals
    ]
    return pl.DataFrame(found, schema=SCHEMA)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.02, 0.2, "supported"),
        (0.1, 0.2, "supported"),
        (-0.02, 0.2, "undecided"),
        (-0.01, 0.01, "no effect of interest"),
        (0.01, 0.03, "no effect of interest"),
        (-0.2, 0.03, "no effect of interest"),
        (-0.04, -0.01, "no effect of interest"),
        (-0.2, -0.1, "contradicted"),
        (-0.2, -0.01, "contradicted"),
    ],
)
def test_the_interval_says_which_of_four(low, high, verdict):
    assert settle(rows((low, high)), SUBJECT)["verdict"].item() == verdict
    mirrored = settle(rows((-high, -low), direction="less"), SUBJECT)
    assert mirrored["verdict"].item() == verdict


def test_a_precise_zero_becomes_a_no_as_clusters_come_in():
    """Power of the no: normal data without effect, 4 to 400 clusters."""
    rng, said = np.random.default_rng(0), {}
    for clusters in (4, 400):
        half = 1.96 * 0.2 / np.sqrt(clusters)
        centres = rng.normal(0, 0.2 / np.sqrt(clusters), 50)
        found = [settle(rows((c - half, c + half)), SUBJECT)["verdict"].item() for c in centres]
        said[clusters] = found.count("no effect of interest") / 50
    assert said[400] > 0.9 > 0.3 > said[4]


def test_sizes_can_be_chosen_and_turned_off():
    frame = rows((-0.01, 0.01))
    assert settle(frame, SUBJECT, {NAME: 0.001})["verdict"].item() == "undecided"
    assert settle(frame, SUBJECT, {NAME: 0.0})["smallest_effect"].item() is None
    assert all(size > 0 and why for size, why in SMALLEST_EFFECTS.values())


def test_many_empty_claims_give_few_findings():
    rng = np.random.default_rng(1)
    centres = rng.normal(0, 1, 400)
    frame = rows(*((c - 1.96, c + 1.96) for c in centres), name="gradient_smaller")
    before = frame["verdict"].is_in(["supported", "contradicted"]).sum()
    after = settle(frame, SUBJECT)
    assert before > 8 and after["verdict"].is_in(["supported", "contradicted"]).sum() == 0
    assert (after["q_value"] >= after["p_value"] - 1e-12).all()


def test_a_strong_claim_survives_among_empty_ones():
    frame = rows((3, 5), *((-1, 1.2) for _ in range(20)), name="gradient_smaller")
    assert settle(frame, SUBJECT)["verdict"].to_list() == ["supported"] + ["undecided"] * 20


def test_q_values_agree_with_statsmodels():
    from statsmodels.stats.multitest import multipletests

    rng = np.random.default_rng(2)
    frame = settle(rows(*((c - 1.96, c + 1.96) for c in rng.normal(1, 1, 30)), name="gradient_smaller"), SUBJECT)
    expected = multipletests(frame["p_value"].to_numpy(), method="fdr_bh")[1]
    assert np.allclose(frame["q_value"], expected)


def test_every_verdict_names_what_it_is_about():
    reason = settle(rows((0.1, 0.2)), SUBJECT)["reason"].item()
    assert reason.endswith(
        "measured on four-layer model (a toy trained on this machine) on corpus books, 50 + 50 tokens."
    )


def test_claims_without_an_interval_stay_as_they_are():
    found = settle(
        pl.DataFrame([judged_row(Claim(NAME, "P2", "It is so."), Measured(), "greater")], schema=SCHEMA), SUBJECT
    )
    assert found["verdict"].item() == "not testable here" and found["p_value"].item() is None
