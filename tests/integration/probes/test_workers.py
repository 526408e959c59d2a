"""One contract, every engine: the same results whoever works, whoever dies."""

from __future__ import annotations

import importlib.util
import os
import pickle
import sys
import time
from dataclasses import replace
from functools import partial

import pytest

from probes.errors import ProbeError
from probes.forward.inputs import NonFiniteScore
from probes.workers import EngineSettings, run_shards
from tests.support import scoring_shards as shards_

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (extra `ray`)")
LIMIT_S = 240.0  # hard, and far above what any shard here takes


@pytest.fixture(scope="module")
def ray_cluster():
    """Two workers on this machine for all tests of the module."""
    from probes.workers.ray import connected

    with connected(EngineSettings(kind="ray", workers=2, cpus_per_worker=0.5)):
        yield


@pytest.fixture(params=["this process", "two processes", pytest.param("ray", marks=needs_ray)], scope="module")
def engine(request) -> EngineSettings:
    if request.param == "ray":
        request.getfixturevalue("ray_cluster")
        return EngineSettings(kind="ray", workers=2, cpus_per_worker=0.5, shard_limit_s=LIMIT_S)
    if request.param == "this process":
        return EngineSettings()
    return EngineSettings(workers=2, shard_limit_s=LIMIT_S)


@pytest.fixture
def workers(engine) -> EngineSettings:
    """Engines that have workers which can die."""
    if engine.shard_limit_s is None:
        pytest.skip("this process cannot die and go on")
    return engine


def test_every_shard_comes_back_once_with_its_index(engine):
    assert sorted(run_shards(shards_.nothing, shards_.add, [5, 6, 7, 8, 9], engine)) == [
        (index, 1005 + index) for index in range(5)
    ]
    assert list(run_shards(shards_.nothing, shards_.add, [], engine)) == []


def test_an_error_of_the_work_comes_back_as_it_is(engine):
    with pytest.raises(NonFiniteScore, match="paragraph 7") as error:
        list(run_shards(shards_.nothing, shards_.refuse_two, [1, 2, 3], engine))
    assert (error.value.row, error.value.position) == (7, 9)


def test_an_error_of_the_setup_comes_back(engine):
    with pytest.raises(ProbeError, match="checkpoint x is incomplete"):
        list(run_shards(shards_.broken_setup, shards_.add, [1], engine))


def test_an_error_that_cannot_be_sent_comes_back_as_its_text(workers):
    with pytest.raises(Exception, match="told you"):
        list(run_shards(shards_.nothing, shards_.raise_something_odd, [1], workers))


def test_a_worker_that_dies_loses_nothing(workers, tmp_path):
    work = partial(shards_.die_once_on_three, tmp_path)
    assert sorted(run_shards(shards_.nothing, work, range(6), workers)) == [(index, 1000 + index) for index in range(6)]
    assert (tmp_path / "met-3").exists()


def test_a_worker_that_hangs_is_killed_and_its_shard_done_by_another(workers, tmp_path):
    limited = replace(workers, shard_limit_s=8.0 if workers.kind == "ray" else 5.0)
    begin = time.monotonic()
    work = partial(shards_.hang_once_on_one, tmp_path)
    assert sorted(run_shards(shards_.nothing, work, range(3), limited)) == [(index, 1000 + index) for index in range(3)]
    assert time.monotonic() - begin < 60


def test_a_shard_that_kills_every_worker_is_named(workers):
    twice = replace(workers, attempts=2)
    with pytest.raises(ProbeError, match="shard 1 was lost 2 times"):
        list(run_shards(shards_.nothing, shards_.always_die_on_one, range(3), twice))


def test_two_workers_are_two_processes(workers):
    found = {pid for _, pid in run_shards(shards_.nothing, shards_.process_id, range(12), workers)}
    assert len(found) == 2


@pytest.mark.parametrize(
    "settings", [{"kind": "spark"}, {"workers": 0}, {"attempts": 0}, {"cpus_per_worker": 0}, {"shard_limit_s": 0}]
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ProbeError):
        EngineSettings(**settings)


def test_a_missing_ray_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ProbeError, match=r"pip install rarecall\[ray\]"):
        list(run_shards(shards_.nothing, shards_.add, [1], EngineSettings(kind="ray")))


def test_errors_with_facts_survive_being_sent():
    sent = pickle.loads(pickle.dumps(NonFiniteScore(3, 4)))
    assert (sent.row, sent.position, str(sent)) == (3, 4, str(NonFiniteScore(3, 4)))


def test_threads_are_fixed_for_the_work_and_left_alone_otherwise():
    import torch

    before = torch.get_num_threads()
    found = list(run_shards(shards_.nothing, shards_.thread_count, [0], EngineSettings(threads_per_worker=before + 1)))
    assert found == [(0, before + 1)]
    assert torch.get_num_threads() == before


@needs_ray
def test_ray_listens_here_only_asks_for_a_token_and_leaves_none_behind(ray_cluster):
    import ray

    assert ray.nodes()[0]["NodeManagerAddress"] == "127.0.0.1"
    assert os.environ.get("RAY_AUTH_MODE", "token") == "token"
