"""Shared by all tests: one thread per process (two workers share two cores), and no way to a model hub."""

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from warehouse.home import Home

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RARECALL_PARALLEL_CHECKPOINTS", "1")  # the tests of side by side ask for more themselves
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


SLOWEST_FILES = (
    "test_resume.py",  # makes the finished home of the acceptance tests; the others of them come when it is there
    "test_scoring_stages.py",
    "test_editing_stage.py",
    "test_flow.py",
    "test_damage.py",
    "test_ui.py",
)
"""Longest first, so that no worker is left alone with one of them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files in this order, then the others; `make test` keeps xdist from sorting them by their number of tests."""
    place = {name: number for number, name in enumerate(SLOWEST_FILES)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> "Home":
    """A published home of invented measurements with its report; read only."""
    from tests.support.results_world import published_world

    return published_world(tmp_path_factory.mktemp("world"))
