"""Ground of the crash campaign: a small profile, runs of the real command line, kills, and what must be true after."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from crash_fork import Forked  # noqa: E402

from tests.support.acceptance_home import command, environment, heed_interrupts, write_profile  # noqa: E402

SHARDS = {"[probes]": "[probes]\nshard_size = 8"}
LIMIT_SECONDS = 600
PATIENCE_SECONDS = 120
EMPTY = "empty"

Contents = dict[str, list[tuple[int, str]]]


class Ground:
    """One folder with a profile and a home that is always at the same path, so that paths in tables are equal too."""

    def __init__(self, root: Path):
        self.root, self.home = root, root / "home"
        root.mkdir(parents=True, exist_ok=True)
        self.profile = root / "profile-0.toml"
        if not self.profile.exists():
            write_profile(root, SHARDS)

    def clear(self) -> None:
        """Remove the home."""
        shutil.rmtree(self.home, ignore_errors=True)

    def keep(self, name: str) -> None:
        """Keep a copy of the home as it is now."""
        shutil.rmtree(self.root / "kept" / name, ignore_errors=True)
        shutil.copytree(self.home, self.root / "kept" / name, symlinks=True)

    def restore(self, name: str) -> None:
        """Make the home what it was when a copy of this name was kept; times of files, too."""
        self.clear()
        if name != EMPTY:
            shutil.copytree(self.root / "kept" / name, self.home, symlinks=True)

    def run(self) -> subprocess.CompletedProcess[str]:
        """`rarecall run` to its end."""
        process = self.fork("run")
        process.wait(LIMIT_SECONDS)
        said = self.said.read_text()
        return subprocess.CompletedProcess(["run"], process.returncode or 0, said, said)

    def fork(self, *words: str) -> Forked:
        """A command in a forked process, see `crash_fork`; one that was killed leaves no process of its group."""
        return Forked([*words, "-p", str(self.profile)], environment(self.home), self.root, self.said)

    def start(self, *words: object) -> subprocess.Popen[str]:
        """A command in a program of its own and a process group of its own; what it says goes to `said`."""
        asked = command(*words, "-p", self.profile)
        with self.said.open("w") as out:
            return subprocess.Popen(
                asked, env=environment(self.home), cwd=self.root, stdout=out, stderr=out, text=True,
                start_new_session=True, preexec_fn=heed_interrupts,
            )  # fmt: skip

    @property
    def said(self) -> Path:
        """What the last started command printed."""
        return self.root / "said.txt"

    def end_when(
        self,
        process: Forked | subprocess.Popen[str],
        happened: Callable[[], bool],
        delay: float,
        number: signal.Signals,
    ) -> bool:
        """Send a signal `delay` seconds after an event; False where the process had ended before.

        SIGKILL and SIGHUP reach the whole group, as they do when memory ends or a terminal is closed.
        """
        end = time.monotonic() + LIMIT_SECONDS
        while process.poll() is None and not happened() and time.monotonic() < end:
            time.sleep(0.005)
        time.sleep(delay)
        was_running = process.poll() is None
        with suppress(ProcessLookupError):
            if number in (signal.SIGKILL, signal.SIGHUP):
                os.killpg(process.pid, number)
            elif was_running:
                process.send_signal(number)
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return was_running

    def survivors(self) -> list[str]:
        """Processes of this home that have not ended within ten seconds."""
        end = time.monotonic() + 10
        while (left := list(self._processes())) and time.monotonic() < end:
            time.sleep(0.2)
        return left

    def _processes(self) -> Iterator[str]:
        mark = f"RARECALL_HOME={self.home}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                name, _, facts = (folder / "stat").read_text().rpartition(")")
                if facts.split()[0] != "Z" and name.endswith("(rarecall-trial"):
                    yield name
                if facts.split()[0] != "Z" and mark in (folder / "environ").read_bytes().split(b"\0"):
                    yield (folder / "cmdline").read_text().replace("\0", " ")[:120]

    def event(self, name: str) -> Callable[[], bool]:
        """Whether a stage has begun: its lock is there, or its first file."""
        patterns = {
            "start": ".", "dagster": "dagster/*", "catalog": ".rarecall.duckdb.*.tmp", "figures": "report/figures/*",
            "report": "report/.*.tmp", "checkpoint-files": "checkpoints/*",
        }  # fmt: skip
        folder, pattern = self.home, patterns.get(name, f"tables/{name}/*/.lock")
        if name == "start":
            return lambda: True
        before = set(folder.glob(pattern))
        return lambda: bool(set(folder.glob(pattern)) - before)

    def contents(self) -> Contents:
        """Rows and their hash, part by part, of every partition of every table."""
        found: Contents = {}
        for file in sorted((self.home / "tables").glob("*/*/_manifest.json")):
            parts = json.loads(file.read_text())["parts"]
            found[f"{file.parent.parent.name}/{file.parent.name}"] = [(p["row_count"], p["rows_sha256"]) for p in parts]
        return found

    def intact_parts(self) -> dict[str, int]:
        """Finished parts, waiting or published, by table, partition and name, with their time of writing in ns.

        Names carry the hash of the content, so parts without rows have one name in many partitions.
        """
        tables = self.home / "tables"
        return {
            "/".join((*file.relative_to(tables).parts[:2], file.name)): file.stat().st_mtime_ns
            for file in tables.rglob("part-*.parquet")
            if hashlib.sha256(file.read_bytes()).hexdigest().startswith(file.stem.rpartition("-")[2])
        }

    def torn(self) -> list[str]:
        """Published parts that are missing or do not agree with their manifest's checksum: there must never be one."""
        wrong = []
        for file in (self.home / "tables").glob("*/*/_manifest.json"):
            for part in json.loads(file.read_text())["parts"]:
                path = file.parent / part["name"]
                if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != part["sha256"]:
                    wrong.append(f"{file.parent.parent.name}/{file.parent.name}/{path.name}")
        return wrong

    def temporary_files(self) -> list[str]:
        """Names of files and folders that were only meant for the moment."""
        return [f.name for f in self.home.rglob("*") if f.name.endswith(".tmp") or ".writable" in f.name]

    def for_gc(self) -> dict[str, int]:
        """Temporary files that `rarecall gc` lists, with their size: what SIGKILL cut off in being written."""
        from warehouse.garbage import find_garbage
        from warehouse.home import Home

        return {one.path.name: one.byte_count for one in find_garbage(Home(self.home)) if ".tmp" in one.path.name}

    def leftovers(self) -> list[str]:
        """What a finished run must not leave: temporary files that `gc` does not list, staged parts, open runs."""
        from orchestration.run.instance import open_instance
        from warehouse.home import Home

        listed = self.for_gc()
        files = [name for name in self.temporary_files() if name not in listed]
        files += [f.name for f in self.home.rglob(".staging*")]
        with open_instance(Home(self.home)) as instance:
            return files + [f"run of {run.job_name} in progress" for run in instance.get_runs() if not run.is_finished]
