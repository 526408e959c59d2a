"""The screening cascade finds the exact matches of the full pass, and reads less."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.errors import ProbeError
from probes.scoring.screening import extractable_at, screen_paragraphs, stage_ends
from probes.scoring.teacher_forced import NonFiniteScore, score_paragraphs
from tests.support.models.scoring_models import (
    ARCHITECTURES,
    VOCABULARY,
    greedy,
    random_model,
    random_paragraphs,
    reciting_model,
)


def spoiled_recitals(model, rows: int, prefix_length: int, length: int, seed: int) -> torch.Tensor:
    """The model's own continuations, one token changed at a random place (or nowhere), [paragraph, position]."""
    prefixes = random_paragraphs(rows, prefix_length, seed)
    ids = torch.cat([prefixes, greedy(model, prefixes, length - prefix_length)], dim=1)
    places = np.random.default_rng(seed).integers(prefix_length, length + 1, rows)
    for row, place in enumerate(places):
        if place < length:
            ids[row, place] = (ids[row, place] + 1) % VOCABULARY
    return ids


@settings(max_examples=40, deadline=None)
@given(
    architecture=st.sampled_from(ARCHITECTURES),
    rows=st.integers(1, 9),
    prefix_length=st.integers(2, 14),
    continuation_length=st.integers(1, 18),
    stages=st.lists(st.integers(1, 9), max_size=4),
    batch_size=st.integers(1, 9),
    seed=st.integers(0, 2**16),
)
def test_the_cascade_finds_what_the_full_pass_finds(
    architecture, rows, prefix_length, continuation_length, stages, batch_size, seed
):
    model = random_model(architecture, seed % 3)
    ids = spoiled_recitals(model, rows, prefix_length, prefix_length + continuation_length, seed)
    full = score_paragraphs(model, ids, prefix_length).paragraphs
    screened = screen_paragraphs(model, ids, prefix_length, stages=stages, batch_size=batch_size)
    for name in ("exact_match", "is_memorized", "divergence_position"):
        assert screened[name].equals(full[name]), name
    np.testing.assert_allclose(screened["top2_margin"], full["top2_margin"], rtol=1e-3, atol=1e-4)
    assert screened.schema == full.select(screened.columns).schema


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_trained_models_are_screened_exactly(architecture):
    model, paragraphs = reciting_model(architecture)
    for prefix_length in (1, 6, 23):
        expected = greedy(model, paragraphs[:, :prefix_length], 24 - prefix_length)
        hits = (expected == paragraphs[:, prefix_length:]).long().cumprod(1).sum(1)
        assert screen_paragraphs(model, paragraphs, prefix_length)["exact_match"].to_list() == hits.tolist()


def test_rows_that_missed_are_not_read_further(monkeypatch):
    model, paragraphs = reciting_model("gpt_neo")
    read = []
    forward = model.base_model.forward

    def counting(input_ids=None, **rest):
        read.append(tuple(input_ids.shape))
        return forward(input_ids=input_ids, **rest)

    monkeypatch.setattr(model.base_model, "forward", counting)
    strangers = random_paragraphs(16, 24, seed=99)
    screen_paragraphs(model, torch.cat([paragraphs[:2], strangers]), 12, stages=(1, 3))
    tokens = sum(rows * length for rows, length in read[2:])
    assert read[2] == (18, 12)
    assert tokens <= 18 * 12 + 4 * (23 - 12), "strangers were read after their first miss"


def test_stages_cut_the_window_without_gap_or_overlap():
    assert stage_ends(50, 100, (1, 4, 12)) == [50, 54, 66, 99]
    assert stage_ends(50, 100, ()) == [99]
    assert stage_ends(50, 51, (1, 4)) == [50]
    assert stage_ends(1, 4, (2, 9)) == [2, 3]


@pytest.mark.parametrize("wrong", [{"stages": (1, 0)}, {"prefix_length": 0}, {"batch_size": 0}, {"tile": 0}])
def test_settings_that_make_no_sense_are_refused(wrong):
    model, paragraphs = reciting_model("gpt_neo")
    with pytest.raises(ProbeError):
        screen_paragraphs(model, paragraphs, **{"prefix_length": 12, **wrong})


def test_nothing_screened_is_an_empty_frame_and_a_nan_names_its_row():
    model = random_model("llama")
    ids = random_paragraphs(4, 20, 0)
    assert screen_paragraphs(model, ids[:0], 10).schema == screen_paragraphs(model, ids, 10).schema
    ids[ids == 5] = 6
    ids[3, 2] = 5
    model.model.embed_tokens.weight[5, 0] = torch.nan
    with pytest.raises(NonFiniteScore, match="paragraph 3;"):
        screen_paragraphs(model, ids, 10, batch_size=3)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_extractability_is_greedy_decoding_from_each_context(architecture):
    model, paragraphs = reciting_model(architecture)
    frame = extractable_at(model, paragraphs, 12, context_lengths=(12, 1, 5))
    assert frame["context_length"].to_list() == [1, 5, 12] * 16
    for context in (1, 5, 12):
        hits = greedy(model, paragraphs[:, 12 - context : 12], 12) == paragraphs[:, 12:]
        expected = hits.long().cumprod(1).sum(1).tolist()
        mine = frame.filter(context_length=context)
        assert mine["exact_match"].to_list() == expected
        assert mine["is_extractable"].to_list() == [count == 12 for count in expected]


@pytest.mark.parametrize("contexts", [(), (0,), (13,), (-1, 5)])
def test_contexts_that_are_not_at_hand_are_refused(contexts):
    model, paragraphs = reciting_model("gpt_neo")
    with pytest.raises(ProbeError, match="context lengths"):
        extractable_at(model, paragraphs, 12, context_lengths=contexts)
