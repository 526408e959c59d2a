"""The Dagster UI as a process group of its own, so that stopping it, or losing it, leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.framework.errors import RequestError
from orchestration.run.instance import close_left_runs, make_databases, prepare_instance, ui_lock
from warehouse.files import write_json
from warehouse.home import Home

_DEV_IS_FINE = "ignore:Function `dev_command` is superseded"
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ESCALATION = ((0.0, signal.SIGINT), (40.0, signal.SIGTERM), (60.0, signal.SIGKILL))
"""What the group is sent, and how long after it was asked to end; Dagster lets a run tidy up."""
LOOK_S = 0.3
LOCATION = "rarecall"
"""Name of the code location, in `rarecall ui` and in `dg`."""


def serve(home: Home, host: str, port: int, profile: str = "") -> int:
    """Run the web server and the daemon until they end or a signal arrives; returns the exit code.

    What an earlier UI left, processes as well as runs that nobody works on, is closed first.

    Raises:
        RequestError: the port is taken, or a UI of this home runs already.
    """
    prepare_instance(home)
    with _only_one(home):
        for said in (*end_left_processes(home), *_close_left_runs(home)):
            print(said, flush=True)
        refuse_taken_port(host, port)
        make_databases(home)
        shown = f"[{host}]" if ":" in host else host
        print(f"Dagster UI on http://{shown}:{port} (home {home.root}); stop it with Ctrl-C.", flush=True)
        return _run(home, _command(home, host, port), _environment(home, profile))


def _command(home: Home, host: str, port: int) -> list[str]:
    """`dagster dev`; modules are looked for in a folder of the home, not where one happens to stand."""
    dagster = [sys.executable, "-W", _DEV_IS_FINE, "-m", "dagster", "dev"]
    return [*dagster, "-w", str(write_workspace(home)), "-h", host, "-p", str(port)]


def write_workspace(home: Home) -> Path:
    """The workspace file of the UI: the code location under the name that `dg` gives it (pyproject.toml) too."""
    where = {
        "module_name": "orchestration.definitions",
        "location_name": LOCATION,
        "working_directory": str(home.dagster),
    }
    write_json(target := home.dagster / "workspace.yaml", {"load_from": [{"python_module": where}]})  # JSON is YAML
    return target


def _environment(home: Home, profile: str) -> dict[str, str]:
    around = {**os.environ, "DAGSTER_HOME": str(home.dagster), "RARECALL_HOME": str(home.root), "PYTHONSAFEPATH": "1"}
    return around | ({"RARECALL_PROFILE": profile} if profile else {})


@dataclass
class _Stop:
    """When somebody asked for the end."""

    since: float | None = None

    def ask(self, *_: object) -> None:
        """Handle a signal."""
        self.since = self.since or time.monotonic()


def _run(home: Home, command: list[str], environment: dict[str, str]) -> int:
    stop = _Stop()
    for number in _STOPPING:  # before the start: a program inherits what is ignored (as under nohup), not handlers
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop.ask)
    process = subprocess.Popen(command, env=environment, start_new_session=True)  # noqa: S603  our own command
    guard = _guarded(process.pid)
    try:
        write_json(ui_note(home), {"group": process.pid})
        code = _wait(process, stop)
    finally:
        _send(process.pid, signal.SIGKILL)  # whoever of the group is left
        guard.communicate()
    ui_note(home).unlink(missing_ok=True)
    return 0 if stop.since is not None or code in (0, -signal.SIGINT, -signal.SIGTERM) else 1


def _guarded(group: int) -> subprocess.Popen[bytes]:
    """A process that ends the group when this one is gone."""
    script = str(Path(__file__).with_name("ui_guard.py"))
    command = [sys.executable, "-I", script, str(group)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603  our own command


def _wait(process: subprocess.Popen[Any], stop: _Stop) -> int:
    """Wait for the end; once asked, the group is told, and told more firmly as time goes by."""
    waiting = list(_ESCALATION)
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(LOOK_S)
        if stop.since is not None and waiting and time.monotonic() - stop.since >= waiting[0][0]:
            _send(process.pid, waiting.pop(0)[1])


def _send(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


@contextmanager
def _only_one(home: Home) -> Iterator[None]:
    from filelock import Timeout

    try:
        with ui_lock(home):
            yield
    except Timeout:
        raise RequestError(
            f"a UI of the home {home.root} runs already; use that one, or stop it with Ctrl-C."
        ) from None


def ui_note(home: Home) -> Path:
    """The process group of the UI that runs, or of one that was killed."""
    return home.dagster / "ui.json"


def end_left_processes(home: Home) -> Iterator[str]:
    """Processes of a UI that was killed together with its guard: they would hold the port."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        group = int(json.loads(ui_note(home).read_text(encoding="utf-8"))["group"])
        left = [folder for folder in Path("/proc").glob("[0-9]*") if _belongs(folder, group, home)]
        if left:
            _send(group, signal.SIGKILL)
            _until(lambda: not any(folder.exists() for folder in left), 5.0)
            yield f"Ended {len(left)} processes that an earlier UI of this home had left."


def _belongs(folder: Path, group: int, home: Home) -> bool:
    """Whether a process is of the group and works in this home: numbers of groups are used again."""
    with suppress(OSError, ValueError, IndexError):
        of_group = int((folder / "stat").read_text().rpartition(")")[2].split()[2]) == group
        return of_group and f"RARECALL_HOME={home.root}".encode() in (folder / "environ").read_bytes().split(b"\0")
    return False


def _until(is_so: Callable[[], bool], limit_s: float) -> None:
    end = time.monotonic() + limit_s
    while not is_so() and time.monotonic() < end:
        time.sleep(0.1)


def _close_left_runs(home: Home) -> Iterator[str]:
    closed = close_left_runs(home, is_ui_gone=True)
    if closed:
        yield f"Closed {len(closed)} runs whose processes are gone: {', '.join(run[:8] for run in closed)}."


def refuse_taken_port(host: str, port: int) -> None:
    """Look whether the web server will find the port free.

    Raises:
        RequestError: it will not.
    """
    try:
        kind, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise RequestError(
            f"port {port} on {host} is not free ({error.strerror}); choose another with --port."
        ) from error
