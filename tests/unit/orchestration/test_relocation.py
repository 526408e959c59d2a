"""A moved home: every column that the registry calls a path is corrected, and no other holds one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from orchestration.home.relocation import relocate_home
from warehouse.catalog.publish import publish_catalog
from warehouse.catalog.queries import query
from warehouse.home import Home
from warehouse.record.parts import TableStore
from warehouse.registry import TABLES, Table
from warehouse.registry.schema import arrow_type

PATHS = {(table.name, column) for table in TABLES.values() for column in table.paths}


def invented(table: Table, root: Path) -> pl.DataFrame:
    """One row of a table: paths below `root` in its path columns, in the others something of their type."""
    row: dict[str, Any] = {}
    for column in table.columns:
        kind = column.type.removesuffix("[]")
        value = {"VARCHAR": "hub/name", "BOOLEAN": False}.get(kind, 0)
        row[column.name] = [[value]] if column.type.endswith("[]") else [value]
        if column.is_path:
            row[column.name] = [f"{root}/corpora/{column.name}"]
    frame = pl.DataFrame(row)
    return pl.DataFrame(frame.to_arrow().cast(table.arrow_schema))


@pytest.fixture
def moved(tmp_path: Path) -> Home:
    """A home with a row in every table that has paths, published, then moved."""
    home = Home(tmp_path / "before").prepare()
    for name in {name for name, _ in PATHS}:
        writer = TableStore.of(home, name).writer("one", {"upstream": {}}, 1)
        frame = invented(TABLES[name], home.root)
        writer.write(0, frame)
        writer.finish()
    publish_catalog(home)
    return Home(home.root.rename(tmp_path / "after"))


def test_the_registry_knows_the_paths_of_corpora_tokenizers_and_checkpoints() -> None:
    expected = {
        ("corpora", "tokens_folder"),
        ("corpora", "tokenizer"),
        ("tokenizers", "source"),
        ("checkpoints", "source"),
    }
    assert expected <= PATHS


def test_paths_are_text() -> None:
    assert all(arrow_type(c.type) == "string" for t in TABLES.values() for c in t.columns if c.is_path)


def test_every_path_column_is_corrected(moved: Home) -> None:
    assert relocate_home(moved) == len({name for name, _ in PATHS})
    for table, column in sorted(PATHS):
        found = query(moved, f"SELECT {column} FROM {table}")[column].to_list()
        assert found == [f"{moved.root}/corpora/{column}"], (table, column)


def test_a_second_relocation_finds_nothing_to_do(moved: Home) -> None:
    relocate_home(moved)
    assert relocate_home(moved) == 0


def test_paths_that_the_ui_shows_are_corrected_too(moved: Home) -> None:
    import dagster as dg

    from orchestration.run.instance import open_instance

    before = moved.root.with_name("before")
    metadata = {
        "path": dg.MetadataValue.path(f"{before}/tables/scores"),
        "beside": f"{before}-not/x",
        "home": str(before),
    }
    with open_instance(moved) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("scores", metadata=metadata))
    relocate_home(moved)
    with open_instance(moved) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("scores"))
    assert event is not None and event.asset_materialization is not None
    found = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    assert found == {"path": f"{moved.root}/tables/scores", "beside": f"{before}-not/x", "home": str(moved.root)}
