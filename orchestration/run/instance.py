"""The persistent Dagster instance in the home folder: no telemetry, no sign-up dialog over the first page."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import filelock

from warehouse.files import is_alive, process_mark, replace_file
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
_UNFINISHED = ("NOT_STARTED", "STARTING", "STARTED", "CANCELING")
"""A full disk may leave a run that was noted and never began."""


def prepare_instance(home: Home) -> str:
    """Write the instance's settings unless the user has some; returns its folder, for DAGSTER_HOME."""
    settings = home.dagster / "dagster.yaml"
    if not settings.exists():
        replace_file(settings, lambda path: path.write_text(SETTINGS))
    return str(home.dagster)


def open_instance(home: Home) -> dg.DagsterInstance:
    """The instance that the UI shows as well; opened by one process at a time.

    Opening makes what databases are missing, and a second process that meets one half made stamps it with another
    version: neither could open it again. Output is not captured: capturing starts two watching processes per step, and
    Ctrl-C reaches them too.
    """
    import dagster as dg
    from dagster._core.instance.ref import InstanceRef

    overrides = {
        "compute_logs": {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
    }
    folder = prepare_instance(home)
    with filelock.FileLock(home.dagster / ".instance.lock"):
        return dg.DagsterInstance.from_ref(InstanceRef.from_dir(folder, overrides=overrides))


def make_databases(home: Home) -> None:
    """Make the databases of a new home before programs other than ours open them at once."""
    if not (home.dagster / "schedules" / "schedules.db").exists():  # the last one that opening makes
        open_instance(home).dispose()


def process_tags() -> dict[str, str]:
    """Tags that tell a run of this process from one whose process is gone."""
    return {_PROCESS: process_mark(), _HOST: socket.gethostname()}


def ui_lock(home: Home) -> filelock.BaseFileLock:
    """Held by `rarecall ui` as long as it lives; the system releases it however it ends."""
    return filelock.FileLock(home.dagster / ".ui.lock", timeout=0)


def close_left_runs(home: Home, is_ui_gone: bool | None = None) -> list[str]:
    """Report runs that nobody works on as failed; returns their ids.

    Args:
        home: whose history.
        is_ui_gone: no UI of this home is at work; None to find out.
    """
    if not has_unfinished_runs(home):
        return []
    with open_instance(home) as instance:
        return close_killed_runs(instance, _is_ui_gone(home) if is_ui_gone is None else is_ui_gone)


def _is_ui_gone(home: Home) -> bool:
    try:
        with ui_lock(home):
            return True
    except filelock.Timeout:
        return False


def close_killed_runs(instance: dg.DagsterInstance, is_ui_gone: bool = False) -> list[str]:
    """Runs of killed processes would be in progress in the UI for ever; report them as failed, return their ids.

    Args:
        instance: of the home.
        is_ui_gone: no UI of the home runs, so nobody works on runs that one had started: they carry no process.
    """
    import dagster as dg

    statuses = [dg.DagsterRunStatus(name) for name in _UNFINISHED]
    closed = []
    for run in instance.get_runs(dg.RunsFilter(statuses=statuses)):
        here, process = run.tags.get(_HOST) == socket.gethostname(), run.tags.get(_PROCESS)
        if (here and not is_alive(process or "")) or (process is None and is_ui_gone):
            instance.report_run_failed(run, "its process was killed; the next run resumed from the finished parts")
            closed.append(run.run_id)
    return closed


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
