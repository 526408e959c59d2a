"""One teacher-forced pass says what transformers' greedy decoding does, for every architecture we measure."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from probes.scoring.generation import generate_continuations, greedy_continuations
from probes.scoring.teacher_forced import score_paragraphs
from tests.support.models.scoring_models import ARCHITECTURES, greedy, random_model, random_paragraphs, reciting_model


def first_difference(ours: Tensor, theirs: Tensor) -> int:
    for index, (one, other) in enumerate(zip(ours.tolist(), theirs.tolist(), strict=True)):
        if one != other:
            return index
    return len(ours)


def expected_matches(model, token_ids: Tensor, prefix_length: int) -> list[int]:
    written = greedy(model, token_ids[:, :prefix_length], token_ids.shape[1] - prefix_length)
    return [first_difference(*pair) for pair in zip(written, token_ids[:, prefix_length:], strict=True)]


def paragraphs_that_follow_the_model(model, rows: int, length: int, prefix_length: int, seed: int) -> Tensor:
    """Random prefixes with the model's own continuation, spoiled from a random position on."""
    token_ids = random_paragraphs(rows, length, seed)
    followed = torch.cat(
        [token_ids[:, :prefix_length], greedy(model, token_ids[:, :prefix_length], length - prefix_length)], 1
    )
    spoiled_from = np.random.default_rng(seed).integers(prefix_length, length + 1, rows)
    keep = torch.arange(length) < torch.from_numpy(spoiled_from)[:, None]
    return torch.where(keep, followed, token_ids)


@settings(max_examples=40, deadline=None)
@given(
    architecture=st.sampled_from(ARCHITECTURES),
    rows=st.integers(1, 7),
    prefix_length=st.integers(2, 16),
    continuation_length=st.integers(1, 16),
    batch_size=st.integers(1, 8),
    tile=st.integers(1, 70),
    seed=st.integers(0, 2**16),
)
def test_random_models_recite_as_far_as_greedy_decoding_says(
    architecture, rows, prefix_length, continuation_length, batch_size, tile, seed
):
    model = random_model(architecture, seed % 3)
    token_ids = paragraphs_that_follow_the_model(model, rows, prefix_length + continuation_length, prefix_length, seed)
    scores = score_paragraphs(model, token_ids, prefix_length, batch_size=batch_size, tile=tile).paragraphs
    expected = expected_matches(model, token_ids, prefix_length)
    assert scores["exact_match"].to_list() == expected
    assert scores["is_memorized"].to_list() == [match == continuation_length for match in expected]
    diverged = [None if match == continuation_length else prefix_length + match for match in expected]
    assert scores["divergence_position"].to_list() == diverged


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("prefix_length", [4, 12])
def test_trained_models_recite_as_far_as_greedy_decoding_says(architecture, prefix_length):
    model, paragraphs = reciting_model(architecture)
    scores = score_paragraphs(model, paragraphs, prefix_length, batch_size=5).paragraphs
    assert scores["exact_match"].to_list() == expected_matches(model, paragraphs, prefix_length)
    assert 1 <= scores["is_memorized"].sum() <= 8, "the fixture must recite some of what it was shown and nothing else"


@settings(max_examples=20, deadline=None)
@given(architecture=st.sampled_from(ARCHITECTURES), batch_size=st.integers(1, 9), seed=st.integers(0, 2**16))
def test_generations_equal_greedy_decoding(architecture, batch_size, seed):
    model = random_model(architecture, seed % 3)
    token_ids = paragraphs_that_follow_the_model(model, 6, 24, 10, seed)
    match = score_paragraphs(model, token_ids, 10).paragraphs["exact_match"]
    frame = generate_continuations(model, token_ids, match, 10, batch_size=batch_size)
    expected = greedy(model, token_ids[:, :10], 14)
    assert frame["row"].to_list() == [row for row, count in enumerate(match) if count < 14]
    for row, generated in zip(frame["row"], frame["generated_ids"].to_list(), strict=True):
        assert generated == expected[row].tolist() or is_tie(
            model, token_ids[row, :10], generated, expected[row].tolist()
        )


def is_tie(model, prefix, generated, expected) -> bool:
    """Whether the two first part where rounding decides: an example had two logits equal to seven digits."""
    parting = next(i for i, (ours, theirs) in enumerate(zip(generated, expected, strict=True)) if ours != theirs)
    context = torch.cat([prefix, torch.tensor(expected[:parting], dtype=torch.long)])[None]
    with torch.inference_mode():
        logits = model(input_ids=context).logits[0, -1]
    return abs(float(logits[generated[parting]] - logits[expected[parting]])) < 2e-6 * float(logits.abs().max())


def test_a_single_token_is_a_prefix():
    model, prefixes = random_model(ARCHITECTURES[0], 0), random_paragraphs(5, 1, 3)
    assert greedy_continuations(model, prefixes, 4).tolist() == greedy(model, prefixes, 4).tolist()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_greedy_continuations_do_not_depend_on_the_batch(architecture):
    model, paragraphs = reciting_model(architecture)
    expected = greedy(model, paragraphs[:, :6], 18).numpy()
    for batch_size in (1, 5, 64):
        np.testing.assert_array_equal(greedy_continuations(model, paragraphs[:, :6], 18, batch_size), expected)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_column_equals_the_formula_on_full_float64_logits(architecture):
    model, paragraphs = reciting_model(architecture)
    scores = score_paragraphs(model, paragraphs, 12, batch_size=7, tile=10, texts_bytes=[50] * 16)
    with torch.inference_mode():
        logits = model(input_ids=paragraphs[:, :-1]).logits.double()
    table = logits.log_softmax(-1)
    own = table.gather(2, paragraphs[:, 1:, None])[..., 0]
    top = logits.topk(2, dim=-1)
    probability = table.exp()
    mean = (probability * table).sum(-1)
    deviation = ((probability * table.square()).sum(-1) - mean.square()).sqrt()
    lowest = own.sort(dim=1).values[:, :4].mean(1)  # 20 % of 23 positions
    standardised = ((own - mean) / deviation).sort(dim=1).values[:, :4].mean(1)
    expected = {
        "continuation_nll_nats": -own[:, 11:].mean(1),
        "prefix_nll_nats": -own[:, :11].mean(1),
        "continuation_logprob_nats": own[:, 11:].sum(1),
        "min_k20_nats": lowest,
        "min_k_plus_plus": standardised,
        "window_nll_nats": -own.mean(1),
        "zlib_ratio": -own.mean(1) / 50,
    }
    for name, values in expected.items():
        np.testing.assert_allclose(
            scores.paragraphs[name].to_numpy(), values.numpy(), rtol=2e-4, atol=2e-5, err_msg=name
        )
    by_token = {"nll_nats": -own, "entropy_nats": -mean, "margin": top.values[..., 0] - top.values[..., 1]}
    for name, values in by_token.items():
        ours = scores.tokens[name].to_numpy().reshape(16, 23)
        np.testing.assert_allclose(ours, values.numpy(), rtol=2e-4, atol=2e-5, err_msg=name)
    np.testing.assert_array_equal(scores.tokens["argmax_id"].to_numpy().reshape(16, 23), top.indices[..., 0].numpy())


def test_the_same_shard_gives_the_same_bits_and_batches_change_nothing_that_can_be_seen():
    model, paragraphs = reciting_model("gpt_neo")
    one, two = (score_paragraphs(model, paragraphs, 12, batch_size=4) for _ in range(2))
    assert one.paragraphs.equals(two.paragraphs)
    assert one.tokens.equals(two.tokens)
    other = score_paragraphs(model, paragraphs, 12, batch_size=16, tile=33)
    np.testing.assert_allclose(other.tokens["nll_nats"], one.tokens["nll_nats"], rtol=1e-4, atol=1e-5)
    assert other.paragraphs["exact_match"].equals(one.paragraphs["exact_match"])
