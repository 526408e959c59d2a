"""Cores are divided among steps that work at once, unless the user has said otherwise."""

from __future__ import annotations

import dagster as dg
import pytest

from assets.framework import cores
from assets.framework.errors import RequestError
from orchestration.definitions import chosen_executor


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: 4)
    for name in (cores.PARALLEL_STEPS, cores.PARALLEL_CHECKPOINTS, "OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
        monkeypatch.delenv(name, raising=False)


def test_one_process_by_default_with_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen_executor() is dg.in_process_executor
    assert "OMP_NUM_THREADS" not in cores.os.environ


def test_parallel_steps_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cores.PARALLEL_STEPS, "2")
    monkeypatch.setenv("POLARS_MAX_THREADS", "3")
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert chosen_executor().name == "multiprocess"
    assert (cores.os.environ["OMP_NUM_THREADS"], cores.os.environ["POLARS_MAX_THREADS"]) == ("2", "3")
    monkeypatch.delenv("OMP_NUM_THREADS")


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", ""])
def test_a_wrong_number_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(cores.PARALLEL_STEPS, text)
    with pytest.raises(RequestError, match=cores.PARALLEL_STEPS):
        cores.parallel_steps()
    monkeypatch.setenv(cores.PARALLEL_CHECKPOINTS, text)
    with pytest.raises(RequestError, match=cores.PARALLEL_CHECKPOINTS):
        cores.parallel_checkpoints()


def test_more_steps_than_cores_get_one_each() -> None:
    assert cores.divide_cores(9) == 1
    assert cores.os.environ["OMP_NUM_THREADS"] == "1"


def test_divided_cores_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLARS_MAX_THREADS", "3")
    with cores.cores_divided(2) as share:
        assert share == 2
        assert (cores.os.environ["OMP_NUM_THREADS"], cores.os.environ["POLARS_MAX_THREADS"]) == ("2", "3")
    assert "OMP_NUM_THREADS" not in cores.os.environ and cores.os.environ["POLARS_MAX_THREADS"] == "3"
