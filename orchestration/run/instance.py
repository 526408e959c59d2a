"""The persistent Dagster instance in the home folder: no telemetry, no sign-up dialog over the first page."""

from __future__ import annotations

import os
import socket
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from warehouse.files import is_alive, replace_file
from warehouse.home import Home

if TYPE_CHECKING:
    import dagster as dg

SETTINGS = """telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 1  # a run uses all cores; the next one waits in the queue
"""


_PROCESS, _HOST = "rarecall/process", "rarecall/host"
_UNFINISHED = ("NOT_STARTED", "STARTING", "STARTED")  # a full disk may leave a run that was noted and never began


def prepare_instance(home: Home) -> str:
    """Write the instance's settings unless the user has some; returns its folder, for DAGSTER_HOME."""
    settings = home.dagster / "dagster.yaml"
    if not settings.exists():
        replace_file(settings, lambda path: path.write_text(SETTINGS))
    return str(home.dagster)


def open_instance(home: Home) -> dg.DagsterInstance:
    """The instance that the UI shows as well.

    Output is not captured: capturing starts two watching processes per step, and Ctrl-C reaches them too.
    """
    import dagster as dg
    from dagster._core.instance.ref import InstanceRef

    overrides = {
        "compute_logs": {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
    }
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(prepare_instance(home), overrides=overrides))


def process_tags() -> dict[str, str]:
    """Tags that tell a run of this process from one whose process is gone."""
    return {_PROCESS: str(os.getpid()), _HOST: socket.gethostname()}


def close_killed_runs(instance: dg.DagsterInstance) -> None:
    """Runs of killed processes would be in progress in the UI for ever; report them as failed."""
    import dagster as dg

    statuses = [dg.DagsterRunStatus(name) for name in _UNFINISHED]
    going = dg.RunsFilter(statuses=statuses, tags={_HOST: socket.gethostname()})
    for run in instance.get_runs(going):
        if not is_alive(run.tags.get(_PROCESS, "")):
            instance.report_run_failed(run, "its process was killed; the next run resumed from the finished parts")


def has_unfinished_runs(home: Home) -> bool:
    """Whether the home's own history holds a run that has not ended; asked without importing Dagster."""
    from sql import load_one

    history = home.dagster / "history" / "runs.db"
    if not history.exists():
        return False
    try:
        with closing(sqlite3.connect(f"{history.absolute().as_uri()}?mode=ro", uri=True, timeout=1)) as connection:
            known = connection.execute(load_one("staging", "run_statuses").text).fetchall()
    except sqlite3.Error:  # another layout, or being written
        return True
    return any(status in _UNFINISHED for (status,) in known)
