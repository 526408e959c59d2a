"""How many checkpoints are measured at once: what was asked for, else what cores and memory allow."""

from __future__ import annotations

from pathlib import Path

import pytest

from assets.framework import cores
from assets.framework.errors import RequestError
from assets.framework.profile import EngineProfile, Profile, load_profile
from assets.framework.stage import Scope
from orchestration.run import side_by_side
from orchestration.run.flow import Step
from orchestration.run.runner import run_flow
from orchestration.run.side_by_side import checkpoints_at_once
from warehouse.home import Home
from warehouse.registrations import register

GIGABYTE = 10**9


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four cores, plenty of memory, no wishes."""
    for name in (cores.PARALLEL_STEPS, cores.PARALLEL_CHECKPOINTS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(side_by_side, "usable_cores", lambda: 4)
    monkeypatch.setattr(side_by_side, "available_memory_bytes", lambda: 100 * GIGABYTE)
    monkeypatch.setattr(side_by_side, "is_on_processor", lambda scope: True)


def home_with(folder: Path, byte_counts: list[int], **changes: object) -> tuple[Scope, list[Step]]:
    """A home with registered checkpoints of so many bytes, and a step for each."""
    home, steps = Home(folder / "home").prepare(), []
    for index, size in enumerate(byte_counts):
        source = folder / f"checkpoint-{index}"
        source.mkdir()
        with (source / "model.safetensors").open("wb") as file:
            file.truncate(size)  # sparse
        register(home, "checkpoints", source.name, {"source": str(source), "corpus_id": "python"})
        steps.append(Step("checkpoint", source.name))
    profile: Profile = load_profile("quickstart").model_copy(update=changes)
    return Scope(home, profile), steps


def test_small_models_take_every_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scope, steps = home_with(tmp_path, [1000] * 6)
    assert checkpoints_at_once(scope, steps) == 4
    assert checkpoints_at_once(scope, steps[:3]) == 3
    assert checkpoints_at_once(scope, steps[:1]) == 1
    monkeypatch.setenv(cores.PARALLEL_CHECKPOINTS, "5")
    assert checkpoints_at_once(scope, steps) == 5


def test_the_largest_model_decides_how_many_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scope, steps = home_with(tmp_path, [1000, 2 * GIGABYTE, 1000])
    monkeypatch.setattr(side_by_side, "available_memory_bytes", lambda: 40 * GIGABYTE)  # 18.5 each
    assert checkpoints_at_once(scope, steps) == 2
    monkeypatch.setattr(side_by_side, "available_memory_bytes", lambda: GIGABYTE)
    assert checkpoints_at_once(scope, steps) == 1


def test_one_where_the_work_is_divided_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scope, steps = home_with(tmp_path, [1000, 1000], engine=EngineProfile(workers=2))
    assert checkpoints_at_once(scope, steps) == 1
    plain = Scope(scope.home, load_profile("quickstart"))
    assert checkpoints_at_once(plain, steps) == 2
    monkeypatch.setenv(cores.PARALLEL_STEPS, "2")
    assert checkpoints_at_once(plain, steps) == 1


def test_one_on_an_accelerator_and_for_models_of_unknown_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scope, steps = home_with(tmp_path, [1000, 1000])
    register(scope.home, "checkpoints", "hub", {"source": "owner/model", "corpus_id": "python"})
    assert checkpoints_at_once(scope, [*steps, Step("checkpoint", "hub")]) == 1
    monkeypatch.setattr(side_by_side, "is_on_processor", lambda scope: False)
    assert checkpoints_at_once(scope, steps) == 1


def test_a_wrong_number_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scope, _ = home_with(tmp_path, [])
    monkeypatch.setenv(cores.PARALLEL_CHECKPOINTS, "two")
    with pytest.raises(RequestError, match="two"):
        run_flow(scope, at_once=None)
    assert not list((scope.home.root / "tables").glob("*/*"))


def test_a_container_limits_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 2000 kB\nMemAvailable:   1000 kB\n")
    monkeypatch.setattr(cores, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(cores, "CONTAINER", tmp_path)
    assert cores.available_memory_bytes() == 1000 * 1024
    (tmp_path / "memory.current").write_text("100\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert cores.available_memory_bytes() == 1000 * 1024
    (tmp_path / "memory.max").write_text("5000\n")
    assert cores.available_memory_bytes() == 4900
