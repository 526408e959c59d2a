"""Power grows with effect and clusters, and at effect 0 it is the level of the test."""

from __future__ import annotations

import polars as pl
import pytest

from probes.errors import ProbeError
from probes.triggers.power import power_curve
from tests.support.worlds.triggers_worlds import trigger_world


def test_power_is_the_level_without_effect_and_grows_with_effect_and_clusters():
    # The measured frame has an effect of its own: shuffling must take it away.
    measured = trigger_world(clusters=40, positions=10, copies=2, effect=5, memorized_share=1, seed=1)
    curve = power_curve(measured, [0, 0.5, 1.5], [10, 40], seed=2, repetitions=150)
    share = {(row["effect"], row["cluster_count"]): row["detected_share"] for row in curve.iter_rows(named=True)}
    assert 0.01 <= share[0, 40] <= 0.09
    assert share[0, 40] < share[0.5, 40] < share[1.5, 40] and share[1.5, 10] < share[1.5, 40]
    strong = curve.filter((pl.col("effect") == 1.5) & (pl.col("cluster_count") == 40))
    assert strong["lower"].item() > 0.8
    assert (curve["lower"] <= curve["detected_share"]).all() and (curve["detected_share"] <= curve["upper"]).all()


def test_a_curve_is_seeded():
    measured = trigger_world(clusters=10, positions=6, seed=0)
    assert power_curve(measured, [1], [5], seed=1, repetitions=5).equals(
        power_curve(measured, [1], [5], seed=1, repetitions=5)
    )


def test_studies_that_cannot_be_run_are_refused():
    measured = trigger_world(clusters=10, positions=6, seed=0)
    with pytest.raises(ProbeError, match="three clusters"):
        power_curve(measured, [1], [2], seed=1)
    with pytest.raises(ProbeError, match="measured tokens"):
        power_curve(measured.with_columns(em_drop=pl.lit(None, pl.Float64)), [1], [5], seed=1)
