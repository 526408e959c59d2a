"""Stages on engines: the profile or the asset chooses where shards run, and the tables do not show it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest
import torch

from assets.framework.errors import RequestError
from assets.framework.profile import EngineProfile, load_profile
from assets.framework.stage import Scope
from assets.framework.workers import engine_settings
from assets.stages import CHECKPOINT_STAGES
from orchestration.definitions import build_definitions
from probes.checkpoints import load
from tests.support import scoring_homes
from tests.support.models.scoring_models import greedy
from warehouse.catalog.queries import query
from warehouse.home import Home

SPREAD = [stage for stage in CHECKPOINT_STAGES if stage.spreads]
LIMIT_S = 240.0
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (extra `ray`)")


READS: list[str] = []


def _counted(function):
    """`function`, with a note of what was read."""

    def _noting(source, *values, **options):
        READS.append(Path(source).name)
        return function(source, *values, **options)

    return _noting


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """Folder with a finished home over a Llama and a GPT-NeoX checkpoint, 32 + 32 tokens."""
    root = tmp_path_factory.mktemp("families")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load, "load_model", _counted(load.load_model))
        outcome = scoring_homes.families_home(root)
    assert not outcome.failed, outcome.failed
    assert [step.checkpoint_id for step in outcome.done] == [*sorted(scoring_homes.FAMILIES), None]
    return root


@pytest.fixture(scope="module")
def measured(home) -> Scope:
    """The Llama checkpoint of that home."""
    return Scope(Home(home / "home"), load_profile(str(home / "families.toml")), "llama")


def test_stages_of_a_run_share_one_model(home):
    """Some dozen stages ask for each checkpoint; only the scan of the profile's documents reads it once for itself."""
    assert {name: READS.count(name) for name in scoring_homes.FAMILIES} == dict.fromkeys(scoring_homes.FAMILIES, 2)


@pytest.mark.parametrize("family", scoring_homes.FAMILIES)
def test_other_families_and_windows_pass_through_the_whole_flow(measured, family):
    """32 + 32 tokens; exact match equals transformers' own greedy decoding, and every stage has its rows."""
    from transformers import AutoModelForCausalLM

    scope = Scope(measured.home, measured.profile, family)
    rows = scope.read("scores").join(scope.read("paragraphs"), on="paragraph_id", maintain_order="left")
    ids = torch.tensor(rows["token_ids"].to_list())
    model = AutoModelForCausalLM.from_pretrained(scope.read("checkpoints")["source"][0])
    written = greedy(model, ids[:, :32], 32)
    assert rows["exact_match"].to_list() == (written == ids[:, 32:]).long().cumprod(1).sum(1).tolist()
    assert rows["is_memorized"].sum() >= 6
    generated = scope.read("generations").join(rows, on="paragraph_id").select("generated_ids", "token_ids")
    again = greedy(model, torch.tensor(generated["token_ids"].to_list())[:, :32], 32)
    assert generated["generated_ids"].to_list() == again.tolist()
    for stage in CHECKPOINT_STAGES:
        assert all(scope.store(name).is_readable(family) for name in stage.tables)


def test_extractability_at_each_context_is_what_greedy_decoding_gives(measured):
    from transformers import AutoModelForCausalLM

    ids = torch.tensor(measured.read("paragraphs")["token_ids"].to_list())
    model = AutoModelForCausalLM.from_pretrained(measured.read("checkpoints")["source"][0])
    names = measured.read("paragraphs").select("paragraph_id")
    for context in (6, 16, 32):
        found = measured.read("extractability").filter(pl.col("context_length") == context)
        found = names.join(found, on="paragraph_id", how="left", maintain_order="left")
        written = greedy(model, ids[:, 32 - context : 32], 32)
        assert found["exact_match"].to_list() == (written == ids[:, 32:]).long().cumprod(1).sum(1).tolist()
        assert found["is_extractable"].to_list() == (found["exact_match"] == 32).to_list()


def test_marts_of_extraction_agree_with_a_plain_count(measured):
    expected = measured.read("extractability").group_by("context_length").agg(pl.col("is_extractable").mean())
    found = query(measured.home, "SELECT * FROM extractability_by_context WHERE checkpoint_id = 'llama'")
    clusters = measured.read("paragraphs")["near_duplicate_cluster"].n_unique()
    assert found["cluster_count"].to_list() == [clusters] * 3
    assert clusters == 24, "the plain mean below is that of clusters only when each paragraph is one"
    assert dict(found.select("context_length", "extractable_share").iter_rows()) == pytest.approx(
        dict(expected.iter_rows())
    )
    assert (found["lower"] <= found["extractable_share"]).all()
    assert (found["upper"] >= found["extractable_share"]).all()
    logprob = measured.read("scores")["continuation_logprob_nats"].to_numpy()
    wanted = np.mean(1 - (1 - np.exp(logprob)) ** 1000 >= 0.5)
    text = (
        "SELECT discoverable_share FROM discoverable_extraction WHERE checkpoint_id = 'llama' AND sample_count = 1000"
    )
    assert query(measured.home, f"{text} AND probability = 0.5")["discoverable_share"].to_list() == [wanted]
    flips = query(measured.home, "SELECT dtype, paragraph_count, flip_share FROM half_precision_flips")
    assert flips.rows() == [("float32", 24, 0.0)] * len(scoring_homes.FAMILIES)


def contents(scope: Scope) -> dict[str, str | None]:
    """Hashes over the rows of what the scoring stage writes."""
    return {name: scope.content(name) for name in ("scores", "token_scores", "scoring_precision")}


def test_the_stages_that_run_a_model_can_be_spread():
    names = {stage.name for stage in SPREAD}
    assert names >= {
        "scores", "extractability", "generations", "perturbations", "head_attention", "parameter_gradients",
        "interventions", "patching", "continuation_attention",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["local", pytest.param("ray", marks=needs_ray)])
def test_two_workers_one_of_which_is_killed_write_the_parts_that_one_process_writes(
    home, measured, tmp_path, monkeypatch, kind
):
    """The worker of the first shard dies in the middle of it; another takes the shard over."""
    monkeypatch.setenv(scoring_homes.DIE_ONCE, str(tmp_path / "died"))
    config = {"kind": kind, "workers": 2, "threads": torch.get_num_threads(), "shard_limit_s": LIMIT_S}
    copy = scoring_homes.rescored(
        measured,
        tmp_path / "home",
        home / "families.toml",
        config | {"cpus_per_worker": 0.5},
        scoring_homes.mortal_scores,
    )
    assert (tmp_path / "died").exists()
    assert contents(copy) == contents(measured)
    assert len(copy.store("scores").files("llama")) == 3


def test_the_launchpad_offers_the_settings_and_refuses_others():
    job = build_definitions().resolve_job_def("checkpoint")
    good = {"ops": {"scores_stage": {"config": {"kind": "ray", "workers": 3, "threads": None}}}}
    assert dg.validate_run_config(job, good)
    with pytest.raises(dg.DagsterInvalidConfigError, match="wokers"):
        dg.validate_run_config(job, {"ops": {"scores_stage": {"config": {"wokers": 3}}}})


def test_the_assets_configuration_goes_over_the_profiles():
    settings = engine_settings(EngineProfile(workers=2, threads=1), {"workers": 3, "shard_limit_s": 5.0})
    assert (settings.workers, settings.threads_per_worker, settings.shard_limit_s) == (3, 1, 5.0)
    assert engine_settings(EngineProfile()).is_this_process


@pytest.mark.parametrize("override", [{"kind": "spark"}, {"workers": 0}, {"attempts": 0}, {"shard_limit_s": -1.0}])
def test_an_engine_that_makes_no_sense_is_refused_with_one_sentence(override):
    with pytest.raises(RequestError, match=f"the engine's {next(iter(override))} is wrong") as refusal:
        engine_settings(EngineProfile(), override)
    assert "\n" not in str(refusal.value)


def test_a_missing_ray_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"pip install rarecall\[ray\]"):
        engine_settings(EngineProfile(kind="ray"))


def test_the_engine_is_not_part_of_what_a_table_is_made_from(measured):
    elsewhere = measured.profile.model_copy(update={"engine": EngineProfile(kind="ray", workers=7)})
    assert all(stage.is_current(Scope(measured.home, elsewhere, measured.checkpoint_id)) for stage in SPREAD)


def test_contexts_longer_than_the_prefix_are_refused(tmp_path):
    text = '[corpus]\ncorpus_id = "c"\nsource = "s"\n[probes]\ncontext_lengths = [10, 60]\n'
    (tmp_path / "p.toml").write_text('name = "p"\n' + text)
    with pytest.raises(RequestError, match=r"context_lengths must lie in 1..50"):
        load_profile(str(tmp_path / "p.toml"))


def test_half_precision_gives_the_exact_matches_of_float32_and_says_what_it_cost(measured):
    from assets.memorization.stages import scores

    probes = measured.profile.probes.model_copy(update={"dtype": "bfloat16"})
    halved = Scope(measured.home, measured.profile.model_copy(update={"probes": probes}), "gpt_neox")
    frames = [scores.shards_of(halved).compute(shard) for shard in (0, 2)]
    found = pl.concat([frame["scores"] for frame in frames])
    exact = Scope(measured.home, measured.profile, "gpt_neox").read("scores")
    known = found.select("paragraph_id").join(exact, on="paragraph_id", maintain_order="left")
    assert found["exact_match"].to_list() == known["exact_match"].to_list()
    facts = pl.concat([frame["scoring_precision"] for frame in frames])
    assert facts["shard"].to_list() == [0, 2]
    assert facts["dtype"].to_list() == ["bfloat16"] * 2
    assert facts["margin_bound"].n_unique() == 1 and facts["margin_bound"][0] > 0
    assert facts["rescored_count"].sum() == found["is_rescored"].sum() > 0


def test_a_nan_names_checkpoint_and_paragraph(measured):
    from assets.memorization.stages import Scorer
    from probes.errors import ProbeError

    scorer, rows = Scorer(measured), measured.read("paragraphs").head(3)
    read = [set(ids[:-1]) for ids in rows["token_ids"].to_list()]
    spoiled = min(read[1] - read[0] - read[2])
    scorer.model().get_input_embeddings().weight[spoiled] = float("nan")
    with pytest.raises(ProbeError, match=f"checkpoint llama .* of paragraph {rows['paragraph_id'][1]};"):
        scorer.score(rows)
