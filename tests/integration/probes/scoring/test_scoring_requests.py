"""Requests that cannot be met are refused with one sentence before any work starts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from probes.errors import ProbeError
from probes.scoring.generation import generate_continuations, greedy_continuations
from probes.scoring.screening import screen_paragraphs
from probes.scoring.teacher_forced import NonFiniteScore, score_paragraphs
from tests.support.models.scoring_models import VOCABULARY, random_model, random_paragraphs


@pytest.fixture(scope="module")
def model():
    return random_model("gpt_neo")


@pytest.fixture
def untouchable(model, monkeypatch):
    """A model that fails the test when it is run: refusals must come before any work."""
    monkeypatch.setattr(model, "forward", lambda *_, **__: pytest.fail("the model was run"))
    monkeypatch.setattr(model.base_model, "forward", lambda *_, **__: pytest.fail("the model was run"))
    return model


GOOD = random_paragraphs(3, 20, 0)


def with_id(value: int) -> torch.Tensor:
    spoiled = GOOD.clone()
    spoiled[2, 7] = value
    return spoiled


@pytest.mark.parametrize(
    ("token_ids", "prefix_length", "says"),
    [
        (GOOD[:, :10], 10, "10 tokens, but the prefix of 10"),
        (GOOD[:, :0], 10, "0 tokens"),
        (with_id(VOCABULARY), 10, f"paragraph 2 has token id {VOCABULARY} at position 7"),
        (with_id(-1), 10, "token id -1"),
        (random_paragraphs(2, 66, 0), 32, "65 tokens into the model, but its context is 64"),
        (GOOD.float(), 10, "give integers"),
        (GOOD.numpy().astype(bool), 10, "give integers"),
        (GOOD[0], 10, "1 axes"),
        ([[1, 2, 3], [1, 2]], 2, "different lengths"),
        ([["a", "b", "c"]], 2, "give integers"),
        (GOOD, 1, "needs to be at least 2"),
        (GOOD, -3, "needs to be at least 2"),
    ],
)
def test_what_is_no_paragraph_is_refused(untouchable, token_ids, prefix_length, says):
    with pytest.raises(ProbeError, match=says) as refusal:
        score_paragraphs(untouchable, token_ids, prefix_length)
    assert str(refusal.value).endswith((".", "?"))
    assert "\n" not in str(refusal.value)


def test_settings_that_make_no_sense_are_refused(untouchable):
    for setting in ({"batch_size": 0}, {"tile": 0}, {"texts_bytes": [1, 2]}, {"texts_bytes": [1, 2, 0]}):
        with pytest.raises(ProbeError):
            score_paragraphs(untouchable, GOOD, 10, **setting)


def test_a_window_that_just_fits_is_measured(model):
    scores = score_paragraphs(model, random_paragraphs(2, 65, 0), 32)
    assert scores.tokens.height == 2 * 64


def test_generation_refuses_what_does_not_fit(untouchable):
    for request in (
        lambda: generate_continuations(untouchable, GOOD, [0, 0], 10),
        lambda: generate_continuations(untouchable, GOOD, [0, 0, 11], 10),
        lambda: generate_continuations(untouchable, GOOD, [0, 0, -1], 10),
        lambda: generate_continuations(untouchable, GOOD, [0.5, 0, 0], 10),
        lambda: greedy_continuations(untouchable, GOOD, 0),
        lambda: greedy_continuations(untouchable, GOOD, 60),
        lambda: greedy_continuations(untouchable, with_id(VOCABULARY), 5),
        lambda: greedy_continuations(untouchable, GOOD, 5, batch_size=0),
    ):
        with pytest.raises(ProbeError):
            request()


@pytest.fixture
def capped():
    """A family that caps attention and logits, so tightly that it shows."""
    import transformers

    shape = {"vocab_size": 97, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "head_dim": 8}
    shape |= {"num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 64}
    ids = {"bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
    config = transformers.Gemma2Config(
        **shape, **ids, initializer_range=1.0, final_logit_softcapping=5.0, attn_logit_softcapping=2.0
    )
    return (
        transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval().requires_grad_(False)
    )


def test_a_family_that_caps_attention_and_logits_is_scored_as_transformers_does(capped):
    scores = score_paragraphs(capped, GOOD, 10).paragraphs
    labels = torch.as_tensor(GOOD).clone()
    labels[:, :10] = -100
    losses = [float(capped(torch.as_tensor(GOOD)[[row]], labels=labels[[row]]).loss) for row in range(len(GOOD))]
    np.testing.assert_allclose(scores["continuation_nll_nats"], losses, rtol=1e-5, atol=1e-5)


def test_a_model_that_does_something_else_to_its_logits_is_refused(capped):
    """A tenth on one logit of the last token only, where four tokens would not have shown it."""

    def nudge(_module, _inputs, output):
        output.logits[:, -1, 3] += 0.1
        return output

    capped.register_forward_hook(nudge)
    for measure in (score_paragraphs, screen_paragraphs):
        with pytest.raises(ProbeError, match="changes its logits after the output head"):
            measure(capped, GOOD, 10)


def test_no_paragraphs_give_empty_frames_with_all_columns(model):
    some, none = (score_paragraphs(model, ids, 10) for ids in (GOOD, GOOD[:0]))
    assert none.paragraphs.height == none.tokens.height == 0
    assert none.paragraphs.schema == some.paragraphs.schema
    assert none.tokens.schema == some.tokens.schema
    frames = [generate_continuations(model, ids, [0] * len(ids), 10) for ids in (GOOD, GOOD[:0])]
    assert frames[0].schema == frames[1].schema


@pytest.mark.parametrize("kind", [np.uint16, np.uint32, np.int32, np.int64])
def test_arrays_as_they_lie_on_disk_are_read(model, kind):
    expected = score_paragraphs(model, GOOD, 10)
    assert score_paragraphs(model, GOOD.numpy().astype(kind), 10).tokens.equals(expected.tokens)


def test_a_nan_names_its_row(model):
    spoiled = random_model("gpt_neo")
    ids = GOOD.clone()
    ids[ids == 5] = 6
    ids[1, 15] = 5
    spoiled.transformer.wte.weight[5, 0] = torch.nan
    spoiled.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.clone(), requires_grad=False)
    for batch_size in (1, 2, 32):
        with pytest.raises(NonFiniteScore, match="paragraph 1;") as refusal:
            score_paragraphs(spoiled, ids, 10, batch_size=batch_size)
        assert refusal.value.row == 1


def test_frames_have_the_columns_and_types_of_the_registry(model):
    import polars as pl

    from warehouse.registry import TABLES

    ids_and_text = {"checkpoint_id", "paragraph_id", "generated_text"}
    scores = score_paragraphs(model, GOOD, 10, texts_bytes=[9, 9, 9])
    frames = {
        "scores": scores.paragraphs,
        "token_scores": scores.tokens,
        "generations": generate_continuations(model, GOOD, [0, 1, 2], 10),
    }
    for name, frame in frames.items():
        for column in TABLES[name].columns:
            if column.name in ids_and_text:
                continue
            empty = pl.DataFrame(TABLES[name].arrow_schema.empty_table())
            assert frame.schema[column.name] == empty.schema[column.name], column.name
            assert column.nullable or frame[column.name].null_count() == 0
