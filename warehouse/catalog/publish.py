"""The catalog: views over the Parquet record and small marts, built aside and published with one replace."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import filelock

import sql
from warehouse.catalog.macros import Macro
from warehouse.catalog.spill import SPILL_LIMIT, spill_folder
from warehouse.errors import WarehouseError
from warehouse.files import digest, disk_error, file_sha256, is_alive, write_json
from warehouse.home import Home
from warehouse.record.consistency import consistent_partitions
from warehouse.record.parts import TableStore, partition_lock
from warehouse.registry import TABLES, Table
from warehouse.registry.derived import meaning

STORAGE_VERSION = "v1.5.0"
_RECORD = "catalog.json"
Settings = dict[str, str | bool | int | float | list[str]]


@dataclass
class CatalogReport:
    """What a build made: row counts of marts and views, and rows that violate a check."""

    row_counts: dict[str, int] = field(default_factory=dict)
    violations: dict[str, list[tuple[object, ...]]] = field(default_factory=dict)


class CatalogRefusedError(WarehouseError):
    """A check found violating rows; `report` holds them."""

    def __init__(self, sentence: str, report: CatalogReport):
        super().__init__(sentence)
        self.report = report


def connect_workspace(threads: int = 2, memory: str = "1GB", home: Home | None = None) -> duckdb.DuckDBPyConnection:
    """A private in-memory connection with limits; extensions are never fetched.

    With a home, what does not fit into memory goes there, where `gc` finds it should the process be killed.
    """
    connection = duckdb.connect(config=limits(threads, memory))
    connection.execute("SET enable_progress_bar = false")  # progress is ours to show
    if home is not None:
        connection.execute(f"SET temp_directory = {literal(spill_folder(home))}")
        connection.execute(f"SET max_temp_directory_size = {literal(SPILL_LIMIT)}")
    return connection


def limits(threads: int, memory: str) -> Settings:
    """DuckDB settings of every connection: bounded, and extensions are never fetched."""
    return {
        "threads": str(threads),
        "memory_limit": memory,
        "autoinstall_known_extensions": "false",
    }


def publish_catalog(home: Home, on_object: Callable[[str], None] = lambda name: None) -> CatalogReport:
    """Build the catalog from the record, run the checks, and replace the published one.

    Raises:
        CatalogRefusedError: a check found violating rows; the published catalog is as it was.
        WarehouseError: a query failed; likewise.
    """
    with filelock.FileLock(home.root / ".catalog.lock"):  # the later of two publications must show the later record
        key = catalog_key(home)
        temporary = home.database.with_name(f".{home.database.name}.{os.getpid()}.tmp")
        try:
            report = _build(home, temporary, on_object)
            published = file_sha256(temporary)
            _note_files(home, published)
            _log_of(home).unlink(missing_ok=True)
            temporary.replace(home.database)
        except (OSError, duckdb.IOException) as error:
            raise disk_error(home.database, error) from error
        finally:
            _remove_leftovers(home)
        _forget_retired_parts(home, key)
    return report


def catalog_key(home: Home) -> str:
    """Key of everything the catalog is made from: the parts of all tables, the registry, the queries."""
    content = {
        name: {partition: [file.name for file in store.files(partition)] for partition in store.partitions()}
        for name, store in ((name, TableStore.of(home, name)) for name in TABLES)
    }
    queries = {
        folder: {n: q.text for n, q in sql.load(folder).items()} for folder in ("macros", "views", "marts", "checks")
    }
    comments = {name: [c.comment for c in table.columns] for name, table in TABLES.items()}
    return digest({"content": content, "queries": queries, "comments": comments, "root": str(home.root)})


def is_published(home: Home) -> bool:
    """Whether the published catalog shows the record as it is now."""
    noted = _last_record(home)
    if noted.get("key") != catalog_key(home) or _log_of(home).exists():
        return False
    return noted.get("files", [None])[0] == _sha256_of(home.database)


def is_altered(home: Home) -> bool:
    """Whether another program changed the published file or left a write-ahead file; false of what was never noted.

    While another process publishes, the file may be ahead of what was read of the note; so a second look decides.
    """
    for _ in range(2):
        noted = _last_record(home).get("files")
        if not noted or _sha256_of(home.database) in (None, *noted):
            return _log_of(home).exists()
    return True


def published_root(home: Home) -> str | None:
    """Where the home lay when the catalog was published; its views hold that path."""
    root = _last_record(home).get("root")
    return str(root) if root else None


def read_parts(home: Home) -> set[str]:
    """Parts that the published catalog or the one before reads, relative to the home."""
    record = _last_record(home)
    return {str(name) for key in ("current", "previous") for name in record.get(key, [])}


def _last_record(home: Home) -> dict[str, Any]:
    """What the last publication noted; a damaged note is as good as none."""
    try:
        return dict(json.loads((home.root / _RECORD).read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}


def _note_files(home: Home, published: str) -> None:
    """Before a file takes the place of another, both are known, so that no reader takes one for altered."""
    noted = _last_record(home)
    write_json(home.root / _RECORD, {**noted, "key": None, "files": [published, *noted.get("files", [])[:1]]})


def _sha256_of(file: Path) -> str | None:
    """Hash of a file's bytes, read again only when the file has changed; None when there is none."""
    try:
        found = file.stat()
        return _sha256_once(file, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    except OSError:
        return None


@lru_cache(maxsize=16)
def _sha256_once(file: Path, *_: int) -> str:
    return file_sha256(file)


@contextlib.contextmanager
def open_record(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """A private connection with every table and view over the record as it is now, published or not."""
    with connect_workspace(home=home) as connection:
        for table in TABLES.values():
            _create_table_view(connection, home, table)
        for kind, query in _objects("macros", "views"):
            _create_object(connection, kind, query)
        yield connection


def dependency_order(queries: dict[str, sql.Query]) -> list[str]:
    """Names such that every query comes after those it reads.

    Raises:
        WarehouseError: two queries read each other.
    """
    reads = {
        name: {other for other in _words(query.text) & queries.keys() if other != name}
        for name, query in queries.items()
    }
    ordered: list[str] = []
    while len(ordered) < len(queries):
        ready = [name for name in sorted(reads) if name not in ordered and reads[name] <= set(ordered)]
        if not ready:
            raise WarehouseError(
                f"the queries {sorted(set(reads) - set(ordered))} in sql/ read each other in a circle."
            )
        ordered += ready
    return ordered


def reads_of(query: sql.Query, names: set[str]) -> set[str]:
    """Which of `names` a query reads."""
    return _words(query.text) & names - {query.name}


def _build(home: Home, path: Path, on_object: Callable[[str], None]) -> CatalogReport:
    report, shown = CatalogReport(), consistent_partitions(home)
    with connect_workspace(home=home) as connection:
        connection.execute(f"ATTACH {literal(path)} AS catalog (STORAGE_VERSION {literal(STORAGE_VERSION)})")
        connection.execute("USE catalog")
        for table in TABLES.values():
            _create_table_view(connection, home, table, shown[table.name])
        for kind, query in _objects("macros", "views", "marts"):
            _create_object(connection, kind, query)
            if kind != "MACRO":
                on_object(query.name)
                report.row_counts[query.name] = _count(connection, query.name)
        report.violations = dict(_violations(connection))
        _refuse_violations(report)
        connection.execute("USE memory")
        connection.execute("CHECKPOINT catalog")
        connection.execute("DETACH catalog")
    return report


def _create_table_view(
    connection: duckdb.DuckDBPyConnection, home: Home, table: Table, shown: set[str] | None = None
) -> None:
    """A view over the partitions named in `shown`, else over all; the published one leaves out stale rows."""
    store = TableStore.of(home, table.name)
    # What an older rarecall wrote and this one has not written again lacks columns.
    readable = [partition for partition in store.partitions() if store.is_readable(partition)]
    readable = [partition for partition in readable if shown is None or partition in shown]
    files = [file for partition in readable for file in store.files(partition)]
    names = ", ".join(identifier(column.name) for column in table.columns)
    if files:
        listed = ", ".join(literal(file) for file in files)
        source = f"SELECT {names} FROM read_parquet([{listed}], hive_partitioning = false)"  # noqa: S608  quoted by us
    else:
        empty = ", ".join(f"NULL::{column.type} AS {identifier(column.name)}" for column in table.columns)
        source = f"SELECT {empty} WHERE false"
    connection.execute(f"CREATE VIEW {identifier(table.name)} AS {source}")
    connection.execute(f"COMMENT ON VIEW {identifier(table.name)} IS {literal(table.description)}")
    for column in table.columns:
        connection.execute(
            f"COMMENT ON COLUMN {identifier(table.name)}.{identifier(column.name)} IS {literal(column.comment)}"
        )


_KINDS = {"macros": "MACRO", "views": "VIEW", "marts": "TABLE"}


def _objects(*folders: str) -> Iterator[tuple[str, sql.Query]]:
    """Kind and query of everything in these folders of sql/, each after what it reads."""
    loaded = {folder: sql.load(folder) for folder in folders}
    queries = {name: query for found in loaded.values() for name, query in found.items()}
    kinds = {name: _KINDS[folder] for folder, found in loaded.items() for name in found}
    for name in dependency_order(queries):
        yield kinds[name], queries[name]


def _create_object(connection: duckdb.DuckDBPyConnection, kind: str, query: sql.Query) -> None:
    definition = f"CREATE {kind} {identifier(query.name)} AS\n{query.text}"
    if kind == "MACRO":
        macro = Macro.of(query)
        definition, kind = macro.definition, macro.kind
    try:
        connection.execute(definition)
    except duckdb.Error as error:
        said = " ".join(str(error).splitlines()[0].split())
        raise WarehouseError(f"sql/…/{query.name}.sql failed ({said}); the published catalog is unchanged.") from error
    connection.execute(f"COMMENT ON {kind} {identifier(query.name)} IS {literal(query.description)}")
    if not kind.startswith("MACRO"):
        _comment_columns(connection, query.name)


def _comment_columns(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    rows = connection.execute("SELECT column_name FROM duckdb_columns() WHERE table_name = ?", [name]).fetchall()
    for (column,) in rows:
        if said := meaning(column, TABLES):
            connection.execute(f"COMMENT ON COLUMN {identifier(name)}.{identifier(column)} IS {literal(said)}")


def _violations(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    for name, query in sql.load("checks").items():
        yield name, connection.execute(query.text).fetchmany(20)


def _refuse_violations(report: CatalogReport) -> None:
    failed = {name: rows for name, rows in report.violations.items() if rows}
    if failed:
        name, rows = next(iter(failed.items()))
        sentence = (
            f"check {name} found {len(rows)} violating rows, first {rows[0]}; the published catalog is unchanged."
        )
        raise CatalogRefusedError(sentence, report)


def _count(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {identifier(name)}").fetchone()  # noqa: S608  our own object names
    return int(row[0]) if row else 0


def _log_of(home: Home) -> Path:
    """What a program that opened the file for writing left beside it; DuckDB does not open the next file with it."""
    return home.database.with_name(f"{home.database.name}.wal")


def _remove_leftovers(home: Home) -> None:
    """Half-built catalogs, this one's and those of killed processes; a living process keeps its own."""
    for file in home.root.glob(f".{home.database.name}.*.tmp*"):
        number = file.name.removeprefix(f".{home.database.name}.").partition(".")[0]
        if number == str(os.getpid()) or not is_alive(number):
            file.unlink(missing_ok=True)


def _forget_retired_parts(home: Home, key: str) -> None:
    """Delete parts that neither this catalog nor the one before reads, so that open readers are not cut off."""
    previous = set(_last_record(home).get("current", []))
    stores = [TableStore.of(home, name) for name in TABLES]
    current: set[str] = set()
    for store in stores:
        for partition in store.partitions():
            live = {str(file.relative_to(home.root)) for file in store.files(partition)}
            _delete_parts(store, partition, keep=live | previous)
            current |= live
    shown = {"key": key, "root": str(home.root), "files": _last_record(home).get("files", [])}
    record = {**shown, "current": sorted(current), "previous": sorted(previous)}
    write_json(home.root / _RECORD, record)


def _delete_parts(store: TableStore, partition: str, keep: set[str]) -> None:
    parts = list(store.folder(partition).glob("part-*.parquet"))
    if store.manifest(partition) is None:  # rows of another version of the table; `rarecall gc` removes them when asked
        return
    retired = [part for part in parts if str(part.relative_to(store.home.root)) not in keep]
    if not retired:
        return
    with contextlib.suppress(filelock.Timeout), partition_lock(store, partition, timeout=0):
        live = set(store.files(partition))
        for part in retired:
            if part not in live:
                part.unlink(missing_ok=True)


def identifier(name: str) -> str:
    """A name quoted for SQL; DDL cannot take bound parameters."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """A string quoted for SQL; DDL cannot take bound parameters."""
    return "'" + str(value).replace("'", "''") + "'"


def _words(text: str) -> set[str]:
    code = "\n".join(line.partition("--")[0] for line in text.splitlines())
    return set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", code))
