"""The sweep against the papers' way: edit, decode greedily with transformers, count, and read the loss."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.errors import ProbeError
from probes.perturbation.sweep import POLICIES, minimal_perturbations, pmp_continuations, sweep
from tests.support.models.triggers_models import FAMILIES, VOCABULARY, greedy, random_ids, small_model

PREFIX, CONTINUATION = 12, 9
COUNTS = np.random.default_rng(7).zipf(1.5, VOCABULARY).clip(max=10**6)


def paragraphs(model, rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Prefixes and the model's own continuations, one of them spoilt so that not everything matches."""
    prefix = random_ids(rows, PREFIX, seed)
    reference = greedy(model, prefix, CONTINUATION)
    reference[-1, 5] = (reference[-1, 5] + 1) % VOCABULARY
    return prefix, reference


def plain(model, prefix: np.ndarray, reference: np.ndarray, record: dict) -> tuple[int, float]:
    """Exact match by generate() and mean loss by the model's own labels, for one edited prefix."""
    new = [] if record["replacement_id"] is None else [record["replacement_id"]]
    position = record["position"]
    edited = np.array([*prefix[:position], *new, *prefix[position + 1 :]])
    written = greedy(model, edited[None], CONTINUATION)[0]
    match = int((written == reference).cumprod().sum())
    ids = torch.from_numpy(np.concatenate([edited, reference]))[None]
    labels = ids.clone()
    labels[:, : len(edited)] = -100
    return match, float(model(ids, labels=labels).loss)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("policy", POLICIES)
def test_sweep_equals_greedy_decoding_and_the_models_own_loss(family, policy):
    model = small_model(family)
    prefix, reference = paragraphs(model, rows=2, seed=3)
    draws = 1 if policy == "deletion" else 2
    positions = [1, 4, PREFIX - 1]
    frame = sweep(
        model, prefix, reference, positions=positions, policy=policy, draws=draws, seed=5, prefix_length=PREFIX,
        token_counts=COUNTS, batch_size=3, tile=7,
    )  # fmt: skip
    assert frame.height == 2 * len(positions) * draws
    for record in frame.iter_rows(named=True):
        match, loss = plain(model, prefix[record["row"]], reference[record["row"]], record)
        assert record["exact_match"] == match
        assert record["nll_nats"] == pytest.approx(loss, abs=2e-5)
        assert record["em_drop"] == CONTINUATION - match
        assert record["divergence_position"] == (PREFIX + match if match < CONTINUATION else None)
    assert (frame["exact_match"] < CONTINUATION).any()


def test_delta_is_against_the_unchanged_prefix():
    model = small_model("gpt2")
    prefix, reference = paragraphs(model, rows=3, seed=1)
    frame = sweep(model, prefix, reference, seed=0, prefix_length=PREFIX)
    base = (frame["nll_nats"] - frame["delta_nll_nats"]).to_numpy().reshape(3, -1)
    for row in range(3):
        ids = torch.from_numpy(np.concatenate([prefix[row], reference[row]]))[None]
        labels = ids.clone()
        labels[:, :PREFIX] = -100
        assert base[row] == pytest.approx(float(model(ids, labels=labels).loss), abs=2e-5)


@settings(max_examples=12, deadline=None)
@given(
    batch_size=st.integers(1, 9),
    keep=st.lists(st.integers(0, 4), min_size=1, unique=True),
    policy=st.sampled_from(POLICIES),
    tile=st.integers(1, 64),
)
def test_results_depend_neither_on_batching_nor_on_company(batch_size, keep, policy, tile):
    model = small_model("gpt_neo")
    prefix, reference = paragraphs(model, rows=5, seed=2)
    options = {"policy": policy, "seed": 11, "prefix_length": PREFIX, "token_counts": COUNTS}
    whole = sweep(model, prefix, reference, **options)
    part = sweep(model, prefix[keep], reference[keep], positions=[3, 8], batch_size=batch_size, tile=tile, **options)
    expected = pl.concat(
        whole.filter(pl.col("row") == row, pl.col("position").is_in([3, 8])).with_columns(
            pl.lit(index).cast(pl.UInt32).alias("row")
        )
        for index, row in enumerate(keep)
    )
    exact = [name for name in whole.columns if not name.endswith("_nats")]
    assert part.select(exact).equals(expected.select(exact))
    assert np.allclose(part["nll_nats"], expected["nll_nats"], atol=1e-5)


def test_more_draws_keep_the_first_ones():
    model = small_model("llama")
    prefix, reference = paragraphs(model, rows=2, seed=4)
    one, three = (sweep(model, prefix, reference, draws=d, seed=9, prefix_length=PREFIX) for d in (1, 3))
    assert three.filter(pl.col("draw") == 0)["replacement_id"].equals(one["replacement_id"])
    assert three.group_by("row", "position").agg(pl.col("replacement_id").n_unique() == 3)["replacement_id"].all()


def test_second_choice_is_the_likeliest_other_token():
    model = small_model("gpt_neox")
    prefix, reference = paragraphs(model, rows=2, seed=6)
    frame = sweep(model, prefix, reference, policy="second_choice", draws=2, seed=0, prefix_length=PREFIX)
    logits = model(torch.from_numpy(prefix)).logits
    for record in frame.iter_rows(named=True):
        likely = logits[record["row"], record["position"] - 1].argsort(descending=True).tolist()
        likely.remove(record["original_id"])
        assert record["replacement_id"] == likely[record["draw"]]


def test_plausible_replacements_follow_the_models_own_distribution():
    model = small_model("gpt_neo")
    prefix, reference = paragraphs(model, rows=1, seed=6)
    excluded, position, seeds = [0, 5], 3, 300
    drawn = [
        sweep(model, prefix, reference, policy="plausible", positions=[position], seed=seed, prefix_length=PREFIX,
              excluded_ids=excluded)["replacement_id"][0]
        for seed in range(seeds)
    ]  # fmt: skip
    logits = model(torch.from_numpy(prefix)).logits[0, position - 1].detach()
    logits[[*excluded, int(prefix[0, position])]] = -torch.inf
    expected = logits.softmax(0).numpy() * seeds
    seen = np.bincount(drawn, minlength=len(expected))
    assert seen[expected == 0].sum() == 0, "never the token itself, never an excluded one"
    groups = np.arange(len(expected)) % 8
    by_group = [np.bincount(groups, weights=values) for values in (seen, expected / expected.sum() * seeds)]
    assert scipy.stats.chisquare(*by_group).pvalue > 0.001


def test_plausible_draws_of_a_position_differ_and_keep_the_first():
    model = small_model("gpt_neox")
    prefix, reference = paragraphs(model, rows=2, seed=6)
    one, three = (
        sweep(model, prefix, reference, policy="plausible", draws=draws, seed=4, prefix_length=PREFIX)
        for draws in (1, 3)
    )
    assert three.filter(pl.col("draw") == 0)["replacement_id"].equals(one["replacement_id"])
    assert three.group_by("row", "position").agg(pl.col("replacement_id").n_unique() == 3)["replacement_id"].all()


def test_minimal_perturbation_and_its_continuation():
    model = small_model("gpt_neo")
    prefix, reference = paragraphs(model, rows=4, seed=8)
    frame = pl.concat(
        sweep(model, prefix, reference, policy=policy, seed=1, prefix_length=PREFIX)
        for policy in ("uniform", "deletion")
    )
    minimal = minimal_perturbations(frame)
    for record in minimal.iter_rows(named=True):
        of_row = frame.filter(pl.col("row") == record["row"])
        assert record["exact_match"] == of_row["exact_match"].min()
        ties = of_row.filter(pl.col("exact_match") == record["exact_match"])
        assert record["position"] == ties["position"].min()
    written = pmp_continuations(model, prefix, reference, minimal, prefix_length=PREFIX, batch_size=3)
    for record in written.iter_rows(named=True):
        truth = reference[record["row"]]
        assert record["generated_ids"] == greedy(model, np.array([record["prefix_ids"]]), CONTINUATION)[0].tolist()
        place = record["impact_position"] - PREFIX
        assert place == record["exact_match"]
        assert record["impact_reference_id"] == truth[place] != record["impact_id"] == record["generated_ids"][place]


def test_an_unchanged_continuation_has_no_impact_token():
    model = small_model("gpt2")
    prefix, reference = paragraphs(model, rows=1, seed=0)
    reference = greedy(model, prefix, CONTINUATION)
    nothing = sweep(model, prefix, reference, positions=[1], seed=0, prefix_length=PREFIX).with_columns(
        pl.col("original_id").alias("replacement_id")
    )
    written = pmp_continuations(model, prefix, reference, nothing, prefix_length=PREFIX)
    assert written.select("impact_position", "impact_reference_id", "impact_id").row(0) == (None, None, None)


def test_no_paragraphs_give_an_empty_frame_with_the_same_columns():
    model = small_model("gpt2")
    prefix, reference = random_ids(1, PREFIX), random_ids(1, CONTINUATION)
    full = sweep(model, prefix, reference, seed=0, prefix_length=PREFIX)
    empty = sweep(model, prefix[:0], reference[:0], seed=0, prefix_length=PREFIX)
    assert empty.schema == full.schema and empty.is_empty()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"policy": "nearest"}, "nearest"),
        ({"policy": "deletion", "draws": 2}, "2 draws"),
        ({"policy": "frequency_matched", "token_counts": None}, "token_counts"),
        ({"policy": "second_choice", "positions": [0]}, "second_choice"),
        ({"policy": "plausible", "positions": [0]}, "plausible"),
        ({"positions": [1, 1]}, "distinct"),
        ({"positions": [PREFIX]}, "distinct"),
        ({"draws": VOCABULARY}, "draws"),
        ({"prefix_length": 40}, "prefix of 40"),
        ({"reference_ids": random_ids(3, 4)}, "one continuation"),
        ({"policy": "frequency_matched", "token_counts": np.ones(20)}, "20 entries"),
        ({"reference_ids": random_ids(2, 4) + VOCABULARY}, "tokenizer"),
        ({"reference_ids": random_ids(2, 4) + 0.5}, "integers"),
        ({"reference_ids": random_ids(2, 127)}, "context is 128"),
    ],
)
def test_impossible_requests_are_refused_in_one_sentence(change, says):
    request = {
        "token_ids": random_ids(2, PREFIX),
        "reference_ids": random_ids(2, 4),
        "prefix_length": PREFIX,
        "seed": 0,
    }
    with pytest.raises(ProbeError, match=says):
        sweep(small_model("gpt2"), **(request | change))


def test_broken_weights_are_not_measured():
    model = small_model("gpt2")
    model.transformer.ln_f.weight[0] = float("nan")
    with pytest.raises(ProbeError, match="no finite probabilities"):
        sweep(model, random_ids(2, PREFIX), random_ids(2, 4), seed=0, prefix_length=PREFIX)
