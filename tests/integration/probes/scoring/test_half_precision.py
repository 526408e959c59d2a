"""Half precision with rescoring gives the exact matches of float32."""

from __future__ import annotations

import copy

import polars as pl
import pytest
import torch

from probes.errors import ProbeError
from probes.scoring.half_precision import (
    extractable_with_rescoring,
    margin_error,
    measure_margin_bound,
    score_with_rescoring,
)
from probes.scoring.screening import extractable_at
from probes.scoring.teacher_forced import score_paragraphs
from tests.support.models.scoring_models import ARCHITECTURES, random_model, random_paragraphs, reciting_model


def halved(model, dtype=torch.bfloat16):
    return copy.deepcopy(model).to(dtype)


def near_ties(architecture: str) -> tuple[object, torch.Tensor]:
    """Paragraphs whose continuation is greedy in float32 on a model with small margins: bfloat16 errs on many."""
    model = random_model(architecture, seed=2)
    prefixes = random_paragraphs(96, 10, seed=3)
    written = model.generate(prefixes, attention_mask=torch.ones_like(prefixes), max_new_tokens=12, do_sample=False)
    return model, written


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_exact_matches_are_those_of_float32(architecture, dtype):
    model, paragraphs = near_ties(architecture)
    expected = score_paragraphs(model, paragraphs, 10).paragraphs["exact_match"]
    rough = score_paragraphs(halved(model, dtype), paragraphs, 10).paragraphs["exact_match"]
    result = score_with_rescoring(halved(model, dtype), model, paragraphs, 10, batch_size=8)
    assert result.scores.paragraphs["exact_match"].equals(expected)
    assert result.flipped_count == (rough != expected).sum()
    assert result.flipped_count == (rough != expected).sum()
    assert result.missed_count == 0
    assert 0 < result.rescored_count < len(paragraphs) or dtype == torch.bfloat16
    assert result.calibration_count == 64


def test_the_fixture_has_flips_to_find():
    flips = 0
    for architecture in ARCHITECTURES:
        model, paragraphs = near_ties(architecture)
        flips += score_with_rescoring(halved(model), model, paragraphs, 10).flipped_count
    assert flips >= 4


def test_rescored_rows_are_wholly_those_of_float32_and_the_others_untouched():
    model, paragraphs = near_ties("gpt_neox")
    half = halved(model)
    rough, exact = (
        score_paragraphs(each, paragraphs, 10, texts_bytes=[20] * 96, batch_size=1) for each in (half, model)
    )
    bound = float(rough.paragraphs["top2_margin"].median())
    result = score_with_rescoring(half, model, paragraphs, 10, margin_bound=bound, texts_bytes=[20] * 96, batch_size=1)
    doubtful = (rough.paragraphs["top2_margin"] < bound).alias("doubtful")
    assert result.rescored_count == doubtful.sum() == 48
    assert result.scores.paragraphs["is_rescored"].to_list() == doubtful.to_list()
    for name in ("paragraphs", "tokens"):
        found, ours, theirs = (
            getattr(scores, name).drop("is_rescored", strict=False) for scores in (result.scores, rough, exact)
        )
        mask = doubtful if name == "paragraphs" else doubtful.gather(found["row"])
        assert found.columns == ours.columns
        assert found.filter(mask).equals(theirs.filter(mask))
        assert found.filter(~mask).equals(ours.filter(~mask))


def test_extractability_is_that_of_float32():
    model, paragraphs = near_ties("llama")
    half = halved(model)
    bound = measure_margin_bound(half, model, paragraphs[:64], 10)
    assert bound > 0 == measure_margin_bound(model, model, paragraphs[:64], 10)
    expected = extractable_at(model, paragraphs, 10, (4, 10))
    found = extractable_with_rescoring(half, lambda: model, paragraphs, 10, (4, 10), bound)
    same = ("row", "context_length", "exact_match", "is_extractable")
    assert found.select(same).equals(expected.select(same))
    assert not extractable_at(half, paragraphs, 10, (4, 10)).select(same).equals(expected.select(same))
    untouched = extractable_with_rescoring(model, lambda: pytest.fail("not needed"), paragraphs, 10, (4, 10), bound)
    assert untouched.equals(expected)


def test_float32_is_scored_once_and_nothing_is_in_doubt():
    model, paragraphs = near_ties("gpt2")
    result = score_with_rescoring(model, lambda: pytest.fail("not needed"), paragraphs[:4], 10)
    assert (result.margin_bound, result.rescored_count, result.flipped_count) == (0, 0, 0)
    assert not result.scores.paragraphs["is_rescored"].any()


def test_a_crossed_tie_counts_both_margins():
    rough = pl.DataFrame({"margin": [1.0, 0.25], "argmax_id": [3, 4]})
    exact = pl.DataFrame({"margin": [0.5, 0.5], "argmax_id": [3, 5]})
    assert margin_error(rough, exact) == 0.75


def test_the_float32_model_is_loaded_only_when_a_row_needs_it():
    model, paragraphs = reciting_model("gpt_neo")
    loaded = []
    settings = {"exact_model": lambda: loaded.append(1) or model, "token_ids": paragraphs, "prefix_length": 12}
    score_with_rescoring(halved(model), margin_bound=0.0, **settings)
    assert not loaded
    score_with_rescoring(halved(model), **settings)
    assert loaded == [1]


def test_rescoring_in_half_precision_is_refused():
    model, paragraphs = reciting_model("gpt_neo")
    with pytest.raises(ProbeError, match="float32"):
        score_with_rescoring(halved(model), halved(model), paragraphs, 12)


def test_no_paragraphs_need_no_rescoring():
    model, paragraphs = reciting_model("gpt_neo")
    result = score_with_rescoring(halved(model), model, paragraphs[:0], 12)
    assert (result.rescored_count, result.flipped_count, result.scores.paragraphs.height) == (0, 0, 0)
