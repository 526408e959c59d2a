"""Every kind of statement DuckDB knows is tried on a home: nothing may change, in it or beside it."""

from __future__ import annotations

import hashlib
import shutil
import threading
from contextlib import closing
from pathlib import Path

import duckdb
import polars as pl
import pytest

from warehouse.catalog.confinement import give_up_writing
from warehouse.catalog.publish import publish_catalog
from warehouse.catalog.queries import connect, query
from warehouse.catalog.reading import reading_text
from warehouse.catalog.stream import Bounds, stream
from warehouse.errors import QueryError
from warehouse.home import Home
from warehouse.record.parts import TableStore

WRITERS = {
    "ALTER": ("ALTER TABLE t ADD COLUMN j INT", "COMMENT ON TABLE scores IS 'x'", "ALTER VIEW scores RENAME TO s"),
    "ANALYZE": ("ANALYZE", "ANALYZE scores"),
    "ATTACH": ("ATTACH '{out}/new.duckdb'", "ATTACH '{home}/rarecall.duckdb' AS w (READ_WRITE)"),
    "CALL": ("CALL checkpoint()", "CALL pragma_version()", "CHECKPOINT", "FORCE CHECKPOINT", "CALL enable_logging()"),
    "COPY": (
        "COPY (SELECT 1) TO '{part}' (FORMAT parquet)",
        "COPY (SELECT 1 AS i) TO '{partition}' (FORMAT parquet, PARTITION_BY (i), OVERWRITE)",
        "COPY duplication_ladder FROM '{part}'",
        "COPY (SELECT 1) TO '{out}/new.csv'",
    ),
    "COPY_DATABASE": ("COPY FROM DATABASE rarecall TO memory",),
    "CREATE": (
        "CREATE TABLE t AS SELECT 1",
        "CREATE TEMP TABLE t AS SELECT 1",
        "CREATE TABLE memory.t AS SELECT 1",
        "CREATE VIEW v AS SELECT 1",
        "CREATE SEQUENCE s",
        "CREATE SCHEMA s",
        "CREATE TYPE e AS ENUM ('a')",
        "CREATE SECRET s (TYPE s3, KEY_ID 'k', SECRET 'x')",
        "CREATE INDEX i ON claims (claim)",
    ),
    "CREATE_FUNC": ("CREATE MACRO m() AS 1", "CREATE OR REPLACE TEMP MACRO m() AS TABLE SELECT 1"),
    "DELETE": ("DELETE FROM claims", "TRUNCATE claims"),
    "DETACH": ("DETACH rarecall",),
    "DROP": ("DROP VIEW scores", "DROP TABLE claims", "DEALLOCATE p"),
    "EXECUTE": ("EXECUTE p",),
    "EXPLAIN": (
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{part}' (FORMAT parquet)",
        "EXPLAIN (ANALYZE) COPY (SELECT 1) TO '{part}'",
        "EXPLAIN (ANALYZE true, FORMAT json) SELECT 1",
        "EXPLAIN (FORMAT json, ANALYZE) SELECT 1",
        "EXPLAIN ANALYSE SELECT 1",
        "/* a */ EXPLAIN -- b\n /* c */ ANALYZE SELECT 1",
        "EXPLAIN COPY (SELECT 1) TO '{out}/new.csv'",
        "EXPLAIN PREPARE p AS SELECT 1",
        "EXPLAIN CREATE TABLE t AS SELECT 1",
        "EXPLAIN SELECT 1; DROP VIEW scores",
    ),
    "EXPORT": ("EXPORT DATABASE '{out}/dump'", "EXPORT DATABASE '{home}/tables'"),
    "EXTENSION": ("INSTALL httpfs", "UPDATE EXTENSIONS"),
    "INSERT": ("INSERT INTO claims SELECT * FROM claims",),
    "LOAD": ("LOAD httpfs", "LOAD '{out}/outside.txt'"),
    "MERGE_INTO": ("MERGE INTO claims USING claims AS c ON true WHEN MATCHED THEN DELETE",),
    "MULTI": ("PIVOT (SELECT 1 a, 2 b) ON a USING sum(b)", "SELECT 1; SELECT 2", "SELECT 1; CHECKPOINT"),
    "PRAGMA": ("PRAGMA database_size", "PRAGMA enable_profiling = 'json'", "IMPORT DATABASE '{home}'"),
    "PREPARE": ("PREPARE p AS SELECT 1", "PREPARE p AS COPY (SELECT 1) TO '{part}'"),
    "SELECT": (
        "WITH a AS (COPY (SELECT 1) TO '{part}' (FORMAT parquet)) SELECT 1",
        "WITH a AS (INSERT INTO claims SELECT * FROM claims RETURNING *) SELECT * FROM a",
        "SELECT * FROM (WITH a AS (DELETE FROM claims RETURNING *) SELECT * FROM a)",
        "SELECT (WITH a AS (COPY (SELECT 1) TO '{out}/new.csv') SELECT 1)",
        "FROM query('WITH a AS (COPY (SELECT 1) TO ''{out}/new.csv'') SELECT 1')",
        "FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
        "FROM checkpoint()",
        "FROM force_checkpoint('rarecall')",
        "SELECT nextval('s')",
        "SELECT main.setval('s', 1)",
        "SELECT system.main.write_log('x')",
        "FROM enable_logging()",
        "FROM read_text('{out}/outside.txt')",
        "FROM '{out}/outside.txt'",
        "FROM glob('{out}/*')",
    ),
    "SET": ("SET threads = 1", "USE memory", "RESET threads", "SET enable_external_access = true"),
    "TRANSACTION": ("BEGIN", "COMMIT", "ROLLBACK"),
    "UPDATE": ("UPDATE claims SET claim = 'x'",),
    "VACUUM": ("VACUUM", "VACUUM FULL"),
    "VARIABLE_SET": ("SET VARIABLE a = 1", "RESET VARIABLE a"),
}
NO_STATEMENTS = {"INVALID", "LOGICAL_PLAN", "RELATION"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    root = tmp_path_factory.mktemp("statements")
    home = Home(root / "home").prepare()
    writer = TableStore.of(home, "duplication_ladder").writer("c1", {"upstream": {}}, 1)
    rows = {"paragraph_id": ["a", "b"], "duplication_group": "", "copies_count": 1, "complete_exposure_count": 1.0}
    writer.write(0, pl.DataFrame(rows), corpus_id="c1")
    writer.finish()
    (root / "outside.txt").write_text("a\n1\n")
    publish_catalog(home)
    return home


def every_byte(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Content, size and mode of every file below a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        data = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (hashlib.sha256(data).hexdigest(), path.stat().st_mtime_ns, path.stat().st_mode)
    return found


def filled(home: Home, text: str) -> str:
    part = TableStore.of(home, "duplication_ladder").files("c1")[0]
    names = {"home": home.root, "out": home.root.parent, "part": part, "partition": part.parent}
    for name, path in names.items():
        text = text.replace(f"{{{name}}}", str(path))
    return text


def test_every_kind_of_statement_is_tried() -> None:
    known = set(duckdb.StatementType.__members__)
    assert known <= {*WRITERS, *NO_STATEMENTS}


@pytest.mark.parametrize("kind", WRITERS)
def test_no_kind_of_statement_writes_or_leaves_the_record(home: Home, kind: str) -> None:
    before = every_byte(home.root.parent)
    for text in WRITERS[kind]:
        asked = filled(home, text)
        with pytest.raises(QueryError):
            query(home, asked)
        with pytest.raises(QueryError):
            list(stream(home, asked))
        after = {name: facts for name, facts in every_byte(home.root.parent).items() if name != str(home.root)}
        assert after == {name: facts for name, facts in before.items() if name != str(home.root)}, text


@pytest.mark.parametrize(
    "text",
    [
        "SELECT copies_count FROM duplication_ladder",
        "-- a comment\nSELECT 1",
        "FROM duplication_ladder SELECT count(*)",
        "VALUES (1)",
        "WITH RECURSIVE a AS (SELECT 1 i UNION ALL SELECT i + 1 FROM a WHERE i < 5) FROM a",
        "SELECT 1 UNION SELECT 2",
        "UNPIVOT (SELECT 1 a, 2 b) ON a",
        "PIVOT (SELECT 1 a, 2 b) ON a IN (1) USING sum(b)",
        "EXPLAIN SELECT 1",
        "/* plan */ EXPLAIN (FORMAT json) SELECT 1",
        "SUMMARIZE duplication_ladder",
        "DESCRIBE duplication_ladder",
        "SHOW TABLES",
        "SELECT 'EXPLAIN ANALYZE COPY' AS text;",
    ],
)
def test_what_reads_is_answered(home: Home, text: str) -> None:
    assert sum(frame.height for frame in stream(home, text)) > 0


def test_the_system_holds_what_a_parser_would_have_let_pass(home: Home) -> None:
    """In a thread that gave the right away, statements are run without being looked at first."""
    copied = Home(home.root.parent / "held")
    shutil.copytree(home.root, copied.root)
    publish_catalog(copied)
    spill = home.root.parent / "spill"
    spill.mkdir()
    before, raised, held = every_byte(copied.root), [], []

    def write_everywhere() -> None:
        held.append(give_up_writing(spill))
        for text in (text for texts in WRITERS.values() for text in texts if "{part" in text and "PREPARE" not in text):
            with closing(connect(copied, spill=spill)) as connection:
                try:
                    connection.execute(filled(copied, text)).fetchall()
                except duckdb.Error as error:
                    raised.append(str(error))

    thread = threading.Thread(target=write_everywhere)
    thread.start()
    thread.join()
    if not held[0]:
        pytest.skip("this system has no Landlock")
    assert every_byte(copied.root) == before
    assert len(raised) >= 5
    (home.root.parent / "this thread still may").write_text("x")


def test_whoever_waits_may_stop_a_question_that_has_no_answer_yet(home):
    """An import may swallow the exception of a signal; the wait looks again whether one came."""
    calls = []

    def _check():
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    text = "SELECT count(*) FROM range(9999999) a, range(9999999) b WHERE a.range = b.range + 0.5"
    with pytest.raises(KeyboardInterrupt):
        list(stream(home, text, bounds=Bounds(check=_check)))


def test_rows_that_are_not_wanted_are_not_computed(home: Home) -> None:
    with closing(stream(home, "FROM range(1000000000000)")) as frames:
        assert next(frames).columns == ["range"]
        assert next(frames)["range"].to_list()[:3] == [0, 1, 2]
    assert not list(home.root.glob(".rarecall-spill*"))


@pytest.mark.parametrize(
    "bounds, text, said",
    [
        (Bounds(seconds=0.3), "SELECT count(*) FROM range(9999999) a, range(9999999) b WHERE a = b + 0.5", "0.3 s"),
        (Bounds(memory="50MB"), "SELECT list(range) FROM range(100000000)", "memory"),
        (Bounds(process_bytes=1), "SELECT count(*) FROM range(9999999) a, range(9999999) b WHERE a = b + 0.5", "GB"),
    ],
)
def test_a_runaway_question_ends_with_a_sentence(home: Home, bounds: Bounds, text: str, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        list(stream(home, text, bounds=bounds))


def test_what_is_run_is_what_was_looked_at(home: Home) -> None:
    with connect(home) as connection:
        assert reading_text(connection, "EXPLAIN SELECT 1 -- , ANALYZE").startswith("EXPLAIN  SELECT 1")
