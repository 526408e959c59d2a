"""A run over step branches of a hub: registered by commit, fetched once, whatever is pushed in the middle."""

from __future__ import annotations

import json
import sysconfig
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from assets.checkpoints.stages import inspect_registered, registered_source
from assets.corpus.tokenizers import PIN, load_corpus_tokenizer, tokenizer_place
from assets.framework.profile import load_profile
from assets.framework.stage import Scope
from orchestration.cli.main import app
from orchestration.run.runner import register_profile_checkpoints
from orchestration.sources.arrivals import look_for_arrivals
from orchestration.sources.hub import HubSource
from probes.checkpoints.inspect import weights_sha256
from probes.checkpoints.load import load_model
from tests.support.checkpoints.hub_server import Hub, point_client_at, serving
from tests.support.checkpoints.published_layouts import LAYOUTS, edit_config, rewrite
from tests.support.scoring_homes import PROFILE, make_corpus
from warehouse.home import Home
from warehouse.registrations import registered

NAME = "someone/pythia-1m"


@pytest.fixture(scope="module")
def pushed(tmp_path_factory) -> Path:
    """Two checkpoints of one series in Pythia's layout, with the tokenizer of the corpus and rows to spare."""
    from transformers import AutoModelForCausalLM

    from corpus_stats.tokens.tokenizer import train_tokenizer

    root = tmp_path_factory.mktemp("pushed")
    text = (Path(sysconfig.get_path("stdlib")) / "argparse.py").read_text(encoding="utf-8")[:30_000]
    (root / "texts").mkdir()
    (root / "texts" / "0.txt").write_text(text)
    tokenizer = train_tokenizer([text], 400)
    tokenizer.save_pretrained(root / "tokenizer")
    for seed in range(2):
        torch.manual_seed(seed)
        config = LAYOUTS["pythia"].config()
        config.vocab_size = len(tokenizer) + 24
        AutoModelForCausalLM.from_config(config).save_pretrained(root / f"step{seed}")
        rewrite(root / f"step{seed}", LAYOUTS["pythia"].weights)
        edit_config(root / f"step{seed}", LAYOUTS["pythia"].config_json)
        tokenizer.save_pretrained(root / f"step{seed}")
    return root


@pytest.fixture
def hub(pushed, tmp_path, monkeypatch):
    with serving(Hub()) as served:
        served.repository(NAME).push(pushed / "step0", "main")
        served.repository(NAME).push(pushed / "step0", "step3000")
        point_client_at(monkeypatch, served.url, tmp_path / "cache")
        yield served


def profile_of(pushed: Path, tmp_path: Path, checkpoints: str) -> Path:
    file = tmp_path / "profile.toml"
    names = {"source": pushed / "texts", "tokenizer": pushed / "tokenizer"}
    file.write_text(PROFILE.format(checkpoints=checkpoints, **names))
    return file


def test_a_push_in_the_middle_of_a_run_changes_nothing(hub, pushed, tmp_path):
    """What every stage does, one after the other: registration, inspection, loading."""
    file = profile_of(pushed, tmp_path, f'"{NAME}@step3000"')
    scope = Scope(Home(tmp_path / "home").prepare(), load_profile(str(file)), "someone--pythia-1m--step3000")
    commit = hub.repository(NAME).branches["step3000"]
    register_profile_checkpoints(scope)
    hub.repository(NAME).push(pushed / "step1", "step3000")
    register_profile_checkpoints(scope)
    facts = registered_source(scope)
    assert (facts["revision"], facts["branch"], facts["training_step"]) == (commit, "step3000", 3000)
    row = inspect_registered(scope)["checkpoints"].row(0, named=True)
    assert (row["revision"], row["weights_sha256"]) == (commit, weights_sha256(pushed / "step0"))
    assert len(hub.bodies_of("model.safetensors")) == 1
    hub.asked.clear()
    for _ in range(2):
        load_model(row["source"], row["revision"], device="cpu")
        inspect_registered(scope)
    assert hub.asked == []


def test_add_pins_and_says_what_run_would_refuse(hub, pushed, tmp_path, monkeypatch):
    monkeypatch.setenv("RARECALL_HOME", str(tmp_path / "home"))
    file = profile_of(pushed, tmp_path, "")
    add = ["checkpoints", "add", "--profile", str(file)]
    done = CliRunner().invoke(app, [*add, f"{NAME}@step3000"])
    assert done.exit_code == 0, done.output
    facts = registered(Home(tmp_path / "home"), "checkpoints")["someone--pythia-1m--step3000"]
    assert facts["revision"] == hub.repository(NAME).branches["step3000"]
    file.write_text(file.read_text().replace("continuation_length = 32", "continuation_length = 33"))
    refused = CliRunner().invoke(app, [*add, NAME])
    assert "at most" in str(refused.exception) and list(registered(Home(tmp_path / "home"), "checkpoints")) == [
        "someone--pythia-1m--step3000"
    ]


def test_the_watch_sees_step_branches_of_a_hub_and_a_branch_that_moves(hub, pushed, tmp_path):
    """The real client lists the revisions; each is registered at the commit it stood for when it was seen."""
    repository = hub.repository(NAME)
    repository.push(pushed / "step1", "step4000")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text("{}")
    repository.push(tmp_path / "empty", "step5000")
    scope = Scope(Home(tmp_path / "home").prepare(), load_profile(str(profile_of(pushed, tmp_path, ""))))
    look = look_for_arrivals(scope, [HubSource(NAME)])
    names = [f"someone--pythia-1m--step{step}" for step in (3000, 4000)]
    assert [arrival.checkpoint_id for arrival in look.arrivals] == names
    assert (
        len(look.passed_over) == 1
        and "step5000" in look.passed_over[0]
        and "no model.safetensors" in look.passed_over[0]
    )
    known = registered(scope.home, "checkpoints")
    before = {name: repository.branches[name.rpartition("--")[2]] for name in names}
    assert {name: known[name]["revision"] for name in names} == before
    assert [known[name]["training_step"] for name in names] == [3000, 4000]
    moved = repository.push(pushed / "step0", "step4000")
    look_for_arrivals(scope, [HubSource(NAME)])
    assert registered(scope.home, "checkpoints")[names[1]]["revision"] == moved != before[names[1]]
    only = look_for_arrivals(Scope(Home(tmp_path / "other").prepare(), scope.profile), [HubSource(NAME, steps=(4000,))])
    assert [arrival.checkpoint_id for arrival in only.arrivals] == [names[1]]


def test_the_tokenizer_of_a_corpus_is_fetched_once_and_stays_what_it_was(hub, pushed, tmp_path):
    hub.repository("someone/tokenizer").push(pushed / "tokenizer")
    file = profile_of(pushed, tmp_path, "")
    file.write_text(file.read_text().replace(str(pushed / "tokenizer"), "someone/tokenizer"))
    scope = Scope(Home(tmp_path / "home").prepare(), load_profile(str(file)))
    make_corpus(scope, file)
    copy = scope.corpus_folder() / "tokenizer"
    assert json.loads((copy / PIN).read_text())["revision"] == hub.repository("someone/tokenizer").branches["main"]
    assert scope.read("tokenizers")["source"][0] == "someone/tokenizer"
    assert hub.bodies_of("tokenizer.json") == [hub.bodies_of("tokenizer.json")[0]]
    hub.repository("someone/tokenizer").push(pushed / "step1")
    hub.asked.clear()
    assert tokenizer_place(scope, "someone/tokenizer") == str(copy)
    assert len(load_corpus_tokenizer(scope)) == 400 and hub.asked == []
