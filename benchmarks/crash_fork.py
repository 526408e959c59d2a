"""The command line in a process forked from this one, which has imported what is heavy: no kill pays for imports."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HEAVY = ("torch", "transformers", "polars", "duckdb", "pyarrow.parquet", "matplotlib.pyplot", "scipy.stats", "dagster")
HEAVY_OF_OURS = ("orchestration.cli.main", "orchestration.definitions", "orchestration.run.runner")


def import_heavy() -> None:
    """Import before the first fork; nothing here may start a thread."""
    for name in (*HEAVY, *HEAVY_OF_OURS):
        __import__(name)


class Forked:
    """As much of `subprocess.Popen` as the campaign needs."""

    def __init__(self, words: list[str], env: dict[str, str], cwd: Path, said: Path):
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _work(words, env, cwd, said)

    def poll(self) -> int | None:
        """Exit code, or None while it runs."""
        if self.returncode is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float = 1e9) -> int:
        """Exit code.

        Raises:
            subprocess.TimeoutExpired: it runs still.
        """
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("rarecall", timeout)
            time.sleep(0.01)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


def _work(words: list[str], env: dict[str, str], cwd: Path, said: Path) -> None:
    """In the child: become a process of its own as if the command had been started, and do not come back."""
    code: Any = 1
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for number in (1, 2):
            os.dup2(out, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout, sys.stderr = open(1, "w"), open(2, "w")  # noqa: SIM115
        os.environ.clear()
        os.environ.update(env)
        os.chdir(cwd)
        _name_home(env["RARECALL_HOME"])
        sys.argv = ["rarecall", *words]
        from orchestration.cli.main import main

        main()
        code = 0
    except SystemExit as end:
        code = end.code
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


def _name_home(home: str) -> None:
    """So that the process is known as one of this home: /proc shows only the environment a program began with."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text("rarecall-trial")
