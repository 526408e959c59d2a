"""Claims on recital, activations, attribution and edits follow their numbers, and say why where there are none."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from probes.claims.activations import activation_claims
from probes.claims.attribution import LEAST_BLOCKS, attribution_claims
from probes.claims.editing import editing_claims
from probes.claims.recital import recital_claims
from probes.claims.rules import Claim, Measured, cluster_mean, same_number_row
from warehouse.registry import TABLES


def empty(table: str, **more: pl.DataType) -> pl.DataFrame:
    types = {"DOUBLE": pl.Float64, "INTEGER": pl.Int32, "VARCHAR": pl.String, "BOOLEAN": pl.Boolean}
    return pl.DataFrame(schema={c.name: types.get(c.type, pl.Float64) for c in TABLES[table].columns} | more)


def by_claim(frame: pl.DataFrame) -> dict[str, dict]:
    return {row["claim_id"]: row for row in frame.iter_rows(named=True)}


def scores(recited: int = 20, others: int = 60) -> pl.DataFrame:
    """Recited texts have 16 copies, the others one."""
    count = recited + others
    return pl.DataFrame(
        {
            "paragraph_id": [f"p{i}" for i in range(count)],
            "exact_match": [50] * recited + [i % 8 for i in range(others)],
            "em_bin": ["50"] * recited + ["0-10"] * others,
            "duplication_count": [16] * recited + [1] * others,
            "near_duplicate_cluster": range(count),
        }
    )


def perturbed(place: int, clusters: int = 20) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A change at `place` of 1..9 destroys everything, others cost a token."""
    row, position = np.divmod(np.arange(clusters * 9), 9)
    frame = pl.DataFrame(
        {
            "paragraph_id": [f"p{i}" for i in row],
            "position": position + 1,
            "em_drop": np.where(position + 1 == place, 50.0, 1.0),
            "is_memorized": True,
            "near_duplicate_cluster": row,
        }
    )
    return frame, pl.DataFrame({"paragraph_id": [f"p{i}" for i in range(clusters)], "position": place})


@pytest.mark.parametrize(("place", "verdict"), [(9, "supported"), (1, "contradicted")])
def test_where_the_minimal_change_lies(place, verdict):
    claims = by_claim(recital_claims(scores(), *perturbed(place)))
    assert claims["minimal_change_lies_late"]["verdict"] == verdict
    assert claims["one_change_destroys"]["verdict"] == "supported" and claims["one_change_destroys"]["ours"] == 1
    assert claims["recital_grows_with_copies"]["verdict"] == "supported"


def test_bins_are_shares_of_paragraphs_and_belong_to_the_papers_model():
    frames = (scores(), *perturbed(9))
    there, here = (by_claim(recital_claims(*frames, is_papers_model=flag)) for flag in (True, False))
    assert here["em_bin_50"]["ours"] == 0.25 and here["em_bin_50"]["verdict"] == "not testable here"
    assert there["em_bin_50"]["verdict"] == "contradicted", "a quarter is not three percent"
    assert there["em_bin_50"]["reported"] == pytest.approx(442 / 13_441)


def test_nothing_measured_is_not_testable():
    nothing = recital_claims(scores().clear(), *(frame.clear() for frame in perturbed(9)))
    assert set(nothing["verdict"]) == {"not testable here"}
    places = attribution_claims(
        empty("interventions"), empty("parameter_gradients"), empty("harness_utility"), layer_count=4
    )
    assert set(places["verdict"]) == {"not testable here"} and places["ours"].null_count() == places.height
    rarity = empty("head_rarity")
    activations = activation_claims(
        rarity,
        rarity,
        empty("patching", near_duplicate_cluster=pl.Int32()),
        empty("gradient_cosines"),
        empty("edit_noise"),
    )
    assert set(activations["verdict"]) == {"not testable here"}


@pytest.mark.parametrize("receiver", ["MP", "PMP"])
def test_patching_is_asked_both_ways(receiver):
    rng = np.random.default_rng(0)
    rows = [
        {
            "paragraph_id": f"p{p}",
            "receiver": receiver,
            "component": c,
            "near_duplicate_cluster": p,
            "delta_nll_nats": x,
        }
        for p in range(12)
        for c, x in zip("qkvz", [*rng.normal(0.5, 0.1, 3), -9.0], strict=True)
    ]
    rarity = empty("head_rarity")
    claims = by_claim(
        activation_claims(rarity, rarity, pl.DataFrame(rows), empty("gradient_cosines"), empty("edit_noise"))
    )
    other = {"MP": "patching_into_pmp", "PMP": "patching_into_mp"}[receiver]
    assert claims[f"patching_into_{receiver.lower()}"]["verdict"] == "supported"
    assert claims[f"patching_into_{receiver.lower()}"]["ours"] == pytest.approx(0.5, abs=0.1)
    assert claims[other]["verdict"] == "not testable here"


@pytest.mark.parametrize("count", [LEAST_BLOCKS - 1, 12])
def test_a_trend_over_few_blocks_is_no_trend(count):
    blocks = pl.DataFrame(
        {
            "paragraph_group": "MP", "kind": "identity", "part": "attention", "layer": range(count),
            "last_layer": range(count), "head": pl.Series([None] * count, dtype=pl.Int64),
            "utility_drop_share": np.linspace(0.9, 0.1, count), "excess": np.linspace(0, 0.5, count),
            "entropy_nats": 1.0,
            **{f"recital_loss_{end}": value for end, value in (("share", 0.4), ("lower", 0.2), ("upper", 0.6))},
        }
    )  # fmt: skip
    nothing = empty("parameter_gradients"), empty("harness_utility")
    found = by_claim(attribution_claims(blocks, *nothing, layer_count=count))
    expected = "not testable here" if count < LEAST_BLOCKS else "supported"
    assert found["utility_cost_falls_with_depth"]["verdict"] == expected
    assert found["selectivity_rises_with_depth"]["verdict"] == expected


def run(rule: str, target: int, path: list[tuple[float, float]]) -> list[dict]:
    """Exact match of target and controls at steps 0, 1, 2."""
    labels = {"protocol": "single", "objective": "unlearn", "selection": rule, "target": f"p{target}"}
    return [
        labels | {"near_duplicate_cluster": target, "step": step, "evaluation_set": name, "exact_match": value}
        for step, pair in enumerate(path)
        for name, value in zip(("targets", "controls"), pair, strict=True)
    ]


def test_few_weights_and_all_are_compared_where_both_forgot_as_much():
    """All weights forget everything and ruin the controls; half way they are where few weights end: no difference."""
    rng = np.random.default_rng(0)
    rows = []
    for target in range(10):
        noise = float(rng.normal(0, 0.1))
        rows += run("all", target, [(50, 50), (0, 10), (0, 0)])
        rows += run("top:0.01", target, [(50, 50), (40, 45), (25, 30 + noise)])
    row = by_claim(editing_claims(empty("edit_summaries"), pl.DataFrame(rows)))[
        "sparse_spares_others_at_equal_forgetting"
    ]
    assert row["ours"] == pytest.approx(0, abs=0.2) and row["verdict"] == "undecided"
    better = pl.DataFrame(rows).with_columns(
        exact_match=pl.col("exact_match")
        + 8 * (pl.col("evaluation_set") == "controls") * (pl.col("selection") != "all")
    )
    row = by_claim(editing_claims(empty("edit_summaries"), better))["sparse_spares_others_at_equal_forgetting"]
    assert row["ours"] == pytest.approx(8, abs=0.2) and row["verdict"] == "supported"
    lone = better.filter(pl.col("selection") != "all")
    row = by_claim(editing_claims(empty("edit_summaries"), lone))["sparse_spares_others_at_equal_forgetting"]
    assert row["verdict"] == "not testable here"


def test_a_perfect_replication_contradicts_the_paper_in_one_case_of_twenty_at_most():
    """Paper and we each draw 20 clusters of one population; against our interval alone it would be one in six."""
    rng, said, alone = np.random.default_rng(0), 0, 0
    for _ in range(600):
        theirs, ours = rng.normal(12, 5, 20).mean(), rng.normal(12, 5, 20)
        measured = cluster_mean(ours, np.arange(20), None)
        said += same_number_row(Claim("a", "b", "c", theirs), measured, True)["verdict"] == "contradicted"
        alone += not (measured.lower or 0) <= theirs <= (measured.upper or 0)
    assert alone / 600 > 0.1
    assert said / 600 <= 0.05 + 0.02


def test_a_number_is_not_asked_of_another_model():
    row = same_number_row(Claim("a", "b", "c", 1.0), Measured(1.0, 0.5, 1.5), False)
    assert row["verdict"] == "not testable here"
