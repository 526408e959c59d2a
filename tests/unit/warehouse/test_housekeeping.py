"""Damage is found by checksum and only it is made again; garbage is named before it goes; layouts are versioned."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from orchestration.run.instance import has_unfinished_runs
from warehouse import home as home_module
from warehouse.catalog.publish import is_published, publish_catalog
from warehouse.catalog.queries import query
from warehouse.errors import QueryError, WarehouseError
from warehouse.garbage import find_garbage, remove_garbage
from warehouse.home import Home
from warehouse.record import parts
from warehouse.record.consistency import consistent_partitions
from warehouse.record.integrity import examine_record, repair
from warehouse.record.parts import TableStore, partition_lock
from warehouse.registrations import register
from warehouse.registry import TABLES, Table

INPUTS = {"rungs": {256: 1, 16: 2, 4: 3}, "upstream": {}}
LADDER = "duplication_ladder"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").prepare()


def write(home: Home, partition: str = "c1", inputs: dict | None = None, copies: int = 1, shards: int = 3) -> list[int]:
    """Write what is missing of a partition; returns the shards that were computed."""
    writer = TableStore.of(home, LADDER).writer(partition, inputs or INPUTS, shards)
    missing = writer.missing()
    for shard in missing:
        frame = pl.DataFrame(
            {
                "paragraph_id": [f"p{shard}"],
                "duplication_group": "×1",
                "copies_count": copies,
                "complete_exposure_count": copies,
            }
        )
        writer.write(shard, frame, corpus_id=partition)
    writer.finish()
    return missing


def spoil(path: Path, keep_time: bool = False) -> None:
    before, data = path.stat(), bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    if keep_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_integer_keys_survive_being_written(home: Home) -> None:
    write(home)
    store = TableStore.of(home, LADDER)
    assert store.is_current("c1", INPUTS) and store.manifest("c1") is not None


def test_a_changed_byte_is_found_and_only_its_part_is_made_again(home: Home) -> None:
    write(home)
    store = TableStore.of(home, LADDER)
    files = store.files("c1")
    before = [file.stat().st_mtime_ns for file in files]
    spoil(files[1])
    assert not store.is_current("c1", INPUTS)
    assert write(home) == [1]
    assert store.files("c1") == files and examine_record(home).damages == []
    assert [file.stat().st_mtime_ns for file in files][::2] == before[::2]


def test_a_missing_part_is_made_again_alone(home: Home) -> None:
    write(home)
    TableStore.of(home, LADDER).files("c1")[2].unlink()
    assert not TableStore.of(home, LADDER).is_current("c1", INPUTS)
    assert write(home) == [2]


def test_sound_parts_are_read_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home)
    store = TableStore.of(home, LADDER)
    for file in store.files("c1"):
        os.utime(file)
    read: list[Path] = []
    checksum = parts.file_sha256
    monkeypatch.setattr(parts, "file_sha256", lambda path: (read.append(path), checksum(path))[1])
    assert store.is_current("c1", INPUTS) and len(read) == 3
    assert store.is_current("c1", INPUTS) and len(read) == 3


def test_doctor_sees_what_keeps_its_time_and_repairs_it(home: Home) -> None:
    write(home)
    store = TableStore.of(home, LADDER)
    spoil(store.files("c1")[0], keep_time=True)
    (damage,) = examine_record(home).damages
    assert damage.file == store.files("c1")[0].name and "doctor --repair" in damage.sentence
    repair(home, [damage])
    assert write(home) == [0] and examine_record(home).damages == []


def test_a_damaged_manifest_keeps_the_parts(home: Home) -> None:
    write(home)
    (TableStore.of(home, LADDER).folder("c1") / "_manifest.json").write_text("{")
    (damage,) = examine_record(home).damages
    assert "_manifest.json" in damage.sentence
    assert write(home) == []


def test_rows_of_another_version_are_left_out_and_left_alone(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home, "old")
    old = TableStore.of(home, LADDER).files("old")
    later = TABLES[LADDER]
    later = Table(later.name, later.partition, later.grain, later.description, later.columns, later.version + 1)
    monkeypatch.setitem(TABLES, LADDER, later)
    write(home, "new")
    publish_catalog(home)
    publish_catalog(home)
    assert query(home, f"SELECT DISTINCT corpus_id FROM {LADDER}")["corpus_id"].to_list() == ["new"]
    assert all(file.exists() for file in old)
    assert examine_record(home).outdated == [(LADDER, "old")]
    assert [g.why for g in find_garbage(home)] == ["rows of another version of the table"]


def test_garbage_is_named_and_only_then_removed(home: Home) -> None:
    write(home)
    for version in range(3):
        write(home, inputs={"version": version, "upstream": {}}, copies=version)
        publish_catalog(home)
    kept = set(home.tables.rglob("part-*.parquet"))
    folder = TableStore.of(home, LADDER).folder("c1")
    (folder / "part-00000-000000000000-000000000000.parquet").write_bytes(b"x" * 100)
    (home.root / ".report.999999999.tmp").write_bytes(b"x")
    (home.root / f".mine.{os.getpid()}.tmp").write_bytes(b"x")
    writer = TableStore.of(home, LADDER).writer("c2", INPUTS, 2)
    writer.write(
        0,
        pl.DataFrame({"paragraph_id": ["a"], "duplication_group": "", "copies_count": 1, "complete_exposure_count": 1}),
        corpus_id="c2",
    )
    for name in ("gone", "there"):
        (home.partition_folder("scores", "checkpoint", name)).mkdir(parents=True)
    register(home, "checkpoints", "there", {"source": "/x", "corpus_id": "c1"})
    found = find_garbage(home)
    assert sorted(str(g.path.relative_to(home.root)) for g in found) == [
        ".report.999999999.tmp",
        f"tables/{LADDER}/corpus=c1/part-00000-000000000000-000000000000.parquet",
        "tables/scores/checkpoint=gone",
    ]
    assert writer.staging in {g.path for g in find_garbage(home, older_than_days=-1)}
    assert all(garbage.path.exists() for garbage in found)
    assert remove_garbage(home, found) == 101
    assert not any(garbage.path.exists() for garbage in found)
    assert kept <= set(home.tables.rglob("part-*.parquet")) and is_published(home)


def test_garbage_of_a_partition_at_work_stays(home: Home) -> None:
    write(home)
    store = TableStore.of(home, LADDER)
    stray = store.folder("c1") / "part-00000-000000000000-000000000000.parquet"
    stray.write_bytes(b"x")
    found = find_garbage(home)
    with partition_lock(store, "c1"):
        remove_garbage(home, found)
        assert stray.exists()


def test_a_home_of_a_newer_version_is_refused_untouched(home: Home) -> None:
    home.layout.write_text(json.dumps({"layout": home_module.LAYOUT + 1}))
    before = {path: path.read_bytes() for path in home.root.rglob("*") if path.is_file()}
    with pytest.raises(WarehouseError, match="of a newer rarecall"):
        home.prepare()
    assert before == {path: path.read_bytes() for path in home.root.rglob("*") if path.is_file()}


def test_older_homes_are_migrated_step_by_step(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    monkeypatch.setattr(home_module, "LAYOUT", 3)
    monkeypatch.setattr(home_module, "MIGRATIONS", {1: lambda _: steps.append(1), 2: lambda _: steps.append(2)})
    home.prepare()
    home.prepare()
    assert steps == [1, 2] and json.loads(home.layout.read_text()) == {"layout": 3}


def test_an_unreadable_version_is_refused(home: Home) -> None:
    home.layout.write_text("[]")
    with pytest.raises(WarehouseError, match=r"home\.json cannot be read"):
        home.prepare()


def test_a_moved_home_says_so(home: Home, tmp_path: Path) -> None:
    write(home)
    publish_catalog(home)
    home.root.rename(tmp_path / "moved")
    with pytest.raises(QueryError, match="rarecall relocate"):
        query(Home(tmp_path / "moved"), "SELECT 1")


def test_waiting_parts_outlive_a_week_of_absence_but_not_more(home: Home) -> None:
    writer = TableStore.of(home, LADDER).writer("c2", INPUTS, 2)
    writer.write(
        0,
        pl.DataFrame({"paragraph_id": ["a"], "duplication_group": "", "copies_count": 1, "complete_exposure_count": 1}),
        corpus_id="c2",
    )
    assert find_garbage(home, older_than_days=7) == []
    then = time.time() - 8 * 86_400
    for path in (writer.staging, *writer.staging.iterdir()):
        os.utime(path, (then, then))
    (found,) = find_garbage(home, older_than_days=7)
    assert found.path == writer.staging


def test_rows_about_something_that_is_gone_are_kept_but_not_shown(home: Home) -> None:
    write(home, "c1")
    store = TableStore.of(home, LADDER)
    write(home, "over-c1", inputs={"upstream": {LADDER: store.manifest("c1").content_sha256}}, copies=2)
    write(home, "over-nothing", inputs={"upstream": {LADDER: "0" * 64}}, copies=3)
    write(home, "over-that", inputs={"upstream": {LADDER: store.manifest("over-nothing").content_sha256}}, copies=4)
    assert consistent_partitions(home)[LADDER] == {"c1", "over-c1"}
    publish_catalog(home)
    publish_catalog(home)
    assert set(query(home, f"SELECT DISTINCT corpus_id FROM {LADDER}")["corpus_id"]) == {"c1", "over-c1"}
    assert all(file.exists() for file in store.files("over-that")) and is_published(home)


@pytest.mark.parametrize(("status", "expected"), [("SUCCESS", False), ("STARTED", True), ("NOT_STARTED", True)])
def test_unfinished_runs_are_seen_without_dagster(tmp_path: Path, status: str, expected: bool) -> None:
    home = Home(tmp_path / "home").prepare()
    assert not has_unfinished_runs(home)
    history = home.dagster / "history" / "runs.db"
    history.parent.mkdir(parents=True)
    with closing(sqlite3.connect(history)) as connection:
        connection.execute("CREATE TABLE runs (status TEXT)")
        connection.execute("INSERT INTO runs VALUES (?)", (status,))
        connection.commit()
    assert has_unfinished_runs(home) is expected
    history.write_bytes(b"no history")
    assert has_unfinished_runs(home)  # Dagster has to say what it is
