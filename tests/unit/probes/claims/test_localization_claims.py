"""Verdicts on where recital lives follow the numbers, whichever way they point."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from probes.claims.localization import localization_claims
from probes.interventions.head_choices import (
    best_block,
    by_query_head,
    gradient_heads,
    patching_heads,
    rare_token_heads,
    top_heads,
)

LAYERS = 4
P1_RELATIONS = ("gradient_lies_lower", "gradient_smaller", "gradient_smaller_in_every_layer")
P2 = (
    "deep_short_circuit_cuts_recital",
    "deep_short_circuit_costs_little",
    "first_block_collapses",
    "deep_more_selective_than_first",
)


def gradients(memorized, other, rows=12, seed=0):
    """Table parameter_gradients with the given mean size by layer, value weights on top where `memorized`."""
    rng = np.random.default_rng(seed)
    found = []
    for group, sizes in (("MP", memorized), ("NMP", other)):
        for paragraph in range(rows):
            for layer, size in enumerate(sizes):
                for component, head in (("W_V", 0), ("W_V", 1), ("W_Q", 0), ("W_Q", 1), ("W_in", None)):
                    boost = 2.0 if component == "W_V" else 1.0
                    amount = size * boost * rng.uniform(0.9, 1.1)
                    name = f"{group}{paragraph}"
                    found.append((name, group, paragraph + 100 * (group == "NMP"), layer, component, head, amount))
    columns = ("paragraph_id", "paragraph_group", "near_duplicate_cluster", "layer", "component", "head", "max_abs")
    return pl.DataFrame(found, schema=list(columns), orient="row")


def short_circuits(recall, utility, width=0.05, p_value=0.01):
    """Table interventions with one block's attention out at a time."""
    rows = []
    for layer, (lost, spoiled) in enumerate(zip(recall, utility, strict=True)):
        row = {"kind": "identity", "part": "attention", "layer": layer, "last_layer": layer, "head": None}
        row |= {"paragraph_group": "MP", "is_collapsed": spoiled >= 0.5, "selectivity": lost - spoiled}
        row |= {"lower": lost - spoiled - width, "upper": lost - spoiled + width, "null_value": 0.0, "p_value": p_value}
        row |= {"excess": row["selectivity"], "excess_lower": row["lower"], "excess_upper": row["upper"]}
        row |= {"is_selective": row["lower"] > 0 and p_value <= 0.05}
        for name, value in (("memorization", lost), ("utility", spoiled)):
            row |= {f"{name}_drop_share": value, f"{name}_drop_lower": value - width}
            row |= {f"{name}_drop_upper": value + width}
        rows.append(row)
    return pl.DataFrame(rows, schema_overrides={"head": pl.Int32})


def verdicts(gradient_frame, intervention_frame, **options):
    frame = localization_claims(gradient_frame, intervention_frame, layer_count=LAYERS, **options)
    return dict(frame.select("claim_id", "verdict").iter_rows())


def test_a_world_like_the_papers_supports_them():
    found = verdicts(gradients((4, 3, 1, 1), (5, 6, 9, 9)), short_circuits((1, 0.6, 0.5, 0.6), (0.9, 0.3, 0.1, 0.02)))
    assert len(found) == 17
    assert {found[name] for name in (*P1_RELATIONS, *P2, "value_weights_most_salient")} == {"supported"}
    assert found["value_of_head_1_2_most_salient"] == found["gradient_sum_mp"] == "not testable here"


def test_the_opposite_world_contradicts_them():
    found = verdicts(gradients((5, 6, 9, 9), (4, 3, 1, 1)), short_circuits((0.9, 0.6, 0.5, 0.3), (0.1, 0.3, 0.1, 0.6)))
    assert {found[name] for name in (*P1_RELATIONS, *P2)} == {"contradicted"}


def test_one_layer_that_does_not_differ_leaves_every_layer_undecided():
    found = verdicts(gradients((4, 3, 1, 9), (5, 6, 9, 9)), short_circuits((0.1,) * 4, (0.1,) * 4))
    assert found["gradient_smaller"] == "supported"
    assert found["gradient_smaller_in_every_layer"] == "undecided"
    assert found["deep_short_circuit_cuts_recital"] == found["deep_more_selective_than_first"] == "undecided"


def test_no_threshold_flips_a_verdict():
    """A loss of 0.49 or 0.52 makes no difference, and a collapsed block is compared by what it shows."""
    found = [
        verdicts(gradients((1,) * 4, (1,) * 4), short_circuits((1, 1, 1, 0.9), (spoiled, 0.1, 0.1, 0.4)))
        for spoiled in (0.48, 0.49, 0.5, 0.52)
    ]
    assert all(one == found[0] for one in found)


def test_total_collapse_is_not_selective_and_loses_to_what_spares_other_text():
    frame = short_circuits((1, 1, 1, 0.4), (1, 0.1, 0.1, 0.1))
    found = verdicts(gradients((1,) * 4, (1,) * 4), frame)
    assert found["deep_short_circuit_cuts_recital"] == found["deep_more_selective_than_first"] == "supported"
    assert found["first_block_collapses"] == "supported"


def test_what_random_heads_do_as_well_is_not_supported():
    frame = short_circuits((1, 0.6, 0.5, 0.6), (0.9, 0.3, 0.1, 0.02), p_value=0.3)
    assert verdicts(gradients((1,) * 4, (1,) * 4), frame)["deep_short_circuit_cuts_recital"] == "undecided"


def test_without_memorized_paragraphs_nothing_is_testable():
    nothing = short_circuits((1,), (1,)).clear()
    frame = gradients((1,) * 4, (1,) * 4).filter(pl.col("paragraph_group") == "NMP")
    assert set(verdicts(frame, nothing).values()) == {"not testable here"}
    assert set(verdicts(frame.clear(), nothing, is_papers_model=True).values()) == {"not testable here"}


def test_the_papers_sizes_are_those_of_the_mean_loss_not_means_of_sizes():
    """Two paragraphs that pull apart: each has a large gradient, their mean loss has none."""
    single = gradients((1,) * 4, (1,) * 4)
    batch = single.filter(pl.col("paragraph_id").is_in(["MP0", "NMP0"])).with_columns(
        paragraph_id=pl.lit(None, dtype=pl.String),
        near_duplicate_cluster=pl.lit(None, dtype=pl.Int64),
        max_abs=pl.col("layer") + 1.0,
    )
    frame = localization_claims(
        pl.concat([single, batch]), short_circuits((1,) * 4, (0,) * 4), layer_count=LAYERS, is_papers_model=True
    )
    rows = {row["claim_id"]: row for row in frame.to_dicts()}
    assert rows["gradient_sum_mp"]["ours"] == 5 * (1 + 2 + 3 + 4) and rows["gradient_sum_mp"]["reported"] == 9.71
    assert rows["gradient_lower_share_nmp"]["ours"] == pytest.approx(3 / 10)
    assert rows["gradient_sum_mp"]["verdict"] == "undecided", "one number of one batch contradicts nothing"
    toy = verdicts(pl.concat([single, batch]), short_circuits((1,) * 4, (0,) * 4))
    assert toy["gradient_sum_mp"] == "not testable here"


def test_localizations_name_the_heads_their_tables_show():
    frame = gradients((1, 9, 1, 1), (1,) * 4).filter(pl.col("paragraph_group") == "MP")
    assert {head.layer for head in gradient_heads(frame, 2)} == {1}
    card = short_circuits((0.2, 0.9, 0.8, 0.7), (0.1, 0.8, 0.1, 0.1))
    assert [str(head) for head in best_block(card, 2)] == ["2.0", "2.1"]
    assert best_block(short_circuits((1,), (0.9,)).clear(), 2) == []
    patched = pl.DataFrame({"receiver": ["MP", "MP", "PMP"], "layer": [0, 2, 3], "component": ["v", "z", "v"]})
    patched = patched.with_columns(head=pl.Series([0, 1, 1]), delta_nll_nats=pl.Series([0.1, 0.5, 9.0]))
    assert [str(head) for head in patching_heads(patched, 2)][:1] == ["2.1"]
    rarity = pl.DataFrame({"coefficient": ["spearman"] * 2, "paragraph_group": ["all"] * 2, "layer": [0, 3]})
    assert (
        str(rare_token_heads(rarity.with_columns(head=pl.Series([1, 0]), estimate=pl.Series([0.1, 0.4])), 1)[0])
        == "3.0"
    )


def test_key_value_heads_count_for_every_query_head_that_reads_them():
    scores = pl.DataFrame({"layer": [0] * 6, "component": ["W_V", "W_V", "W_Q", "W_Q", "W_Q", "W_Q"]})
    scores = scores.with_columns(head=pl.Series([0, 1, 0, 1, 2, 3]), score=pl.Series([1.0, 5.0, 2.0, 0.5, 7.0, 0.1]))
    by_head = by_query_head(scores, 4)
    assert by_head["score"].to_list() == pytest.approx([2.0, 1.0, 7.0, 5.0])
    assert [str(head) for head in top_heads(by_head, 2)] == ["0.2", "0.3"]
