"""Promises that a run with changed lines (benchmarks/mutation_run.py) found without a test."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import sql
from warehouse import home as home_module
from warehouse.catalog import publish
from warehouse.catalog.queries import query
from warehouse.catalog.stream import resident_bytes
from warehouse.errors import WarehouseError
from warehouse.home import Home
from warehouse.registry import TABLES
from warehouse.registry.derived import meaning


def test_a_migration_that_was_interrupted_goes_on_behind_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, steps = Home(tmp_path / "home").prepare(), []

    def second(_: Home) -> None:
        steps.append(2)
        if steps.count(2) == 1:
            raise WarehouseError("the disk is full.")

    monkeypatch.setattr(home_module, "LAYOUT", 3)
    monkeypatch.setattr(home_module, "MIGRATIONS", {1: lambda _: steps.append(1), 2: second})
    with pytest.raises(WarehouseError):
        home.prepare()
    assert json.loads(home.layout.read_text()) == {"layout": 2}
    home.prepare()
    assert steps == [1, 2, 2]


def test_memory_is_what_the_system_says() -> None:
    said = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert said is not None and resident_bytes() == pytest.approx(int(said[1]) * 1024, rel=0.1)


def test_a_column_of_a_view_means_what_it_means_in_its_table() -> None:
    for table in TABLES.values():
        for column in table.columns:
            of_that_name = {c.comment for t in TABLES.values() for c in t.columns if c.name == column.name}
            found, without_tables = meaning(column.name, TABLES), meaning(column.name, {})
            assert found in of_that_name or found == without_tables, column.name


def test_a_question_of_ours_that_fails_is_named_and_the_published_catalog_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home").prepare()
    publish.publish_catalog(home)
    before, loaded = home.database.read_bytes(), sql.load

    def spoilt(folder: str) -> dict[str, sql.Query]:
        found = dict(loaded(folder))
        if folder == "views":
            name = sorted(found)[0]
            found[name] = sql.Query(name, "SELECT no_such_column FROM scores")
        return found

    monkeypatch.setattr(sql, "load", spoilt)
    with pytest.raises(WarehouseError, match=r"sql/…/\w+\.sql failed .*the published catalog is unchanged"):
        publish.publish_catalog(home)
    assert home.database.read_bytes() == before and query(home, "SELECT 1").row(0) == (1,)
    assert not list(home.root.glob("*.tmp*"))
