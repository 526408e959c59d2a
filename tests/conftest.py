"""Shared by all tests: one thread per process (two workers share two cores), and no way to a model hub."""

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from warehouse.home import Home

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> "Home":
    """A published home of invented measurements with its report; read only."""
    from results_world import published_world

    return published_world(tmp_path_factory.mktemp("world"))
