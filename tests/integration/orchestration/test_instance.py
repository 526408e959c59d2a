"""The Dagster instance of a home: opened by many at once, it is made once."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import pytest

from orchestration.run.instance import make_databases, open_instance, prepare_instance
from warehouse.home import Home

OPENERS = 6


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def test_many_that_open_a_new_home_at_once_make_one_history(home):
    """Without the lock most of them fail, and the history has two versions for ever (two `rarecall run` at once)."""
    prepare_instance(home)
    start = Barrier(OPENERS)

    def _open(_):
        start.wait()
        with open_instance(home) as instance:
            return instance.get_runs_count()

    with ThreadPoolExecutor(OPENERS) as pool:
        assert list(pool.map(_open, range(OPENERS))) == [0] * OPENERS
    for name in ("history/runs.db", "history/runs/index.db", "schedules/schedules.db"):
        with closing(sqlite3.connect(home.dagster / name)) as connection:
            assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,), name


def test_databases_are_there_before_the_ui_starts_programs_that_open_them(home):
    make_databases(home)
    made = {file: file.stat().st_mtime_ns for file in home.dagster.rglob("*.db")}
    make_databases(home)
    assert len(made) == 3 and made == {file: file.stat().st_mtime_ns for file in home.dagster.rglob("*.db")}
