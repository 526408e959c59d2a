"""A published file that another program touched is neither shown nor taken for current."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import polars as pl
import pytest

from orchestration.home.doctor import examine
from warehouse.catalog import publish
from warehouse.catalog.publish import is_altered, is_published, publish_catalog
from warehouse.catalog.queries import query
from warehouse.errors import QueryError
from warehouse.files import write_json
from warehouse.home import Home
from warehouse.record.parts import TableStore

COUNT = "SELECT count(*) AS n FROM duplication_ladder"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home").prepare()
    writer = TableStore.of(home, "duplication_ladder").writer("c1", {"upstream": {}}, 1)
    writer.write(
        0,
        pl.DataFrame(
            {"paragraph_id": ["a"], "duplication_group": "", "copies_count": 1, "complete_exposure_count": 1.0}
        ),
        corpus_id="c1",
    )
    writer.finish()
    publish_catalog(home)
    assert is_published(home) and not is_altered(home)
    return home


def change_a_value(home: Home) -> None:
    with duckdb.connect(str(home.database)) as connection:
        connection.execute("CREATE OR REPLACE VIEW duplication_ladder AS SELECT 1 AS i FROM range(99)")


def flip_a_byte(home: Home) -> None:
    data = bytearray(home.database.read_bytes())
    data[-100] ^= 1
    home.database.write_bytes(data)


def leave_a_log(home: Home) -> None:
    """As a program does that is killed: its changes wait beside the file, and DuckDB shows them to readers."""
    copied = home.root / "copy.duckdb"
    shutil.copy(home.database, copied)
    with duckdb.connect(str(copied)) as connection:
        connection.execute("SET wal_autocheckpoint = '1GB'")
        connection.execute("DROP VIEW duplication_ladder")
        shutil.copy(f"{copied}.wal", f"{home.database}.wal")
    copied.unlink()


@pytest.mark.parametrize("alter", [change_a_value, flip_a_byte, leave_a_log])
def test_what_another_program_did_is_refused_named_and_undone(home: Home, alter) -> None:
    alter(home)
    assert not is_published(home)
    with pytest.raises(QueryError, match=r"another program has changed|cannot be opened \(Corrupt"):
        query(home, COUNT)
    assert any("damaged" in finding.what for finding in examine(home) if not finding.is_fine)
    publish_catalog(home)
    assert is_published(home) and query(home, COUNT)["n"].to_list() == [1]


def test_a_reader_between_the_file_and_its_note_is_answered(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is replaced first; a process that is killed there leaves a catalog that is sound but not current."""
    written = []

    def killed_at_the_last_note(*note) -> None:
        written.append(note)
        if len(written) == 2:
            raise InterruptedError
        write_json(*note)

    monkeypatch.setattr(publish, "write_json", killed_at_the_last_note)
    with pytest.raises(InterruptedError):
        publish_catalog(home)
    assert query(home, COUNT)["n"].to_list() == [1]
    assert not is_published(home)


def test_a_catalog_of_before_such_notes_is_shown_and_published_again(home: Home) -> None:
    note = home.root / "catalog.json"
    note.write_text(note.read_text().replace('"files"', '"older"'))
    assert query(home, COUNT)["n"].to_list() == [1] and not is_published(home)
