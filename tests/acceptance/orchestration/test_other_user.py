"""Somebody who may read a home and not write it: reads work, the rest is refused in a sentence, nothing is written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.acceptance_home import one_sentence
from tests.support.other_user import as_other_user, give_away, give_back
from tests.support.results_world import published_world
from warehouse.home import Home
from warehouse.registrations import register

SORTED = "FROM range(3000000) ORDER BY random() LIMIT 1"
REFUSED = (
    ("run",),
    ("gc", "--delete"),
    ("checkpoints", "remove", "kept"),
    ("report", "--redact"),
)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = published_world(tmp_path_factory.mktemp("given")).root
    register(Home(home), "checkpoints", "kept", {"source": str(home)})
    give_away(home)
    yield home
    give_back(home)
    shutil.rmtree(home)


def facts(home: Path) -> dict[Path, tuple[int, int, int]]:
    found = {path: path.lstat() for path in home.rglob("*")}
    return {path: (stat.st_size, stat.st_mtime_ns, stat.st_mode) for path, stat in found.items()}


@pytest.mark.parametrize("words", [("query", SORTED), ("query", "checkpoint_names"), ("report",), ("gc",)])
def test_reading_works(given: Path, words: tuple[str, ...]) -> None:
    before, done = facts(given), as_other_user(given, *words)
    assert done.returncode == 0 and done.stderr == "" and done.stdout, done.stderr
    assert facts(given) == before


@pytest.mark.parametrize("words", REFUSED)
def test_writing_is_refused_and_names_what_could_not_be_written(given: Path, words: tuple[str, ...]) -> None:
    before, done = facts(given), as_other_user(given, *words)
    said = one_sentence(done.stderr)
    assert done.returncode == 1 and ("could not be written" in said or "cannot be written" in said), said
    assert facts(given) == before
