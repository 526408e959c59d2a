"""The Parquet record: nothing half, nothing stale, nothing damaged, the same bytes however it was made."""

import errno
import os

import polars as pl
import pytest

from warehouse.errors import WarehouseError
from warehouse.home import Home, check_name
from warehouse.record.parts import TableStore

INPUTS = {"seed": 1}


@pytest.fixture
def store(tmp_path):
    return TableStore.of(Home(tmp_path).prepare(), "duplication_ladder")


def rows(names, copies=4):
    return pl.DataFrame(
        {
            "paragraph_id": names,
            "duplication_group": f"×{copies}",
            "copies_count": copies,
            "complete_exposure_count": copies,
        }
    )


def write_all(store, inputs=INPUTS, shards=(("a", "b"), ("c",))):
    writer = store.writer("c1", inputs, len(shards))
    for shard in writer.missing():
        writer.write(shard, rows(list(shards[shard])), corpus_id="c1")
    return writer.finish()


def test_a_finished_partition_reads_back_in_order(store):
    manifest = write_all(store)
    assert manifest.row_count == 3
    assert store.read("c1")["paragraph_id"].to_list() == ["a", "b", "c"]
    assert store.is_current("c1", INPUTS)
    assert not store.is_current("c1", {"seed": 2})


def test_nothing_is_visible_before_all_shards_are_there(store):
    writer = store.writer("c1", INPUTS, 2)
    writer.write(0, rows(["a"]), corpus_id="c1")
    with pytest.raises(WarehouseError, match="1 of 2 shards are missing"):
        writer.finish()
    assert store.partitions() == []
    assert store.writer("c1", INPUTS, 2).missing() == [1]


def test_an_interrupted_writer_gives_the_same_files_as_an_undisturbed_one(store, tmp_path):
    first = store.writer("c1", INPUTS, 2)
    first.write(1, rows(["c"]), corpus_id="c1")
    resumed = write_all(store)
    other = TableStore.of(Home(tmp_path / "other").prepare(), "duplication_ladder")
    assert resumed.parts == write_all(other).parts


def test_a_damaged_waiting_part_is_made_again(store):
    writer = store.writer("c1", INPUTS, 1)
    writer.write(0, rows(["a"]), corpus_id="c1")
    waiting = next(writer.staging.glob("part-*"))
    waiting.write_bytes(waiting.read_bytes()[:-7])
    assert writer.missing() == [0]


def test_a_full_disk_keeps_the_old_part_and_says_so(store, monkeypatch):
    write_all(store)
    before = {path.name: path.read_bytes() for path in store.files("c1")}

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WarehouseError, match="the disk is full"):
        store.writer("c1", {"seed": 2}, 1).write(0, rows(["z"]), corpus_id="c1")
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in store.files("c1")} == before
    assert not list(store.folder("c1").rglob("*.tmp"))


def test_the_registry_is_enforced_where_parts_are_written(store):
    writer = store.writer("c1", INPUTS, 1)
    with pytest.raises(WarehouseError, match="needs column 'copies_count'"):
        writer.write(0, rows(["a"]).drop("copies_count"), corpus_id="c1")
    with pytest.raises(WarehouseError, match="column copies_count has empty values"):
        writer.write(0, rows(["a"]).with_columns(copies_count=pl.lit(None, dtype=pl.Int64)), corpus_id="c1")
    with pytest.raises(WarehouseError, match="two rows with the same paragraph_id"):
        writer.write(0, rows(["a", "a"]), corpus_id="c1")
    with pytest.raises(WarehouseError, match="does not fit its column"):
        writer.write(0, rows(["a"]).with_columns(copies_count=pl.lit("many")), corpus_id="c1")


def test_a_partition_that_is_not_there_is_named(store):
    with pytest.raises(WarehouseError, match="duplication_ladder has no corpus 'c9'; materialize it first"):
        store.read("c9")


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", ".hidden", "a" * 121, "a\n", "ü"])
def test_names_cannot_leave_their_folder(name):
    with pytest.raises(WarehouseError, match="cannot be used as a name"):
        check_name(name, "checkpoint")


def test_a_home_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WarehouseError, match=r"cannot be written .* set RARECALL_HOME"):
        Home(tmp_path / "file").prepare()
