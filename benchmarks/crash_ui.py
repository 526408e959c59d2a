"""Trials of the crash campaign on the UI: a run is launched in it, the whole tree is ended, and it is started again."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import time
import urllib.request
from typing import Any

import crash_trials as trials
from crash_ground import EMPTY, Contents, Ground

from tests.support.ui_browser import descendants, launch, wait_for

Launch = tuple[str, str, signal.Signals]
"""Job, the stage of it at which the UI is ended, and how."""
ROUNDS: tuple[tuple[str, tuple[Launch, ...]], ...] = (
    (
        EMPTY,
        (
            ("corpus", "corpora", signal.SIGKILL),
            ("corpus", "unigrams", signal.SIGHUP),
            ("corpus", "paragraphs", signal.SIGKILL),
        ),
    ),
    ("corpus", (("training", "training_steps", signal.SIGKILL), ("training", "checkpoint-files", signal.SIGTERM))),
    (
        "trained",
        (
            ("checkpoint", "scores", signal.SIGKILL),
            ("checkpoint", "perturbations", signal.SIGTERM),
            ("checkpoint", "patching", signal.SIGKILL),
            ("checkpoint", "edits", signal.SIGINT),
        ),
    ),
    (
        "measured",
        (
            ("tail", "catalog", signal.SIGKILL),
            ("tail", "figures", signal.SIGHUP),
            ("tail", "report", signal.SIGKILL),
        ),
    ),
)
CLOSED = re.compile(r"Closed (\d+) runs whose processes are gone|(\d+) runs of processes that are gone were closed")


def ui_round(
    ground: Ground, reference: Contents, place: str, launches: tuple[Launch, ...], chance: random.Random
) -> list[dict[str, Any]]:
    """End the UI once for every launch; each next start must close what was left and begin the next run."""
    ground.restore(place)
    found: list[dict[str, Any]] = []
    was_killed = False
    for job, stage, number in launches:
        found.append(_launched(ground, job, stage, number, chance, was_killed))
        was_killed = number == signal.SIGKILL and found[-1]["was_running"]
    return trials.finished(ground, reference, found)


def _launched(
    ground: Ground, job: str, stage: str, number: signal.Signals, chance: random.Random, was_killed: bool
) -> dict[str, Any]:
    """Start the UI, launch a job in it, and end all of it `delay` seconds into a stage."""
    port, delay = _free_port(), chance.uniform(0, trials.LONGEST_DELAY_SECONDS.get(stage, 0.6))
    process = ground.start("ui", "--port", port)
    url = f"http://127.0.0.1:{port}"
    wait_for("the UI's start", lambda: urllib.request.urlopen(f"{url}/server_info", timeout=2).status == 200, 240)
    closed = CLOSED.search(ground.said.read_text())
    intact, happened = ground.intact_parts(), ground.event(stage)
    launch(url, job, *([_checkpoint(ground)] if job == "checkpoint" else []))
    end = time.monotonic() + 240
    while not happened() and time.monotonic() < end:
        time.sleep(0.005)
    was_running = time.monotonic() < end
    time.sleep(delay)
    _end_tree(process, number)
    facts = trials.after_end(ground, intact, number)
    facts["wrong"] = [w for w in facts["wrong"] if w != "a traceback"]  # Dagster's own log of a run that was ended
    if was_killed and not closed:
        facts["wrong"].append("the run that was left was not closed")
    if number != signal.SIGKILL and process.returncode != 0:
        facts["wrong"].append(f"exit code {process.returncode}")
    if not _is_free(port):
        facts["wrong"].append("the port is held")
    name = f"UI: {number.name} {delay:.2f} s into {stage} of a launched {job}"
    return {"trial": name, "was_running": was_running, **facts}


def _end_tree(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """SIGKILL for every process at once, its guard too; other signals for the one that was started."""
    numbers = [process.pid, *descendants(process.pid)] if number == signal.SIGKILL else [process.pid]
    for one in numbers:
        os.kill(one, number)
    process.wait(120)


def _checkpoint(ground: Ground) -> str:
    """The checkpoint of the last training step."""
    return sorted(file.stem for file in (ground.home / "sources" / "checkpoints").glob("*.json"))[-1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
