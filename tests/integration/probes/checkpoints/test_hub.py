"""Checkpoints of a hub that is really asked: the huggingface_hub client against a server on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from probes.checkpoints import hub as client
from probes.checkpoints.hub import pinned_revision, resolve_folder
from probes.checkpoints.inspect import inspect_checkpoint
from probes.checkpoints.load import load_model
from probes.errors import ProbeError
from tests.support.checkpoints.hub_server import NOWHERE, Hub, point_client_at, serving, silence
from tests.support.checkpoints.published_layouts import publish, rewrite

NAME = "someone/pythia-1m"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return publish("pythia", tmp_path_factory.mktemp("hub") / "pythia")


@pytest.fixture
def hub(folder, tmp_path, monkeypatch):
    with serving(Hub()) as served:
        served.repository(NAME).push(folder)
        point_client_at(monkeypatch, served.url, tmp_path / "cache")
        yield served


def other_weights(folder: Path, tmp_path: Path) -> Path:
    return publish("pythia", tmp_path / "pushed", seed=1)


def test_a_model_by_id_is_that_of_its_files(hub, folder):
    commit = pinned_revision(NAME)
    assert commit == hub.repository(NAME).branches["main"]
    ids = torch.randint(0, 100, (2, 20), generator=torch.Generator().manual_seed(0))
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype="float32", attn_implementation="eager")
    assert torch.equal(load_model(NAME, commit, device="cpu")(ids).logits, theirs(ids).logits)


def test_a_commit_is_fetched_once_and_then_nobody_is_asked(hub):
    commit = pinned_revision(NAME)
    resolve_folder(NAME, commit)
    assert len(hub.bodies_of("model.safetensors")) == 1
    hub.asked.clear()
    for _ in range(3):
        load_model(NAME, commit, device="cpu")
        inspect_checkpoint(NAME, commit)
    assert hub.asked == []


def test_a_branch_that_moves_does_not_move_what_is_pinned(hub, folder, tmp_path):
    before = pinned_revision(NAME)
    ours = resolve_folder(NAME, before)
    hub.repository(NAME).push(other_weights(folder, tmp_path))
    assert resolve_folder(NAME, before) == ours
    after = pinned_revision(NAME)
    assert after != before and resolve_folder(NAME, after) != ours


def test_a_step_branch_and_a_tag(hub, folder, tmp_path):
    commit = hub.repository(NAME).push(other_weights(folder, tmp_path), "step3000")
    hub.repository(NAME).tags["v1/final"] = commit
    assert pinned_revision(NAME, "step3000") == pinned_revision(NAME, "v1/final") == commit


def test_without_a_network_the_cache_answers(hub, tmp_path, monkeypatch):
    commit = pinned_revision(NAME)
    resolve_folder(NAME, commit)
    point_client_at(monkeypatch, NOWHERE, tmp_path / "cache")
    assert pinned_revision(NAME) == commit
    assert resolve_folder(NAME, commit).is_dir()


def test_pickles_and_other_copies_are_not_fetched(hub, folder, tmp_path):
    pushed = publish("pythia", tmp_path / "more")
    for name in ("pytorch_model.bin", "consolidated.safetensors", "onnx/config.json", "README.md"):
        (pushed / name).parent.mkdir(exist_ok=True)
        (pushed / name).write_bytes(b"{}")
    hub.repository(NAME).push(pushed)
    found = {path.name for path in resolve_folder(NAME, pinned_revision(NAME)).rglob("*")}
    assert found == {"config.json", "model.safetensors", "vocab.json", "merges.txt"}


def said(door, *given) -> str:
    with pytest.raises(ProbeError) as refused:
        door(*given)
    sentence = str(refused.value)
    assert sentence.endswith(".") and "\n" not in sentence
    return sentence


def test_what_the_hub_refuses_is_one_sentence(hub):
    hub.locked.add("someone/private")
    assert "no such repository" in said(pinned_revision, "someone/nothing")
    assert "401" in said(pinned_revision, "someone/private")
    assert "no such revision" in said(pinned_revision, NAME, "step7")
    assert "401" in said(resolve_folder, "someone/private")


def test_no_network_and_nothing_in_the_cache_is_one_sentence(tmp_path, monkeypatch):
    point_client_at(monkeypatch, NOWHERE, tmp_path / "cache")
    assert "network" in said(pinned_revision, NAME)
    assert "network" in said(resolve_folder, NAME)


def test_a_broken_transfer_is_one_sentence_and_the_next_try_goes_on(hub):
    commit = pinned_revision(NAME)
    hub.broken.add("model.safetensors")
    assert "the connection broke off" in said(resolve_folder, NAME, commit)
    hub.broken.clear()
    inspect_checkpoint(NAME, commit)


def test_a_revision_without_safetensors_is_one_sentence(hub, tmp_path):
    pickled = publish("pythia", tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    commit = hub.repository(NAME).push(pickled, "step0")
    assert f"choose another revision of {NAME}" in said(inspect_checkpoint, NAME, commit)


def test_a_nan_in_what_was_pushed_later_is_not_seen_in_what_was_pinned(hub, folder, tmp_path):
    from probes.checkpoints.inspect import refuse_non_finite_weights

    commit = pinned_revision(NAME)
    pushed = publish("pythia", tmp_path / "spoiled")
    name = "gpt_neox.final_layer_norm.weight"
    rewrite(pushed, lambda tensors: tensors | {name: torch.full((32,), torch.nan).half()})
    hub.repository(NAME).push(pushed)
    refuse_non_finite_weights(NAME, commit)
    assert "NaN" in said(refuse_non_finite_weights, NAME, pinned_revision(NAME))


def test_a_hub_that_never_answers_is_called_once(hub, tmp_path, monkeypatch):
    commit = pinned_revision(NAME)
    resolve_folder(NAME, commit)
    monkeypatch.setattr(client, "REACH_SECONDS", 0.3)
    with silence() as (url, calls):
        point_client_at(monkeypatch, url, tmp_path / "cache")
        assert pinned_revision(NAME) == pinned_revision(NAME, "main") == commit
        assert resolve_folder(NAME, commit).is_dir()
        for revision in ("step3", "0" * 40):
            with pytest.raises(ProbeError, match="cannot be reached, and the files are not all in the local cache"):
                resolve_folder(NAME, revision)
    assert len(calls) == 1  # the client alone calls six times in each of these, for ten seconds and more at a time


def test_without_a_network_and_with_nothing_at_hand_there_is_one_call(tmp_path, monkeypatch):
    monkeypatch.setattr(client, "REACH_SECONDS", 0.3)
    with silence() as (url, calls):
        point_client_at(monkeypatch, url, tmp_path / "cache")
        for revision in (None, "main", "0" * 40):
            with pytest.raises(ProbeError, match="cannot be reached, and the files are not all in the local cache"):
                resolve_folder(NAME, revision)
        with pytest.raises(ProbeError, match="cannot be reached"):
            pinned_revision(NAME)
    assert len(calls) == 1


def test_a_hub_that_was_silent_is_asked_again_later(hub, monkeypatch):
    monkeypatch.setattr(client, "SILENT_SINCE", {hub.url: -1e9})
    assert pinned_revision(NAME) == hub.repository(NAME).branches["main"]
