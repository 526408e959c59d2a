"""For `mutation_run.py`: run a room's tests once and note which pass by which line, and how long each takes."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(sys.argv[4])  # last, so that its packages take no place of ours
import coverage


class Noting:
    """Tells coverage which test is at work; what a fixture of a module does belongs to the test that came first."""

    def __init__(self, tracer: coverage.Coverage):
        self.tracer, self.seconds = tracer, dict[str, float]()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Begin a test."""
        self.tracer.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """End a phase of a test; only those that passed are of use."""
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.outcome != "passed":
            self.seconds[report.nodeid] = float("-inf")


def main(room: str, data: str, times: str, tests: list[str]) -> None:
    """Trace a room while its tests run."""
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.path.insert(0, str(Path.cwd()))
    sys.dont_write_bytecode = True
    tracer = coverage.Coverage(data_file=data, source=[room], config_file=False, concurrency=["thread"])
    tracer.start()
    noting = Noting(tracer)
    pytest.main(["-q", "-n", "0", "-p", "no:cacheprovider", *tests], plugins=[noting])
    tracer.stop()
    tracer.save()
    passed = {name: seconds for name, seconds in noting.seconds.items() if seconds > float("-inf")}
    Path(times).write_text(json.dumps(passed))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[5:])
