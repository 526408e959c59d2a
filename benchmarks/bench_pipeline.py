"""What the pipeline itself costs: a run without changes, a checkpoint's partition, a publication, and an arrival.

    python benchmarks/bench_pipeline.py [--home HOME --profile PROFILE]

Without a home a small one is made first (about a minute). Everything happens in copies. Seconds of wall clock, median
over rounds, and ratios to the cost of starting Python with torch, transformers and Dagster, which a process with work
to do cannot avoid; a run without changes imports none of them.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from tests.support.acceptance_home import environment, rarecall, write_profile  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "pipeline.md"
IMPORTS = "import torch, transformers, dagster, orchestration.definitions"


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--profile", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home, profile = _home(options, Path(folder))
        rows = list(_measured(home, profile, options.rounds))
    text = _table(rows, options)
    RESULTS.write_text(text)
    print(text)


def _home(options: argparse.Namespace, work: Path) -> tuple[Path, Path]:
    """A home that may be changed, and its profile."""
    home = work / "home"
    if options.home:
        shutil.copytree(options.home, home, symlinks=True)
        _run(home, "relocate")
    profile = options.profile or write_profile(work)
    _run(home, "run", "-p", profile)
    return home, profile


def _measured(home: Path, profile: Path, rounds: int) -> list[tuple[str, float]]:
    return [
        ("start of Python with torch, transformers and Dagster", _median(lambda: _imports(home), rounds)),
        ("`rarecall run` when nothing has changed", _median(lambda: _run(home, "run", "-p", profile), rounds)),
        ("`rarecall query`", _median(lambda: _run(home, "query", "SELECT count(*) FROM scores"), rounds)),
        ("publication of the warehouse (views, marts, checks)", _median(lambda: _publish(home), rounds)),
        *_partition(home, profile, rounds),
        ("a checkpoint lands → its rows answer a query, all measured", _arrival(home, profile)),
    ]  # fmt: skip


def _partition(home: Path, profile: Path, rounds: int) -> list[tuple[str, float]]:
    """Jobs of a measured checkpoint in one process: Dagster, locks, reading and showing; nothing to compute."""
    from assets.framework.profile import load_profile
    from assets.framework.stage import Scope
    from orchestration.run.executor import Executor
    from orchestration.run.flow import Step, checkpoints_of
    from warehouse.home import Home

    scope = Scope(Home(home), load_profile(str(profile)))
    executor, name = Executor(scope, str(profile), lambda: None), checkpoints_of(scope)[-1]
    executor.run(Step("checkpoint", name))
    seconds = _median(lambda: executor.run(Step("checkpoint", name)), rounds)
    return [("overhead of a checkpoint's partition: all its stages, nothing to compute", seconds)]


def _arrival(home: Path, profile: Path) -> float:
    """From the last file of a new checkpoint to an answer about it, by `rarecall run`; its files have settled."""
    source = sorted((home / "checkpoints").iterdir())[-1]
    target = home / "checkpoints" / "arrived-step-99999"
    shutil.copytree(source, target)
    for file in target.iterdir():
        os.utime(file, (time.time() - 60,) * 2)
    start = time.monotonic()
    _run(home, "run", "-p", profile)
    asked = "SELECT count(*) AS n FROM scores WHERE checkpoint_id = 'arrived-step-99999'"
    answer = _run(home, "query", "-f", "csv", asked).stdout.split()
    assert int(answer[1]) > 0, answer
    return time.monotonic() - start


def _publish(home: Path) -> None:
    from warehouse.catalog.publish import publish_catalog
    from warehouse.home import Home

    publish_catalog(Home(home))


def _imports(home: Path) -> None:
    subprocess.run([sys.executable, "-c", IMPORTS], env=environment(home), check=True)


def _run(home: Path, *words: object) -> subprocess.CompletedProcess[str]:
    result = rarecall(home, *words, limit=900)
    assert result.returncode == 0, result.stderr
    return result


def _median(work: Callable[[], object], rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        start = time.monotonic()
        work()
        seconds.append(time.monotonic() - start)
    return statistics.median(seconds)


def _table(rows: list[tuple[str, float]], options: argparse.Namespace) -> str:
    start = rows[0][1]
    of = f"the profile {options.profile.stem}" if options.profile else "the small profile of the acceptance tests"
    lines = [
        "# Pipeline overhead", "",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {of}, median of "
        f"{options.rounds} rounds; load average {os.getloadavg()[0]:.1f} at the end.", "",
        "| what | seconds | times the start of Python |", "|---|---:|---:|",
        *(f"| {what} | {seconds:.2f} | {seconds / start:.1f} |" for what, seconds in rows),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
