"""Checkpoint sources: what each offers, what it refuses and why, and that one bad source does not hide the others."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from assets.framework.errors import RequestError
from assets.framework.profile import Profile, WatchSettings, load_profile
from assets.framework.stage import Scope
from orchestration.run import runner
from orchestration.sources import arrivals, sources_of
from orchestration.sources.arrivals import look_for_arrivals
from orchestration.sources.folder import FolderSource
from orchestration.sources.hub import HubSource
from orchestration.sources.manifest import ManifestSource
from warehouse.home import Home
from warehouse.registrations import registered

PROFILE = {"name": "watching", "corpus": {"corpus_id": "library", "source": "python"}}
REPOSITORY = "EleutherAI/pythia-70m"


@pytest.fixture
def scope(tmp_path: Path) -> Scope:
    return Scope(Home(tmp_path / "home").prepare(), Profile.model_validate(PROFILE))


@pytest.fixture(scope="module")
def weights() -> bytes:
    import torch
    from safetensors.torch import save

    return save({"weight": torch.zeros(2, 3)})


def checkpoint(folder: Path, weights: bytes, seconds_ago: float = 60) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt_neo"}))
    (folder / "model.safetensors").write_bytes(weights)
    for file in folder.iterdir():
        os.utime(file, (time.time() - seconds_ago,) * 2)
    return folder


def test_manifest_lines_become_checkpoints(scope: Scope, tmp_path: Path, weights: bytes) -> None:
    checkpoint(tmp_path / "runs" / "neo-100", weights)
    checkpoint(tmp_path / "elsewhere" / "200", weights)
    lines = [
        {"source": "runs/neo-100"},
        {"checkpoint_id": "named", "source": str(tmp_path / "elsewhere/200"), "training_step": 7},
    ]
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"source": "half')
    look = look_for_arrivals(scope, [ManifestSource(manifest)])
    assert [arrival.checkpoint_id for arrival in look.arrivals] == ["neo-100", "named"] and look.passed_over == []
    known = registered(scope.home, "checkpoints")
    assert (known["neo-100"]["training_step"], known["named"]["training_step"]) == (100, 7)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "is no JSON"),
        ("[1]", "no `source`"),
        ('{"source": ""}', "no `source`"),
        ('{"source": "a", "color": 1}', "unknown key 'color'"),
        ('{"source": "a", "training_step": "9"}', "training_step that is no int"),
        ('{"source": "a", "training_step": true}', "training_step that is no int"),
        ("[" * 100_000, "is no JSON"),
    ],
)
def test_wrong_manifest_lines_are_named(tmp_path: Path, line: str, said: str) -> None:
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text(f'{{"source": "a"}}\n{line}\n')
    with pytest.raises(RequestError, match=f"line 2 of the manifest .*{said}"):
        ManifestSource(manifest).listed()


def test_a_source_that_cannot_be_read_does_not_hide_the_others(scope: Scope, tmp_path: Path, weights: bytes) -> None:
    checkpoint(tmp_path / "watched" / "neo-100", weights)
    look = look_for_arrivals(scope, [ManifestSource(tmp_path / "none.jsonl"), FolderSource(tmp_path / "watched")])
    assert [arrival.checkpoint_id for arrival in look.arrivals] == ["neo-100"]
    assert len(look.passed_over) == 1 and "none.jsonl" in look.passed_over[0]


def test_the_first_of_two_sources_keeps_a_name(scope: Scope, tmp_path: Path, weights: bytes) -> None:
    first, second = checkpoint(tmp_path / "a" / "neo-1", weights), checkpoint(tmp_path / "b" / "neo-1", weights)
    look = look_for_arrivals(scope, [FolderSource(first.parent), FolderSource(second.parent)])
    assert registered(scope.home, "checkpoints")["neo-1"]["source"] == str(first)
    assert "has one of that name" in look.passed_over[0]


@pytest.mark.parametrize("name", ["..", "../../escaped", "a/b", ".hidden", ""])
def test_manifest_names_cannot_leave_the_home(scope: Scope, tmp_path: Path, weights: bytes, name: str) -> None:
    folder = checkpoint(tmp_path / "real", weights)
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text(json.dumps({"checkpoint_id": name, "source": str(folder)}) + "\n")
    before = sorted(tmp_path.rglob("*"))
    look = look_for_arrivals(scope, [ManifestSource(manifest)])
    if name:
        assert look.arrivals == [] and "cannot be used as a name" in look.passed_over[0]
        assert sorted(tmp_path.rglob("*")) == before
    else:
        assert [arrival.checkpoint_id for arrival in look.arrivals] == ["real"]


@dataclass
class FakeHub:
    """Answers as huggingface_hub's HfApi does for one repository; notes what it was asked."""

    branches: dict[str, str]
    files: dict[str, int]
    last_byte: int = 90
    error: Exception | None = None
    asked: list[str] = field(default_factory=list)

    def list_repo_refs(self, repository: str) -> Any:
        self.asked.append("refs")
        if self.error:
            raise self.error
        refs = [SimpleNamespace(name=n, target_commit=c) for n, c in self.branches.items()]
        return SimpleNamespace(branches=refs, tags=[])

    def model_info(self, repository: str, revision: str, files_metadata: bool) -> Any:
        self.asked.append(f"info {revision}")
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=n, size=s) for n, s in self.files.items()])

    def get_safetensors_metadata(self, repository: str, revision: str) -> Any:
        tensors = {"weight": SimpleNamespace(data_offsets=(0, self.last_byte))}
        return SimpleNamespace(files_metadata={"model.safetensors": SimpleNamespace(tensors=tensors)})


WHOLE = {"config.json": 10, "model.safetensors": 100}


def hub(files: dict[str, int] | None = None, **more: Any) -> HubSource:
    fake = FakeHub({"main": "m", "step1000": "c1000", "step64": "c64", "step2": "c2"}, files or WHOLE, **more)
    return HubSource(REPOSITORY, steps=(64, 1000), api=fake)


def test_step_branches_arrive_in_order_pinned_to_their_commit(scope: Scope) -> None:
    look = look_for_arrivals(scope, [hub()])
    assert [(a.checkpoint_id, a.content) for a in look.arrivals] == [
        ("EleutherAI--pythia-70m--step64", "c64"),
        ("EleutherAI--pythia-70m--step1000", "c1000"),
    ]
    facts = registered(scope.home, "checkpoints")["EleutherAI--pythia-70m--step64"]
    assert facts == {"source": REPOSITORY, "training_step": 64, "corpus_id": "library", "revision": "c64"}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"model.safetensors": 100}, "no config.json"),
        ({"config.json": 10}, "no model.safetensors yet"),
        ({"config.json": 10, "pytorch_model.bin": 100}, "pickle"),
        ({"config.json": 10, "model.safetensors": 60}, "shorter than its header says"),
    ],
)
def test_incomplete_revisions_are_passed_over(scope: Scope, files: dict[str, int], said: str) -> None:
    look = look_for_arrivals(scope, [hub(files)])
    assert look.arrivals == [] and all(said in reason for reason in look.passed_over)
    assert registered(scope.home, "checkpoints") == {}


def test_a_moved_branch_is_rescored_and_a_resting_one_costs_no_request(
    scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_for_arrivals(scope, [hub()])
    monkeypatch.setattr(arrivals, "is_measured", lambda scope: True)
    source = hub()
    source.api.branches["step64"] = "moved"
    look = look_for_arrivals(scope, [source])
    assert [(a.checkpoint_id, a.content) for a in look.arrivals] == [("EleutherAI--pythia-70m--step64", "moved")]
    assert source.api.asked == ["refs", "info moved"]
    assert look.resting == ["EleutherAI--pythia-70m--step1000 is measured already."]


def test_an_unreachable_hub_is_one_sentence_without_the_token(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "not-shaped-like-one")
    error = OSError("401 for https://me:pass@hub/api?token=abc with hf_abcdefghijkl and not-shaped-like-one")
    (reason,) = look_for_arrivals(scope, [hub(error=error)]).passed_over
    assert REPOSITORY in reason and reason.count("***") == 4
    for secret in ("pass", "=abc", "hf_abc", "not-shaped"):
        assert secret not in reason


def test_profiles_name_sources_and_the_home_is_always_watched(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(
        'name = "p"\n[corpus]\ncorpus_id = "c"\nsource = "python"\n'
        f'[[watch]]\nkind = "folder"\npath = "{tmp_path}"\n'
        f'[[watch]]\nkind = "manifest"\npath = "{tmp_path}/m.jsonl"\n'
        '[[watch]]\nkind = "hub"\nrepository = "a/b"\nsteps = [1, 2]\n'
    )
    profile = load_profile(str(tmp_path / "p.toml"))
    found = sources_of(Scope(Home(tmp_path / "home"), profile))
    assert [s.where for s in found] == [
        str(tmp_path / "home/checkpoints"), str(tmp_path), f"{tmp_path}/m.jsonl", "a/b@steps",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="needs `repository`"):
        WatchSettings(kind="hub", path="x")


def test_a_run_takes_what_lies_in_the_watched_folder_and_keeps_what_has_gone(
    scope: Scope, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = checkpoint(scope.home.checkpoint_folder / "neo-5", weights)
    ran: list[str | None] = []
    monkeypatch.setattr(runner, "corpus_steps", lambda scope: [])
    monkeypatch.setattr(runner, "tail_steps", lambda scope: [])
    monkeypatch.setattr(runner.Executor, "run", lambda self, step: ran.append(step.checkpoint_id))
    runner.run_flow(scope)
    assert ran == ["neo-5"]
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    monkeypatch.setattr(type(scope), "content", lambda self, table: "measured")
    outcome = runner.run_flow(scope)
    assert ran == ["neo-5"] and outcome.notes == [
        "the files of checkpoint neo-5 are gone; its results are kept as they are."
    ]
