"""Shared by all tests: one thread per process (the workers share two cores), and no way to a model hub."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from tests.support import REPOSITORY

if TYPE_CHECKING:
    from tests.support.finished_home import Finished
    from warehouse.home import Home

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RARECALL_PARALLEL_CHECKPOINTS", "1")  # the tests of side by side ask for more themselves
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


FIRST_FILES = (
    "test_ui.py",  # waits for a browser most of the time; makes the finished home that others take their copies of
    "test_report_in_browser.py",
    "test_scoring_stages.py",
    "test_editing_stage.py",
    "test_resume.py",
    "test_side_by_side.py",
    "test_damage.py",
    "test_flow.py",
)
"""In this order, browsers and the longest first, so that no worker is left alone with one of them at the end."""
TESTS_APART = {"test_resume.py", "test_side_by_side.py", "test_damage.py", "test_ui_crash.py"}
"""Files whose tests share nothing but the finished home: any worker may take any of them."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order, and what has to stay in one worker: a file, whose fixtures are then made once, or a single test."""
    place = {name: number for number, name in enumerate(FIRST_FILES)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))
    for item in items:
        apart = item.path.name in TESTS_APART
        item.add_marker(pytest.mark.xdist_group(item.nodeid if apart else str(item.path.relative_to(REPOSITORY))))


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> "Home":
    """A published home of invented measurements with its report; read only."""
    from tests.support.results_world import published_world

    return published_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> "Finished":
    """The small profile, run once per test session through the real command line.

    RARECALL_ACCEPTANCE names a folder that keeps it from session to session while one works on a test.
    """
    from tests.support.acceptance_home import rarecall, write_profile
    from tests.support.finished_home import Finished

    base = tmp_path_factory.getbasetemp()
    kept = os.environ.get("RARECALL_ACCEPTANCE")
    root = Path(kept) if kept else (base if worker_id == "master" else base.parent) / "finished"
    with FileLock(f"{root}.lock"):
        if not (root / "stderr").exists():
            root.mkdir(exist_ok=True)
            result = rarecall(root / "home", "run", "-p", write_profile(root))
            assert result.returncode == 0, result.stderr
            (root / "stdout").write_text(result.stdout)
            (root / "stderr").write_text(result.stderr)
    return Finished(
        root / "home", root / "profile-0.toml", (root / "stdout").read_text(), (root / "stderr").read_text()
    )
