"""Read-only questions to the published catalog."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl

import sql
from warehouse.catalog.hints import hint
from warehouse.catalog.publish import Settings, identifier, is_altered, limits, literal, published_root
from warehouse.catalog.reading import explain, reading_text
from warehouse.catalog.spill import SPILL_LIMIT, spill_folder
from warehouse.errors import QueryError
from warehouse.home import Home

if TYPE_CHECKING:
    import polars as pl

_HOLDER = re.compile(r"Conflicting lock is held in (.+? \(PID \d+\))")
_shared: ContextVar[tuple[Home, duckdb.DuckDBPyConnection] | None] = ContextVar("_shared", default=None)


def connect(home: Home, threads: int = 2, memory: str = "2GB", spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """A read-only connection that sees the catalog and the Parquet record, and nothing else of the machine.

    Any number may be open at once in a process. Each shows the catalog that was published when it was opened.

    Raises:
        QueryError: nothing has been published yet.
    """
    if not home.database.exists():
        raise QueryError(f"there is no published warehouse at {home.database} yet; run `rarecall run` first.")
    connection = _attached(home, limits(threads, memory), spill or spill_folder(home))
    if (root := published_root(home)) not in (None, str(home.root)):
        connection.close()
        raise QueryError(f"the home was moved from {root} to {home.root}; run `rarecall relocate` once.")
    if is_altered(home):
        connection.close()
        raise QueryError(f"another program has changed {home.database}; run `rarecall run`, which builds it again.")
    connection.execute("SET allowed_directories = ?", [[str(home.tables)]])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _attached(home: Home, settings: Settings, spill: Path) -> duckdb.DuckDBPyConnection:
    """A private instance with the catalog attached.

    Opened by its path, DuckDB would hand every connection of this process the same instance: locked after the first,
    and still showing the old file when a run has published another.

    Raises:
        QueryError: the file is no database.
    """
    connection = duckdb.connect(config=settings)
    try:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(f"SET temp_directory = {literal(spill)}")
        connection.execute(f"SET max_temp_directory_size = {literal(SPILL_LIMIT)}")
        connection.execute(f"ATTACH {literal(home.database)} AS {home.database.stem} (READ_ONLY)")
        connection.execute(f"USE {home.database.stem}")
    except duckdb.Error as error:
        connection.close()
        raise QueryError(_closed(home, _first_line(error))) from error
    return connection


def query(
    home: Home,
    text: str,
    parameters: list[Any] | dict[str, Any] | None = None,
    variables: dict[str, str] | None = None,
) -> pl.DataFrame:
    """Answer of one reading statement, as a polars frame.

    Args:
        home: whose published catalog is asked.
        text: one SELECT or EXPLAIN.
        parameters: bound to `?` or `$name`.
        variables: what `getvariable` gives, and so the macros chosen_checkpoint() and chosen_paragraph().

    Raises:
        QueryError: it writes, is more than one statement, or is wrong.
    """
    with _connection(home) as connection, variables_set(connection, variables or {}):
        asked = reading_text(connection, text)
        try:
            return to_polars(connection.sql(asked, params=parameters))
        except duckdb.Error as error:
            raise QueryError(explain(error) + hint(connection, str(error))) from error


@contextlib.contextmanager
def one_publication(home: Home) -> Iterator[None]:
    """Inside the block all queries of this home see the same publication, through one connection opened once.

    Opening the catalog costs as much as many a query. Do not yield from a generator inside the block.

    Raises:
        QueryError: nothing has been published yet.
    """
    with _connection(home) as connection:  # a block inside such a block sees what the outer one sees
        before = _shared.set((home, connection))
        try:
            yield
        finally:
            _shared.reset(before)


@contextlib.contextmanager
def _connection(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """The connection that is shared just now, else one for this question alone."""
    shared = _shared.get()
    if shared is not None and shared[0] == home:
        yield shared[1]
        return
    with connect(home) as connection:
        yield connection


@contextlib.contextmanager
def variables_set(connection: duckdb.DuckDBPyConnection, variables: dict[str, str]) -> Iterator[None]:
    """Variables for one question; they do not stay for the next."""
    for name, value in variables.items():
        connection.execute(f"SET VARIABLE {identifier(name)} = ?", [value])
    try:
        yield
    finally:
        for name in variables:
            connection.execute(f"RESET VARIABLE {identifier(name)}")


def to_polars(relation: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    """Rows of a relation; by way of Arrow, which every DuckDB from 1.5 on offers.

    Raises:
        QueryError: two columns have the same name.
    """
    import polars as pl

    doubled = next((name for name in relation.columns if relation.columns.count(name) > 1), None)
    if doubled is not None:
        raise QueryError(f"the answer has more than one column {doubled!r}; give each a name of its own with AS.")
    frame = pl.from_arrow(relation.to_arrow_table())
    assert isinstance(frame, pl.DataFrame)
    return frame


def mapping(value: Any) -> dict[str, Any]:
    """A MAP value as a dict; polars gives dicts or lists of key and value, by version."""
    if isinstance(value, dict):
        return value
    return {item["key"]: item["value"] for item in value or []}


def _closed(home: Home, reason: str) -> str:
    """Why the published file cannot be opened, and what to do."""
    if holder := _HOLDER.search(reason):
        return f"{home.database} is open for writing in {holder[1]}; close it there and open it with -readonly."
    remedy = "delete it and run `rarecall run`, which rebuilds it from the tables"
    return f"{home.database} cannot be opened ({reason}); {remedy}."


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def latest_checkpoint(home: Home, corpus_id: str | None = None, named: Sequence[str] = ()) -> str | None:
    """The newest of the named checkpoints, or of all where none of them is measured; of one corpus or of all."""
    given = {"corpus_id": corpus_id, "named": list(named)}
    frame = query(home, sql.load_one("adhoc", "latest_checkpoint").text, given)
    return None if frame.is_empty() else str(frame["checkpoint_id"][0])
