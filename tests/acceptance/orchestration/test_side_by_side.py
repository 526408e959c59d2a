"""Checkpoints measured side by side: the same rows, each with its own fate, and nothing left when the run ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from dagster import AssetKey

from assets.framework.cores import PARALLEL_CHECKPOINTS
from orchestration.run.instance import open_instance
from tests.support.acceptance_home import LIMIT_SECONDS, contents, start
from tests.support.finished_home import Finished
from warehouse.home import Home

FIRST, LAST = "small-step-00000", "small-step-00142"
LITTLE = ("scores", "head_attention")
"""Enough to be measured for a while; the rest is current already and costs nothing."""
HOLD_PATHS = {"tokenizers", "corpora", "checkpoints"}


def unmeasured(finished: Finished, home: Path, missing: tuple[str, ...] = LITTLE) -> Path:
    """A copy of the finished home in which some tables of both checkpoints are missing."""
    finished.copy(home)
    for name in missing:
        for folder in (home / "tables" / name).glob("checkpoint=*"):
            shutil.rmtree(folder)
    return home


def started(home: Path, profile: Path) -> subprocess.Popen[str]:
    two = {PARALLEL_CHECKPOINTS: "2"}
    return start(home, "run", "-p", profile, more=two, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def workers_of(process: int) -> list[int]:
    """Processes that were started by another one and still run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = entry.read_text().rpartition(")")[2].split()[:2]
        except OSError:  # it has just ended
            continue
        if int(parent) == process and state != "Z":
            found.append(int(entry.parent.name))
    return found


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(reached, what: str, limit: float = LIMIT_SECONDS) -> None:
    end = time.monotonic() + limit
    while not reached():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def measured(home: Path) -> dict[tuple[str, str], list[tuple[int, str]]]:
    return {key: parts for key, parts in contents(home).items() if key[0] not in HOLD_PATHS}


def test_the_rows_are_those_of_one_after_the_other(finished: Finished, tmp_path: Path) -> None:
    """The finished home was measured one checkpoint after the other, with one thread, as each of two has here."""
    home = unmeasured(finished, tmp_path / "home", (*LITTLE, "perturbations"))
    out, said = started(home, finished.profile).communicate(timeout=LIMIT_SECONDS)
    assert LAST in out
    assert measured(home) == measured(finished.home)
    shown = [line.split(":")[0] for line in said.splitlines() if "/" in line]
    of_first, of_last = ([i for i, label in enumerate(shown) if label.endswith(name)] for name in (FIRST, LAST))
    assert min(of_first) < max(of_last) and min(of_last) < max(of_first), shown
    with open_instance(Home(home)) as instance:
        processes = {run.tags["rarecall/process"] for run in instance.get_runs(limit=4) if run.job_name == "checkpoint"}
        assert len(processes) == 2
        latest = instance.get_latest_materialization_events([AssetKey("scores"), AssetKey("claims")])
        assert {event.asset_materialization.partition for event in latest.values()} == {LAST}


def test_a_checkpoint_that_fails_says_why_and_the_other_is_measured(finished: Finished, tmp_path: Path) -> None:
    home = unmeasured(finished, tmp_path / "home")
    registration = home / "sources" / "checkpoints" / f"{FIRST}.json"
    text = registration.read_text()
    assert FIRST in text
    broken = shutil.copytree(finished.home / "checkpoints" / FIRST, tmp_path / FIRST)
    (broken / "config.json").unlink()
    registration.write_text(text.replace(str(finished.home / "checkpoints" / FIRST), str(broken)))
    process = started(home, finished.profile)
    _, said = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode != 0 and "Traceback" not in said
    assert f"rarecall: checkpoint {FIRST} was not measured: " in said and "config.json" in said
    assert ("scores", LAST) in measured(home) and ("scores", FIRST) not in measured(home)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are counted in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_ends_leaves_no_worker(finished: Finished, tmp_path: Path, number: signal.Signals) -> None:
    home = unmeasured(finished, tmp_path / "home")
    process = started(home, finished.profile)
    locks = home / "tables" / "scores"
    wait_until(lambda: len(list(locks.glob("*/.lock"))) == 2, "two checkpoints were not measured at once")
    workers = workers_of(process.pid)
    assert len(workers) >= 2
    os.kill(process.pid, number)
    _, said = process.communicate(timeout=300)
    wait_until(lambda: not any(is_running(worker) for worker in workers), "a worker goes on", limit=120)
    if number == signal.SIGKILL:
        return
    assert process.returncode == 1 and "Traceback" not in said
    assert said.splitlines()[-1] == "rarecall: interrupted; run again to resume from the finished parts."
    with open_instance(Home(home)) as instance:
        assert [run.job_name for run in instance.get_runs() if not run.is_finished] == []


def test_a_worker_that_is_killed_costs_only_its_checkpoint(finished: Finished, tmp_path: Path) -> None:
    home = unmeasured(finished, tmp_path / "home")
    process = started(home, finished.profile)
    wait_until(lambda: list((home / "tables" / "scores" / f"checkpoint={FIRST}").glob(".lock")), "nothing was measured")
    with open_instance(Home(home)) as instance:
        going = [
            run
            for run in instance.get_runs(limit=4)
            if run.tags.get("dagster/partition") == FIRST and not run.is_finished
        ]
    os.kill(int(going[0].tags["rarecall/process"].partition("-")[0]), signal.SIGKILL)
    _, said = process.communicate(timeout=LIMIT_SECONDS)
    assert f"rarecall: checkpoint {FIRST} was not measured: its process was ended from outside" in said
    assert process.returncode == 1 and ("scores", LAST) in measured(home)
