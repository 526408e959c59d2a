"""Statements over DuckDB's grammar: every kind of statement, on every target, in every place one can hide it.

All of them must be refused that do anything but read, and nothing in the home or beside it may change, whether the
question comes through the command line (with the system's confinement) or through the library (without).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MARKER = "THE-TEXT-OF-A-FILE-OUTSIDE"

WRITERS: dict[str, tuple[str, ...]] = {
    "ALTER": ("ALTER TABLE {t} ADD COLUMN j INT", "COMMENT ON TABLE {t} IS 'x'", "ALTER VIEW {v} RENAME TO s",
              "ALTER TABLE {t} RENAME TO u", "ALTER TABLE {t} ALTER COLUMN claim DROP DEFAULT"),
    "ANALYZE": ("ANALYZE", "ANALYZE {t}", "VACUUM ANALYZE {t}"),
    "ATTACH": ("ATTACH '{f}' AS w", "ATTACH '{f}' AS w (READ_WRITE)", "ATTACH IF NOT EXISTS '{f}' AS w (TYPE sqlite)",
               "ATTACH ':memory:' AS w", "USE memory", "USE memory.main"),
    "CALL": ("CALL checkpoint()", "CALL force_checkpoint('rarecall')", "CALL pragma_version()", "CHECKPOINT",
             "FORCE CHECKPOINT", "CHECKPOINT rarecall", "CALL enable_logging(storage_path = '{f}')",
             "CALL truncate_duckdb_logs()", "CALL import_database('{f}')"),
    "COPY": ("COPY (SELECT 1) TO '{f}' (FORMAT parquet)", "COPY (SELECT 1 AS i) TO '{f}' (FORMAT csv, HEADER false)",
             "COPY (SELECT 1 AS i, 2 AS j) TO '{d}' (FORMAT parquet, PARTITION_BY (i), OVERWRITE)",
             "COPY (SELECT 1 AS i, 2 AS j) TO '{d}' (FORMAT csv, PARTITION_BY (i), OVERWRITE_OR_IGNORE)",
             "COPY (SELECT 1 AS i, 2 AS j) TO '{d}' (FORMAT parquet, PARTITION_BY (i), APPEND)",
             "COPY (FROM {v}) TO '{f}' (FORMAT json)", "COPY {t} FROM '{f}'", "COPY {t} TO '{f}'",
             "COPY (SELECT 1) TO '{d}' (FORMAT parquet, PER_THREAD_OUTPUT)", "COPY (SELECT 1) TO '/dev/stdout'",
             "COPY (SELECT 1) TO '{f}' (USE_TMP_FILE true)"),
    "COPY_DATABASE": ("COPY FROM DATABASE rarecall TO memory", "COPY FROM DATABASE memory TO rarecall (SCHEMA)"),
    "CREATE": ("CREATE TABLE x AS SELECT 1", "CREATE OR REPLACE TABLE {t} AS SELECT 1", "CREATE TEMP TABLE x (i INT)",
               "CREATE TABLE memory.x AS FROM {v}", "CREATE VIEW x AS SELECT 1", "CREATE SEQUENCE s START 3",
               "CREATE SCHEMA s", "CREATE TYPE e AS ENUM ('a')", "CREATE INDEX i ON {t} (claim)",
               "CREATE SECRET s (TYPE s3, KEY_ID 'k', SECRET 'x')",
               "CREATE PERSISTENT SECRET s (TYPE s3, KEY_ID 'k', SECRET 'x')",
               "CREATE TABLE IF NOT EXISTS x (i INT PRIMARY KEY, j INT CHECK (j > 0))"),
    "CREATE_FUNC": ("CREATE MACRO m() AS 1", "CREATE OR REPLACE TEMP MACRO m() AS TABLE SELECT 1",
                    "CREATE FUNCTION m(a, b := 2) AS a + b"),
    "DELETE": ("DELETE FROM {t}", "DELETE FROM {t} USING {v} WHERE true RETURNING *", "TRUNCATE {t}"),
    "DETACH": ("DETACH rarecall", "DETACH DATABASE IF EXISTS memory"),
    "DROP": ("DROP VIEW {v}", "DROP TABLE {t}", "DROP MACRO chosen_checkpoint", "DROP SCHEMA main CASCADE",
             "DROP SECRET IF EXISTS s", "DEALLOCATE p"),
    "EXECUTE": ("EXECUTE p", "EXECUTE p(1, 'a')"),
    "EXPORT": ("EXPORT DATABASE '{d}'", "EXPORT DATABASE '{d}' (FORMAT parquet)", "IMPORT DATABASE '{d}'"),
    "EXTENSION": ("INSTALL httpfs", "FORCE INSTALL spatial FROM community", "UPDATE EXTENSIONS"),
    "INSERT": ("INSERT INTO {t} SELECT * FROM {t}", "INSERT OR REPLACE INTO {t} DEFAULT VALUES",
               "INSERT INTO {t} BY NAME FROM {v} RETURNING *", "INSERT INTO {t} VALUES (1) ON CONFLICT DO NOTHING"),
    "LOAD": ("LOAD httpfs", "LOAD '{f}'"),
    "MERGE_INTO": ("MERGE INTO {t} USING {t} AS c ON true WHEN MATCHED THEN DELETE",
                   "MERGE INTO {t} USING {v} ON false WHEN NOT MATCHED THEN INSERT DEFAULT VALUES RETURNING *"),
    "PRAGMA": ("PRAGMA database_size", "PRAGMA table_info('{t}')", "PRAGMA enable_profiling = 'json'",
               "PRAGMA profile_output = '{f}'", "PRAGMA force_checkpoint", "PRAGMA disable_checkpoint_on_shutdown",
               "PRAGMA storage_info('{t}')", "PRAGMA enable_verification"),
    "PREPARE": ("PREPARE p AS SELECT 1", "PREPARE p AS COPY (SELECT 1) TO '{f}'", "PREPARE p AS DROP TABLE {t}"),
    "SET": ("SET threads = 1", "SET GLOBAL temp_directory = '{d}'", "RESET threads", "SET lock_configuration = false",
            "SET enable_external_access = true", "SET allowed_directories = ['/']", "SET log_query_path = '{f}'",
            "SET SESSION search_path = 'memory'", "RESET allowed_paths", "SET profile_output = '{f}'"),
    "TRANSACTION": ("BEGIN", "COMMIT", "ROLLBACK", "BEGIN TRANSACTION READ ONLY", "ABORT"),
    "UPDATE": ("UPDATE {t} SET claim = 'x'", "UPDATE {t} SET claim = 'x' FROM {v} RETURNING *"),
    "VACUUM": ("VACUUM", "VACUUM {t}", "VACUUM FULL"),
    "VARIABLE_SET": ("SET VARIABLE a = 1", "SET VARIABLE a = (SELECT count(*) FROM {v})", "RESET VARIABLE a"),
}  # fmt: skip
"""By the name DuckDB gives the kind. t: a table of the catalog, v: a view, f: a file, d: a folder."""

PLACES = (
    *("{s}", "{s}", "{s};", ";;{s};;", "EXPLAIN {s}", "EXPLAIN ANALYZE {s}", "EXPLAIN ANALYSE {s}"),
    *(
        "EXPLAIN (ANALYZE) {s}",
        "EXPLAIN (ANALYZE, FORMAT json) {s}",
        "EXPLAIN (FORMAT json) {s}",
        "EXPLAIN EXPLAIN {s}",
    ),
    *("PREPARE q AS {s}", "PREPARE q AS {s}; EXECUTE q", "PREPARE q AS {s}; EXPLAIN ANALYZE EXECUTE q", "DESCRIBE {s}"),
    *("SUMMARIZE {s}", "SHOW {s}", "SELECT 1; {s}", "{s}; SELECT 1", "BEGIN; {s}; COMMIT", "BEGIN TRANSACTION; {s}"),
    *("WITH a AS ({s}) SELECT * FROM a", "WITH a AS MATERIALIZED ({s}) SELECT 1", "WITH a AS ({s}) {s}"),
    *("WITH a AS (SELECT 1), b AS ({s}) SELECT * FROM a", "WITH a AS (WITH b AS ({s}) SELECT 1) SELECT * FROM a"),
    *("WITH RECURSIVE a AS (SELECT 1 AS i UNION ALL ({s})) SELECT * FROM a", "SELECT * FROM ({s})", "FROM ({s}) AS a"),
    *("SELECT ({s})", "SELECT 1 WHERE EXISTS ({s})", "SELECT 1 IN ({s})", "SELECT ARRAY({s})", "VALUES (({s}))"),
    *("SELECT * FROM (WITH a AS ({s}) SELECT * FROM a)", "SELECT (WITH a AS ({s}) SELECT 1)", "({s})", "(({s}))"),
    *("EXPLAIN WITH a AS ({s}) SELECT * FROM a", "EXPLAIN ANALYZE WITH a AS ({s}) SELECT * FROM a", "FROM query({q})"),
    *("SELECT * FROM query({q})", "FROM query('FROM query(' || {qq} || ')')", "SELECT 1 UNION ALL ({s})"),
    *("FROM json_execute_serialized_sql(json_serialize_sql({q}))",),
    *("CREATE MACRO m() AS TABLE {s}", "CREATE VIEW w AS {s}", "COPY ({s}) TO '{f}'", "CREATE TABLE w AS {s}"),
    *("SELECT 1 FROM range(1) a, LATERAL ({s}) b", "PIVOT ({s}) ON a USING sum(b)", "UNPIVOT ({s}) ON a, b"),
    *(
        "SELECT list_transform([1], lambda x: ({s}))",
        "SELECT 1 ORDER BY ({s})",
        "SELECT 1 LIMIT ({s})",
        "CALL query({q})",
    ),
    *("EXPLAIN SELECT 1; {s}", "EXECUTE IMMEDIATE {q}", "DO $$ {s} $$", "SELECT $${s}$$; {s}", "PRAGMA query({q})"),
    *("SELECT count(*) FILTER (({s})) FROM range(3)", "SELECT CASE WHEN true THEN ({s}) END", "FROM query_table({q})"),
)
"""Where a statement may stand; q: as text in quotes."""

READERS_OF_FILES = (
    *("FROM '{f}'", "FROM read_text('{f}')", "FROM read_blob('{f}')", "FROM read_csv('{f}', header = false)"),
    *("FROM read_parquet('{f}')", "FROM read_json('{f}')", "FROM glob('{d}/*')", "SELECT * FROM '{d}/**/*.parquet'"),
    *("FROM sniff_csv('{f}')", "FROM parquet_metadata('{f}')", "FROM parquet_schema('{f}')"),
    *("SELECT getenv('HF_TOKEN')", "FROM which_secret('{f}', 's3')"),
    *("FROM read_duckdb('{f}')", "FROM sqlite_scan('{f}', 'a')", "FROM read_text(['{f}', '{f}'])"),
)  # fmt: skip

SPACES = (
    " ",
    "  ",
    "\n",
    "\t",
    "\r\n",
    "\f",
    "\v",
    "\u00a0",
    "\u3000",
    "\u2003",
    "/**/",
    "/* x */",
    "-- x\n",
    "/*\n*/",
)


@dataclass(frozen=True)
class Targets:
    """What a statement may try to change."""

    files: tuple[Path, ...]
    folders: tuple[Path, ...]
    tables: tuple[str, ...] = ("claims", "rarecall.claims", "rarecall.main.claims", '"claims"', "memory.main.x")
    views: tuple[str, ...] = ("scores", "paragraphs", "rarecall.scores", "duckdb_settings()", "scored_paragraphs")


def targets_of(home: Path, outside: Path) -> Targets:
    """A part, a manifest, the catalog and its neighbours, a registration, a file outside, files that do not exist."""
    parts = sorted((home / "tables" / "scores").rglob("part-*.parquet"))
    manifests = sorted((home / "tables" / "scores").rglob("_manifest.json"))
    known = sorted((home / "sources" / "checkpoints").glob("*.json"))
    files = (
        *(parts[0], parts[0].with_name("new.parquet"), manifests[0], home / "tables" / "new.csv"),
        *(home / "rarecall.duckdb", home / "rarecall.duckdb.wal", home / "catalog.json", home / "home.json", known[0]),
        *(outside / "outside.txt", outside / "new.parquet", home / "tables" / ".." / "home.json"),
    )
    folders = (parts[0].parent, home / "tables", home / "tables" / "new", home, outside, outside / "new")
    return Targets(files, folders)


@cache
def functions() -> tuple[tuple[str, str], ...]:
    """Name and kind of every function of DuckDB, those of the catalog's macros not among them."""
    import duckdb

    asked = "SELECT DISTINCT function_name, function_type FROM duckdb_functions() ORDER BY ALL"
    return tuple((name, kind) for name, kind in duckdb.connect().execute(asked).fetchall() if name.isidentifier())


@cache
def settings() -> tuple[str, ...]:
    """Name of every setting of DuckDB."""
    import duckdb

    return tuple(
        name for (name,) in duckdb.connect().execute("SELECT name FROM duckdb_settings() ORDER BY 1").fetchall()
    )


def statement(number: int, targets: Targets, chance: random.Random) -> tuple[str, str, bool]:
    """One case: its kind, its text, and whether it must be refused.

    Kinds, statements, places, functions and settings come in turn, so that all are met; targets and dress at random.
    """
    kinds = tuple(WRITERS)
    turn = number // 8
    which = number % 8
    if which == 6:
        name, kind = functions()[turn % len(functions())]
        return f"function {kind}", _dressed(_filled(_called(name, kind, chance), targets, chance), chance), False
    if which == 7:
        if turn % 2:
            text = READERS_OF_FILES[turn // 2 % len(READERS_OF_FILES)]
            return "reading", _dressed(_filled(_placed(text, chance), targets, chance), chance), False
        text = chance.choice(("SET {n} = {x}", "PRAGMA {n} = {x}", "RESET {n}", "SET GLOBAL {n} TO {x}"))
        text = text.replace("{n}", settings()[turn // 2 % len(settings())])
        text = text.replace("{x}", chance.choice(("'{f}'", "'{d}'", "1", "true", "'x'")))
        return "SET", _dressed(_filled(_placed(text, chance), targets, chance), chance), True
    kind = kinds[(turn * 6 + which) % len(kinds)]
    text = _placed(chance.choice(WRITERS[kind]), chance, PLACES[(turn * 6 + which) // len(kinds) % len(PLACES)])
    return kind, _dressed(_filled(text, targets, chance), chance), True


def _placed(text: str, chance: random.Random, place: str | None = None) -> str:
    place = place or chance.choice(PLACES)
    quoted = "'" + text.replace("'", "''") + "'"
    twice = "'" + quoted.replace("'", "''") + "'"
    return place.replace("{qq}", twice).replace("{q}", quoted).replace("{s}", text)


def _filled(text: str, targets: Targets, chance: random.Random) -> str:
    found = {"{t}": targets.tables, "{v}": targets.views, "{f}": targets.files, "{d}": targets.folders}
    for name, choices in found.items():
        while name in text:
            text = text.replace(name, str(chance.choice(choices)), 1)
    return text


def _called(name: str, kind: str, chance: random.Random) -> str:
    """A call with arguments that functions of files like: paths, texts, small numbers, nothing."""
    arguments = ("'{f}'", "'{d}'", "'{f}', '{f}'", "'x'", "1", "", "'{f}', 'x', 1", "[1, 2]", "'SELECT 1'", "NULL")
    called = f"{name}({chance.choice(arguments)})"
    if kind == "pragma":
        return f"PRAGMA {called}"
    whole = chance.choice((f"FROM {called}", f"CALL {called}", f"SELECT * FROM {called} LIMIT 3"))
    return (
        whole if "table" in kind else chance.choice((f"SELECT {called}", f"SELECT {called} FROM scores LIMIT 2", whole))
    )


def _dressed(text: str, chance: random.Random) -> str:
    """Other case, other space, comments between words; what stands in quotes stays."""
    if chance.random() < 0.3:
        return text
    pieces = text.split("'")
    for at in range(0, len(pieces), 2):
        words = pieces[at].split(" ")
        words = [chance.choice((word, word.lower(), word.upper(), word.title())) for word in words]
        pieces[at] = (
            "".join(w + (chance.choice(SPACES) if chance.random() < 0.4 else " ") for w in words[:-1]) + words[-1]
        )
    dressed = "'".join(pieces)
    before = chance.choice(("", "", "\ufeff", " \n", "/* a */", "-- a\n", "/* /* a */ */", "\x00"))
    return before + dressed + chance.choice(("", "", ";", " ; ", "\n", "-- end", "/* end", "\x00"))
