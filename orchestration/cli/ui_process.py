"""The Dagster UI as a process group of its own, so that stopping it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import Any

from assets.framework.errors import RequestError
from orchestration.run.instance import prepare_instance
from warehouse.home import Home

_DEV_IS_FINE = "ignore:Function `dev_command` is superseded"


def serve(home: Home, host: str, port: int, profile: str = "") -> int:
    """Run the web server and the daemon until they end or a signal arrives; returns the exit code.

    Raises:
        RequestError: the port is taken.
    """
    _refuse_taken_port(host, port)
    environment = {**os.environ, "DAGSTER_HOME": prepare_instance(home), "RARECALL_HOME": str(home.root)}
    environment |= {"RARECALL_PROFILE": profile} if profile else {}
    command = [
        sys.executable,
        "-W",
        _DEV_IS_FINE,
        "-m",
        "dagster",
        "dev",
        "-m",
        "orchestration.definitions",
        "-h",
        host,
        "-p",
        str(port),
    ]
    print(f"Dagster UI on http://{host}:{port} (home {home.root}); stop it with Ctrl-C.", flush=True)
    process = subprocess.Popen(command, env=environment, start_new_session=True)  # noqa: S603  our own command
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _stop(process))
    return 0 if process.wait() in (0, -signal.SIGINT, -signal.SIGTERM) else 1


def _stop(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)


def _refuse_taken_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise RequestError(
                f"port {port} on {host} is not free ({error.strerror}); choose another with --port."
            ) from error
