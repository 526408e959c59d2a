"""The catalog: published whole or not at all, readable while it is replaced, and never writable by a question."""

import subprocess
import sys
from dataclasses import replace

import duckdb
import polars as pl
import pytest

import sql
from warehouse.catalog import publish
from warehouse.catalog.publish import dependency_order, is_published, publish_catalog
from warehouse.catalog.queries import query
from warehouse.errors import QueryError, WarehouseError
from warehouse.home import Home
from warehouse.record.parts import TableStore
from warehouse.registry import TABLES, Column


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path).prepare()


def write_ladder(home, copies, inputs):
    writer = TableStore.of(home, "duplication_ladder").writer("c1", inputs, 1)
    frame = pl.DataFrame(
        {"paragraph_id": ["a"], "duplication_group": "×4", "copies_count": copies, "complete_exposure_count": copies}
    )
    writer.write(0, frame, corpus_id="c1")
    writer.finish()


def test_every_table_and_query_is_reachable_in_an_empty_home(home):
    report = publish_catalog(home)
    for name in [*TABLES, *sql.load("views"), *sql.load("marts")]:
        assert query(home, f"SELECT count(*) AS n FROM {name}")["n"][0] == 0
    assert set(report.row_counts) == {*sql.load("views"), *sql.load("marts")}


def test_columns_carry_the_registrys_types_and_comments(home):
    publish_catalog(home)
    found = query(home, "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() WHERE NOT internal")
    told = {(r["table_name"], r["column_name"]): (r["data_type"], r["comment"]) for r in found.iter_rows(named=True)}
    for table in TABLES.values():
        for column in table.columns:
            assert told[table.name, column.name] == (column.type, column.comment)


def test_publishing_replaces_and_an_open_reader_keeps_its_answer(home):
    write_ladder(home, 4, {"v": 1})
    publish_catalog(home)
    reader = duckdb.connect(str(home.database), read_only=True)
    write_ladder(home, 16, {"v": 2})
    assert not is_published(home)
    publish_catalog(home)
    assert reader.execute("SELECT copies_count FROM duplication_ladder").fetchone() == (4,)
    reader.close()
    assert query(home, "SELECT copies_count FROM duplication_ladder")["copies_count"].to_list() == [16]
    assert is_published(home)


WRITER = """
import os, sys, duckdb
connection = duckdb.connect(sys.argv[1])
connection.execute("CREATE TABLE mine AS SELECT 1 AS a")
print("open", flush=True)
sys.stdin.readline()
os._exit(0)  # as if killed: no checkpoint
"""


def test_a_program_that_writes_is_named_and_what_it_leaves_does_not_outlive_the_next_publication(home):
    publish_catalog(home)
    asked = [sys.executable, "-c", WRITER, str(home.database)]
    with subprocess.Popen(asked, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "open\n"
        with pytest.raises(QueryError, match=rf"open for writing in .*PID {writer.pid}.*-readonly"):
            query(home, "SELECT 1 AS one")
        writer.communicate("\n")
    assert home.database.with_name("rarecall.duckdb.wal").exists()
    publish_catalog(home)
    assert query(home, "SELECT count(*) AS n FROM scores")["n"][0] == 0


def test_retired_parts_go_with_the_second_catalog_that_does_not_read_them(home):
    folder = TableStore.of(home, "duplication_ladder").folder("c1")
    for generation in (1, 2, 3):
        write_ladder(home, generation, {"v": generation})
        publish_catalog(home)
    assert len(list(folder.glob("part-*.parquet"))) == 2


def test_what_an_older_version_wrote_is_left_out_until_it_is_measured_again(home, monkeypatch):
    write_ladder(home, 4, {"v": 1})
    table = TABLES["duplication_ladder"]
    newer = replace(table, columns=(*table.columns, Column("colour", "VARCHAR", "Of the paragraph.")))
    monkeypatch.setitem(TABLES, "duplication_ladder", newer)
    publish_catalog(home)
    assert query(home, "SELECT count(colour) AS n FROM duplication_ladder")["n"][0] == 0


def test_a_violated_check_keeps_the_published_catalog(home, monkeypatch):
    publish_catalog(home)
    before = home.database.read_bytes()
    violated = sql.Query("nobody_is_here", "-- Always violated.\nSELECT 'row' AS culprit")
    load = sql.load
    monkeypatch.setattr(
        publish.sql, "load", lambda folder: {"nobody_is_here": violated} if folder == "checks" else load(folder)
    )
    with pytest.raises(publish.CatalogRefusedError, match="nobody_is_here found 1 violating rows") as refused:
        publish_catalog(home)
    assert refused.value.report.violations["nobody_is_here"] == [("row",)]
    assert home.database.read_bytes() == before
    assert not list(home.root.glob("*.tmp*"))


def test_queries_that_read_each_other_in_a_circle_are_refused():
    circle = {"a": sql.Query("a", "SELECT * FROM b"), "b": sql.Query("b", "SELECT * FROM a")}
    with pytest.raises(WarehouseError, match="in a circle"):
        dependency_order(circle)
    assert dependency_order({"z": sql.Query("z", "SELECT * FROM y"), "y": sql.Query("y", "SELECT 1")}) == ["y", "z"]


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO memorization_by_duplication SELECT * FROM memorization_by_duplication",
        "CREATE TABLE t AS SELECT 1",
        "DROP VIEW scores",
        "COPY (SELECT 1) TO 'stolen.csv'",
        "ATTACH 'other.duckdb'",
        "SET threads = 1",
        "INSTALL httpfs",
        "SELECT 1; SELECT 2",
        "",
    ],
)
def test_only_one_reading_statement_passes(home, text):
    publish_catalog(home)
    with pytest.raises(QueryError):
        query(home, text)


@pytest.mark.parametrize("function", ["read_csv", "read_text", "read_blob", "glob"])
def test_questions_see_nothing_outside_the_record(home, function):
    publish_catalog(home)
    with pytest.raises(QueryError):
        answer = query(home, f"SELECT * FROM {function}('/etc/passwd')")
        assert answer.height == 0
        raise QueryError("nothing was seen")


def test_a_misspelt_column_gets_a_hint(home):
    publish_catalog(home)
    with pytest.raises(QueryError, match="exact_match"):
        query(home, "SELECT exactmatch FROM scores")


def test_without_a_warehouse_the_way_to_one_is_named(tmp_path):
    with pytest.raises(QueryError, match="run `rarecall run` first"):
        query(Home(tmp_path), "SELECT 1")


def test_bound_parameters_reach_the_query(home):
    write_ladder(home, 4, {"v": 1})
    publish_catalog(home)
    text = "SELECT paragraph_id FROM duplication_ladder WHERE copies_count = $copies"
    assert query(home, text, {"copies": 4}).height == 1
    assert query(home, text, {"copies": 5}).height == 0
