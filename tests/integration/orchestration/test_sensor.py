"""The sensor and the schedule: what they ask for, and how they explain that they ask for nothing."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from assets.framework.dagster_assets import Workspace
from orchestration import schedules, sensors
from orchestration.definitions import build_definitions
from orchestration.run import flow
from orchestration.sources import arrivals
from warehouse import fingerprints
from warehouse.registrations import register, registered

PROFILE = """
name = "watching"
[corpus]
corpus_id = "library"
source = "python"
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "profile.toml").write_text(PROFILE)
    return Workspace(home=str(tmp_path / "home"), profile=str(tmp_path / "profile.toml"))


@pytest.fixture(autouse=True)
def corpus_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are about checkpoints; the tables of the corpus count as made."""
    monkeypatch.setattr(sensors, "CORPUS_STAGES", ())


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture(scope="module")
def weights() -> bytes:
    import torch
    from safetensors.torch import save

    return save({"weight": torch.zeros(2, 3)})


def arrive(workspace: Workspace, name: str, weights: bytes, seconds_ago: float = 60) -> Path:
    """A complete checkpoint folder whose files have settled."""
    folder = workspace.open_home().checkpoint_folder / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt_neo"}))
    (folder / "model.safetensors").write_bytes(weights)
    settle(folder, seconds_ago)
    return folder


def settle(folder: Path, seconds_ago: float = 60) -> None:
    then = time.time() - seconds_ago
    for file in folder.iterdir():
        os.utime(file, (then, then))


def tick(
    workspace: Workspace, instance: dg.DagsterInstance, cursor: str | None = None
) -> dg.SensorResult | dg.SkipReason:
    """One look of the sensor; partitions that it asks for are added, as Dagster does."""
    context = dg.build_sensor_context(instance=instance, cursor=cursor, resources={"workspace": workspace})
    answer = sensors.new_checkpoints(context)
    for asked in (answer.dynamic_partitions_requests or ()) if isinstance(answer, dg.SensorResult) else ():
        instance.add_dynamic_partitions("checkpoint", list(asked.partition_keys))
    return answer


def reason(workspace: Workspace, instance: dg.DagsterInstance) -> str:
    answer = tick(workspace, instance)
    assert isinstance(answer, dg.SkipReason)
    return str(answer.skip_message)


def test_nothing_there_names_the_watched_folder(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    assert str(workspace.open_home().checkpoint_folder) in reason(workspace, instance)


def test_incomplete_folder_is_explained(workspace: Workspace, instance: dg.DagsterInstance, weights: bytes) -> None:
    folder = arrive(workspace, "run-step-10", weights)
    (folder / "model.safetensors").unlink()
    assert "run-step-10" in reason(workspace, instance) and "model.safetensors" in reason(workspace, instance)
    (folder / "model.safetensors").write_bytes(weights[:-5])
    settle(folder)
    assert "header says" in reason(workspace, instance)
    assert registered(workspace.open_home(), "checkpoints") == {}


def test_folder_still_being_written_waits(workspace: Workspace, instance: dg.DagsterInstance, weights: bytes) -> None:
    arrive(workspace, "run-step-10", weights, seconds_ago=1)
    assert "changed less than" in reason(workspace, instance)


def test_unsafe_name_is_passed_over(workspace: Workspace, instance: dg.DagsterInstance, weights: bytes) -> None:
    arrive(workspace, "run step=10", weights)
    assert "cannot be used as a name" in reason(workspace, instance)


def test_complete_folder_becomes_a_partition_and_one_run(
    workspace: Workspace, instance: dg.DagsterInstance, weights: bytes
) -> None:
    folder = arrive(workspace, "run-step-10", weights)
    answer = tick(workspace, instance)
    assert isinstance(answer, dg.SensorResult)
    (request,) = answer.run_requests
    assert request.partition_key == "run-step-10"
    content = fingerprints.checkpoint_content(workspace.open_home(), "run-step-10", folder)
    assert request.run_key == f"run-step-10:{content}"
    (added,) = answer.dynamic_partitions_requests
    assert added.partition_keys == ["run-step-10"]
    facts = registered(workspace.open_home(), "checkpoints")["run-step-10"]
    assert facts == {"source": str(folder), "training_step": 10, "corpus_id": "library"}
    again = tick(workspace, instance, answer.cursor)
    assert isinstance(again, dg.SkipReason) and "requested before for run-step-10" in str(again.skip_message)


def test_replaced_files_give_a_new_run_key(workspace: Workspace, instance: dg.DagsterInstance, weights: bytes) -> None:
    folder = arrive(workspace, "run-step-10", weights)
    first = tick(workspace, instance)
    (folder / "model.safetensors").write_bytes(weights[:-1] + b"\x01")
    settle(folder, seconds_ago=30)
    second = tick(workspace, instance, first.cursor)
    assert second.run_requests[0].run_key != first.run_requests[0].run_key


def test_touched_files_are_the_same_checkpoint(
    workspace: Workspace, instance: dg.DagsterInstance, weights: bytes
) -> None:
    folder = arrive(workspace, "run-step-10", weights)
    first = tick(workspace, instance)
    settle(folder, seconds_ago=20)
    second = tick(workspace, instance, first.cursor)
    assert isinstance(second, dg.SkipReason) and "requested before" in str(second.skip_message)


def test_optimizer_states_do_not_make_another_checkpoint(
    workspace: Workspace, instance: dg.DagsterInstance, weights: bytes
) -> None:
    folder = arrive(workspace, "run-step-10", weights)
    first = tick(workspace, instance)
    (folder / "optimizer.bin").write_bytes(b"state")
    settle(folder)
    assert isinstance(tick(workspace, instance, first.cursor), dg.SkipReason)


def test_measured_checkpoint_is_skipped_until_it_changes(
    workspace: Workspace, instance: dg.DagsterInstance, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(workspace, "run-step-10", weights)
    tick(workspace, instance)
    monkeypatch.setattr(arrivals, "is_measured", lambda scope: scope.checkpoint_id == "run-step-10")
    assert reason(workspace, instance) == "run-step-10 is measured already."
    arrive(workspace, "run-step-20", weights)
    answer = tick(workspace, instance)
    assert [request.partition_key for request in answer.run_requests] == ["run-step-20"]


def test_without_a_corpus_nothing_is_requested(
    workspace: Workspace, instance: dg.DagsterInstance, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "CORPUS_STAGES", flow.CORPUS_STAGES)
    arrive(workspace, "run-step-10", weights)
    assert "materialize the job `corpus` first" in reason(workspace, instance)


def test_a_name_that_stands_for_another_folder_is_not_taken_over(
    workspace: Workspace, instance: dg.DagsterInstance, weights: bytes
) -> None:
    home = workspace.open_home()
    register(home, "checkpoints", "run-step-10", {"source": "/models/mine", "corpus_id": "library"})
    arrive(workspace, "run-step-10", weights)
    assert "registered for /models/mine" in reason(workspace, instance)
    assert registered(home, "checkpoints")["run-step-10"]["source"] == "/models/mine"


def test_the_cursor_does_not_grow_without_end() -> None:
    asked = {f"run-step-{n}": "0123456789abcdef" for n in range(5000)}
    kept = json.loads(sensors.bounded_cursor(asked))
    assert len(kept) == sensors.CURSOR_ENTRIES and "run-step-4999" in kept


def test_one_tick_asks_for_a_limited_number(workspace: Workspace, instance: dg.DagsterInstance, weights: bytes) -> None:
    for step in range(sensors.RUNS_PER_TICK + 3):
        arrive(workspace, f"run-step-{step:02d}", weights)
    answer = tick(workspace, instance)
    assert len(answer.run_requests) == sensors.RUNS_PER_TICK
    assert len({request.run_key for request in answer.run_requests}) == sensors.RUNS_PER_TICK


def test_later_ticks_reach_checkpoints_behind_failing_ones(
    workspace: Workspace, instance: dg.DagsterInstance, weights: bytes
) -> None:
    """Eight checkpoints whose runs fail must not keep the ninth from ever being asked for."""
    for step in range(sensors.RUNS_PER_TICK + 1):
        arrive(workspace, f"run-step-{step:02d}", weights)
    first = tick(workspace, instance)
    second = tick(workspace, instance, first.cursor)
    assert [request.partition_key for request in second.run_requests] == ["run-step-08"]
    assert isinstance(tick(workspace, instance, second.cursor), dg.SkipReason)


def ask_schedule(workspace: Workspace, instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
    return schedules.refresh_tail(dg.build_schedule_context(instance=instance, resources={"workspace": workspace}))


def test_schedule_explains_an_empty_home(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    answer = ask_schedule(workspace, instance)
    assert isinstance(answer, dg.SkipReason) and "no checkpoint has been measured" in str(answer.skip_message)


def test_schedule_runs_when_the_record_changed_and_rests_when_not(
    workspace: Workspace, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = workspace.open_home().tables / "checkpoints" / "checkpoint=run-step-10"
    folder.mkdir(parents=True)
    (folder / "_manifest.json").write_text("{}")
    assert isinstance(ask_schedule(workspace, instance), dg.RunRequest)
    monkeypatch.setattr(schedules, "is_published", lambda home: True)
    monkeypatch.setattr(schedules, "is_written", lambda *_: True)
    answer = ask_schedule(workspace, instance)
    assert isinstance(answer, dg.SkipReason) and "nothing to do" in str(answer.skip_message)


def test_both_are_off_and_load_with_the_code_location(workspace: Workspace) -> None:
    definitions = build_definitions(workspace.home, workspace.profile)
    assert {sensor.default_status for sensor in definitions.sensors} == {dg.DefaultSensorStatus.STOPPED}
    assert {schedule.default_status for schedule in definitions.schedules} == {dg.DefaultScheduleStatus.STOPPED}


@pytest.mark.parametrize("cursor", ["no JSON", "[1]", '"text"', "{"])
def test_a_cursor_that_somebody_else_wrote_counts_as_empty(
    workspace: Workspace, instance: dg.DagsterInstance, weights: bytes, cursor: str
) -> None:
    arrive(workspace, "step-9", weights)
    answer = tick(workspace, instance, cursor)
    assert isinstance(answer, dg.SensorResult)
    assert json.loads(answer.cursor or "").keys() == {"step-9"}


def test_a_deleted_partition_can_be_measured_again(workspace: Workspace, weights: bytes) -> None:
    """Dagster skips a run key that it has seen, so the second request has another."""
    arrive(workspace, "step-9", weights)
    with dg.DagsterInstance.ephemeral() as own:
        first = tick(workspace, own)
        assert isinstance(first, dg.SensorResult)
        assert isinstance(tick(workspace, own, first.cursor), dg.SkipReason)
        (request,) = first.run_requests or ()
        own.add_run(dg.DagsterRun(job_name="checkpoint", tags={"dagster/run_key": str(request.run_key)}))
        own.delete_dynamic_partition("checkpoint", "step-9")
        again = tick(workspace, own, first.cursor)
        assert isinstance(again, dg.SensorResult)
        (later,) = again.run_requests or ()
        assert later.partition_key == "step-9" and later.run_key != request.run_key
