"""The three ways to scan against transformers' own decoding, and what they find of a planted stretch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from probes.errors import ProbeError
from probes.scan import ScanModels, scan_range
from probes.scan.anchored import anchored_scores
from probes.scan.passages import finder_recall, merged, recited_starts
from probes.scan.windows import exact_scores
from tests.support.models.scan_models import FIRST, PLAN, STOP, TOKENS, planted_text
from tests.support.models.scoring_models import greedy, random_model, reciting_model


def leading(written, truth):
    return (written == truth).long().cumprod(dim=1).sum(dim=1).tolist()


@pytest.mark.parametrize("architecture", ["llama", "gpt_neo"])
def test_exact_match_of_every_start_is_that_of_generate(architecture):
    world = planted_text(architecture)
    frame = scan_range(world.models, world.ids, 0, TOKENS, replace(PLAN, method="exact"))
    windows = torch.from_numpy(PLAN.windows(world.ids, frame["position"].to_numpy()))
    assert frame["position"].to_list() == list(range(8, TOKENS - 7))
    assert frame["exact_match"].to_list() == leading(greedy(world.model, windows[:, :8], 8), windows[:, 8:])
    assert frame["is_memorized"].sum() > 20


def test_log_probability_and_entropy_are_those_of_the_whole_distribution():
    world, starts = planted_text(), np.array([20, 110, 147, 200])
    frame = exact_scores(world.models, world.ids, starts, PLAN)
    windows = torch.from_numpy(PLAN.windows(world.ids, starts))
    logp = world.model(windows).logits.double().log_softmax(dim=-1)[:, 7:-1]
    truth = logp.gather(2, windows[:, 8:, None])[..., 0].sum(dim=1)
    entropy = -(logp.exp() * logp).sum(dim=-1).mean(dim=1)
    assert np.allclose(frame["continuation_logprob_nats"], truth, atol=1e-4)
    assert np.allclose(frame["entropy_nats"], entropy, atol=1e-4)


@pytest.mark.parametrize("architecture", ["llama", "gpt_neo", "gpt2"])
def test_screened_has_the_exact_match_of_exact(architecture):
    world = planted_text("llama" if architecture == "gpt2" else architecture)
    models = world.models if architecture != "gpt2" else ScanModels(random_model("gpt2"), lambda: random_model("gpt2"))
    exact, screened = (
        scan_range(models, world.ids, 60, 180, replace(PLAN, method=method)) for method in ("exact", "screened")
    )
    assert screened["exact_match"].to_list() == exact["exact_match"].to_list()
    assert screened["is_memorized"].to_list() == exact["is_memorized"].to_list()
    far = screened["exact_match"] >= PLAN.least
    both = screened.filter(far)["continuation_logprob_nats"] - exact.filter(far)["continuation_logprob_nats"]
    assert both.abs().max() is None or both.abs().max() < 1e-4
    assert screened.filter(~far)["continuation_logprob_nats"].null_count() == (~far).sum()


def test_a_row_of_the_anchored_pass_reads_every_start_as_generate_does_with_that_context():
    world = planted_text()
    frame = anchored_scores(world.model, world.ids, 95, 150, PLAN)
    assert frame["position"].to_list() == list(range(95, 150))
    assert frame["anchored_context_length"].to_list() == [8 + index % 20 for index in range(55)]
    for position, match, context in frame.select("position", "anchored_match", "anchored_context_length").iter_rows():
        ids = torch.from_numpy(world.ids[position - context : position + 8])[None]
        assert leading(greedy(world.model, ids[:, :context], 8), ids[:, context:]) == [match]
    first = frame.row(0, named=True)  # its context is that of its window
    own = exact_scores(world.models, world.ids, np.array([95]), PLAN).row(0, named=True)
    assert first["anchored_match"] == own["exact_match"]
    assert first["anchored_logprob_nats"] == pytest.approx(own["continuation_logprob_nats"], abs=1e-4)
    assert first["anchored_entropy_nats"] == pytest.approx(own["entropy_nats"], abs=1e-4)


@pytest.mark.parametrize("method", ["exact", "screened", "anchored"])
def test_every_way_finds_the_planted_stretch_and_nothing_else(method):
    world = planted_text()
    plan = replace(PLAN, method=method)
    frame = scan_range(world.models, world.ids, 0, TOKENS, plan)
    (passage,) = merged(recited_starts(frame, plan)).to_dicts()
    assert (passage["first_position"], passage["token_count"]) == (FIRST, STOP - FIRST)
    assert passage["longest_match"] == 8 and passage["start_count"] >= passage["memorized_start_count"] > 5
    assert passage["continuation_logprob_nats"] > -0.5


def test_the_finder_measures_few_windows_and_says_what_it_finds_of_a_sample():
    world = planted_text()
    frame = scan_range(world.models, world.ids, 0, TOKENS, PLAN)
    confirmed = frame.filter(way="confirmed")
    assert 0 < confirmed.height < 20
    assert set(frame.filter("is_sampled")["way"]) <= {"sampled", "confirmed"}
    assert frame.filter(way="anchored")["exact_match"].null_count() == frame.filter(way="anchored").height
    recall = finder_recall(frame, PLAN)
    assert recall["recall"] == 1.0 and recall["sampled_recited_count"] > 20


def test_a_model_that_recites_only_at_the_beginning_of_a_row_shows_in_the_recall():
    model, paragraphs = reciting_model("gpt_neo")
    models = ScanModels(model, lambda: model)
    ids = np.concatenate([paragraphs[8].numpy(), paragraphs[0].numpy(), paragraphs[9].numpy()])
    plan = replace(PLAN, row_starts=40)
    frame = scan_range(models, ids, 0, len(ids), plan)
    recited = frame.filter("is_memorized")
    assert 32 in recited["position"].to_list() and set(recited["way"]) == {"sampled"}
    assert finder_recall(frame, plan)["recall"] == 0.0


def test_ranges_put_together_are_the_whole():
    world = planted_text()
    whole = scan_range(world.models, world.ids, 0, TOKENS, PLAN)
    parts = [scan_range(world.models, world.ids, first, first + 80, PLAN) for first in (8, 88, 168, 248)]
    joined = parts[0].vstack(parts[1]).vstack(parts[2]).vstack(parts[3])
    assert joined["position"].to_list() == whole["position"].to_list()
    assert joined["anchored_match"].to_list() == whole["anchored_match"].to_list()
    assert merged(recited_starts(joined, PLAN)).select("first_position", "token_count").rows() == [(FIRST, 48)]


def test_rows_longer_than_the_context_become_shorter_and_windows_longer_than_it_are_refused():
    world = planted_text()  # its context is 64 tokens
    frame = anchored_scores(world.model, world.ids, 8, 100, replace(PLAN, row_starts=500))
    assert frame["anchored_context_length"].max() == 64 + 1 - 8
    with pytest.raises(ProbeError, match="context is 64"):
        scan_range(world.models, world.ids, 0, TOKENS, replace(PLAN, prefix_length=60))


def test_what_is_written_instead_is_compared_where_a_recital_breaks_off():
    world = planted_text()
    changed = world.ids.copy()
    changed[FIRST + 20] = (changed[FIRST + 20] + 1) % 97
    frame = scan_range(world.models, changed, FIRST, STOP, replace(PLAN, method="exact"))
    broken = frame.filter(frame["position"] == FIRST + 14).row(0, named=True)
    assert broken["exact_match"] == 6 and broken["token_accuracy"] == 7 / 8 and broken["rouge_l"] == 7 / 8
