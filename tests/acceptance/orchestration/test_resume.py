"""Killed, interrupted, out of disk, read while written: what was there stays, the next run ends with the same rows."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestration.run.instance import open_instance
from tests.support.acceptance_home import LIMIT_SECONDS, contents, environment, rarecall, start, write_profile
from tests.support.finished_home import Finished
from warehouse.home import Home
from warehouse.registry import TABLES

HOLD_PATHS = {"tokenizers", "corpora", "checkpoints"}
SEED = 7
READERS = 2
LAST = "small-step-00142"
LATE = ("perturbations", "head_rarity")


def rows_of(home: Path) -> dict[tuple[str, str], list[tuple[int, str]]]:
    """Contents of all partitions, leaving out the tables that hold paths of the home."""
    return {key: parts for key, parts in contents(home).items() if key[0] not in HOLD_PATHS}


def run_until(
    home: Path, profile: Path, table: str, where: str, delay: float, number: signal.Signals
) -> tuple[int, str]:
    """Start a run, wait until a partition of a table is worked on, wait a little more, and send the signal."""
    process = start(home, "run", "-p", profile, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    end = time.monotonic() + LIMIT_SECONDS
    try:
        while process.poll() is None and not any((home / "tables" / table).glob(f"{where}/.lock")):
            assert time.monotonic() < end, f"{table} was not reached"
            time.sleep(0.01)
        time.sleep(delay)
        process.send_signal(number)
        _, said = process.communicate(timeout=300)
    finally:
        process.kill()
        process.wait()
    assert process.returncode != 0, f"the run had ended before {table} was reached"
    if number != signal.SIGKILL:
        assert process.returncode == 1 and "Traceback" not in said
        assert said.splitlines()[-1] == "rarecall: interrupted; run again to resume from the finished parts."


def test_runs_killed_in_corpus_and_training_resume_to_the_same_rows(finished: Finished, tmp_path: Path) -> None:
    """Killed, told to end, and left by its terminal at the first measurement: until there all is the same."""
    moments, home = random.Random(SEED), tmp_path / "home"
    run_until(home, finished.profile, "corpora", "*", moments.uniform(0, 0.6), signal.SIGKILL)
    run_until(home, finished.profile, "training_steps", "*", moments.uniform(0, 0.6), signal.SIGTERM)
    run_until(home, finished.profile, "scores", "*", 0, signal.SIGHUP)
    found, expected = rows_of(home), rows_of(finished.home)
    before_scores = {key for key in expected if TABLES[key[0]].partition == "corpus"}
    assert before_scores <= found.keys() and ("training_steps", "library") in found
    assert found == {key: expected[key] for key in found}
    assert _unfinished_runs(home) == []


def test_a_run_killed_late_resumes_to_the_same_rows(finished: Finished, tmp_path: Path) -> None:
    """From a home in which one checkpoint lacks what comes after its scores."""
    home, moment = finished.copy(tmp_path / "home"), random.Random(SEED).uniform(0, 0.6)
    for table in LATE:
        shutil.rmtree(home / "tables" / table / f"checkpoint={LAST}")
    run_until(home, finished.profile, LATE[0], f"checkpoint={LAST}", moment, signal.SIGKILL)
    result = rarecall(home, "run", "-p", finished.profile)
    assert result.returncode == 0, result.stderr
    assert rows_of(home) == rows_of(finished.home)
    assert _unfinished_runs(home) == []
    assert not [file for file in home.rglob("*") if file.name.endswith(".tmp") or "staging" in file.name]


def _unfinished_runs(home: Path) -> list[str]:
    """Runs the UI would show as in progress."""
    with open_instance(Home(home)) as instance:
        return [run.job_name for run in instance.get_runs() if not run.is_finished]


def test_full_disk_keeps_the_old_part_and_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "small-disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        result = subprocess.run([sys.executable, "-c", FILL], env=environment(folder), capture_output=True, text=True)
    finally:
        subprocess.run(["umount", "-l", folder], check=False)
    assert result.returncode == 0, result.stderr
    assert "the disk is full" in result.stdout and "free space" in result.stdout


FILL = """
import polars as pl, random
from warehouse.errors import WarehouseError
from warehouse.home import Home
from warehouse.registry import TABLES
from warehouse.record.parts import TableStore
home = Home.locate().prepare()
store = TableStore.of(home, "unigram_counts")
def write(rows, inputs):
    values = random.Random(1)
    counts = [values.randrange(2**60) for _ in range(rows)]
    frame = pl.DataFrame({"token_id": range(rows), "token_count": counts}).with_columns(shard=pl.lit(0))
    writer = store.writer("library", inputs, 1)
    writer.write(0, frame, corpus_id="library")
    writer.finish()
write(100, {"try": 1})
before = store.read("library")
try:
    write(400_000, {"try": 2})
    raise SystemExit("the disk was not full")
except WarehouseError as error:
    print(error)
assert store.read("library").equals(before)
assert not list(home.root.rglob("*.tmp"))
"""

READING = """
import sys, time
from pathlib import Path
from warehouse.home import Home
from warehouse.registry import TABLES
from warehouse.catalog.queries import query
home, stop, seen = Home.locate(), Path(sys.argv[1]), set()
asked = "SELECT s.checkpoint_id, count(*) AS n, count(t.position) AS m FROM scores s JOIN token_scores t "
asked += "USING (checkpoint_id, paragraph_id) GROUP BY ALL ORDER BY 1"
loops = 0
while not stop.exists():
    seen.add(tuple(query(home, asked).rows()))
    loops += 1
    time.sleep(1)
print(loops, sorted(seen))
"""


def test_readers_never_notice_a_run_that_republishes(finished: Finished, tmp_path: Path) -> None:
    home, stop = tmp_path / "home", tmp_path / "stop"
    finished.copy(home)
    assert rarecall(home, "relocate").returncode == 0
    changed = write_profile(
        tmp_path, {"permutations = 100": "permutations = 101", str(tmp_path): str(finished.profile.parent)}
    )
    asked = [sys.executable, "-c", READING, str(stop)]
    readers = [
        subprocess.Popen(asked, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(READERS)
    ]
    try:
        before, catalog = rows_of(home), (home / "rarecall.duckdb").read_bytes()
        result = rarecall(home, "run", "-p", changed, "--checkpoint", "small-step-00142")
        assert result.returncode == 0, result.stderr
        after = rows_of(home)
        assert before != after and before.keys() == after.keys()
        assert catalog != (home / "rarecall.duckdb").read_bytes()
    finally:
        stop.touch()
        answers = [reader.communicate(timeout=300) for reader in readers]
    for out, err in answers:
        assert err == ""
        loops, _, seen = out.partition(" ")
        assert int(loops) > 3
        assert seen.strip() == "[(('small-step-00000', 2772, 2772), ('small-step-00142', 2772, 2772))]"
