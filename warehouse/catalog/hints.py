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
        return _about_column(connection, found[1], message)
    if _TABLE.search(message):
        return " The question `columns` lists all tables: `rarecall query columns`."
    missing = _PARAMETER.search(message)
    return f" Give values with --set NAME=VALUE ({missing[1].strip()})." if missing else ""


def _about_column(connection: duckdb.DuckDBPyConnection, name: str, message: str) -> str:
    text = "SELECT column_name, table_name, coalesce(comment, '') FROM duckdb_columns() WHERE NOT internal"
    tables: dict[str, list[str]] = {}
    comments: dict[str, str] = {}
    for column, table, comment in connection.execute(text).fetchall():
        tables.setdefault(column, []).append(table)
        comments.setdefault(column, comment)
    asked = _asked_tables(tables, message)
    ordered = {column: sorted(found, key=lambda t: (t not in asked, t)) for column, found in tables.items()}
    if name in tables:
        return f' "{name}" is a column of {", ".join(ordered[name][:5])}.'
    said = [f'"{column}" (of {", ".join(ordered[column][:3])})' for column in nearest(name, ordered, comments, asked)]
    return f" Did you mean {' or '.join(said)}?" if said else ""


def _asked_tables(tables: dict[str, list[str]], message: str) -> set[str]:
    """Tables that hold every column which the message offers instead: those of the question, as a rule."""
    offered = re.findall(r'"(\w+)"', message.partition("Candidate bindings:")[2])
    holders = [set(tables[column]) for column in offered if column in tables]
    return set.intersection(*holders) if holders else set()


def nearest(name: str, tables: dict[str, list[str]], comments: dict[str, str], asked: set[str]) -> list[str]:
    """At most three columns that somebody may have meant, those of the tables in the question first.

    Misspelt names come first, then names that hold the word, then columns whose comment speaks of it.
    """

    def is_asked(column: str) -> bool:
        return bool(asked & set(tables[column]))

    word = name.lower()
    close = difflib.get_close_matches(word, tables, n=6, cutoff=0.7)
    holding = [column for column in tables if word in column.split("_") or (len(word) > 4 and word in column)]
    spoken = [column for column in tables if re.search(rf"\b{re.escape(word)}\b", comments[column], re.IGNORECASE)]
    tiers = (close, *([c for c in some if is_asked(c)] for some in (holding, spoken)), holding, spoken)
    found = next((tier for tier in tiers if tier), [])
    return sorted(found, key=lambda column: not is_asked(column))[:3]
