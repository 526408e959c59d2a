"""Hints beside DuckDB's own message when a name is misspelt."""

from __future__ import annotations

import difflib
import re

import duckdb

_COLUMN = re.compile(r'(?:Referenced column|column|Column) (?:named )?"?(\w+)"? (?:was )?not found', re.IGNORECASE)
_OWN_COLUMN = re.compile(r'does not have a column named "(\w+)"')
_PARAMETER = re.compile(r"Values were not provided for the following[\w ]* parameters: (.+)")
_TABLE = re.compile(r"Table with name (\w+) does not exist")


def hint(connection: duckdb.DuckDBPyConnection, message: str) -> str:
    """A further sentence, beginning with a space, or nothing.

    A column that other tables have is named with them, a misspelt one with the names that look like it, and for a table
    that looks like none it says where the list is.
    """
    found = _COLUMN.search(message) or _OWN_COLUMN.search(message)
    if found:
        return _about_column(connection, found[1])
    if _TABLE.search(message):
        return " The question `columns` lists all tables: `rarecall query columns`."
    missing = _PARAMETER.search(message)
    return f" Give values with --set NAME=VALUE ({missing[1].strip()})." if missing else ""


def _about_column(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    rows = connection.execute("SELECT column_name, table_name FROM duckdb_columns() WHERE NOT internal").fetchall()
    tables: dict[str, list[str]] = {}
    for column, table in rows:
        tables.setdefault(column, []).append(table)
    if name in tables:
        return f' "{name}" is a column of {", ".join(sorted(tables[name])[:5])}.'
    close = difflib.get_close_matches(name, tables, n=3, cutoff=0.7)
    said = [f'"{column}" (of {", ".join(sorted(tables[column])[:3])})' for column in close]
    return f" Did you mean {' or '.join(said)}?" if said else ""
