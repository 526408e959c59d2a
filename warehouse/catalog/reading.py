"""The check of a question: one SELECT, or the plan of one, in which nothing writes.

The kind of a statement does not tell: `EXPLAIN ANALYZE COPY` is an EXPLAIN, and since DuckDB 2.0
`WITH a AS (COPY … TO …) SELECT …` is a SELECT; both write. So the tree of the statement decides, as DuckDB itself
gives it, and what is run is the text that was looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import duckdb

from warehouse.errors import QueryError

_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_BEFORE = r"(?:\s|--[^\n]*\n|/\*(?:(?!/\*|\*/).)*\*/)*"
_EXPLAIN = re.compile(rf"{_BEFORE}EXPLAIN\b{_BEFORE}(?P<form>\(\s*FORMAT\s+\w+\s*\))?(?P<asked>.*)", re.I | re.S)
_ACTING = {
    *("query", "json_execute_serialized_sql", "nextval", "setval", "write_log", "checkpoint"),
    *(
        "force_checkpoint",
        "enable_logging",
        "disable_logging",
        "truncate_duckdb_logs",
        "copy_database",
        "import_database",
    ),
    *("add_parquet_key", "sleep_ms", "which_secret", "duckdb_secrets", "setseed"),
}
"""Functions that do something or run a text of their own; they are in the way of nothing that reads."""
_ACTING_BEGINNINGS = ("create_", "destroy_", "register_", "deregister_", "enable_", "disable_", "verify_")
_LONGEST_TEXT = 1_000_000


def reading_text(connection: duckdb.DuckDBPyConnection, text: str) -> str:
    """The statement to be run for a question.

    Raises:
        QueryError: it is not exactly one statement, does not only read, or is wrong.
    """
    if len(text) > _LONGEST_TEXT:
        raise QueryError(f"the query is longer than {_LONGEST_TEXT:,} characters; shorten it.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise QueryError(f"the query is not UTF-8 (character {error.start}); write it as UTF-8.") from error
    kind, said = _single(connection, text)
    if kind == "EXPLAIN":
        found = _EXPLAIN.fullmatch(text)
        if found is None:
            raise QueryError("EXPLAIN must come first in the query and may only name a FORMAT; write EXPLAIN SELECT ….")
        try:
            kind, asked = _single(connection, found["asked"])
        except QueryError:  # EXPLAIN ANALYZE leaves a text that is no statement, and would run the query
            kind, asked = "EXPLAIN ANALYZE", ""
        said = f"EXPLAIN {found['form'] or ''} {asked}"
        _require_select(connection, kind, asked, "EXPLAIN of ")
        return said
    _require_select(connection, kind, said, "")
    return said


def _single(connection: duckdb.DuckDBPyConnection, text: str) -> tuple[str, str]:
    """Kind and text of the one statement in a text."""
    try:
        statements = connection.extract_statements(text)
    except (duckdb.Error, ValueError, RuntimeError) as error:
        raise QueryError(explain(error)) from error
    if len(statements) != 1:
        raise QueryError(f"the query holds {len(statements)} statements; give exactly one.")
    try:
        return statements[0].type.name, statements[0].query
    except (ValueError, RuntimeError) as error:  # a kind that the Python package has no name for
        raise QueryError("the warehouse is read-only and this is not a reading statement; use SELECT.") from error


def _require_select(connection: duckdb.DuckDBPyConnection, kind: str, text: str, where: str) -> None:
    if kind != "SELECT":
        raise QueryError(
            f"the warehouse is read-only and {where if kind != 'EXPLAIN ANALYZE' else ''}{kind} is not a reading "
            "statement; use SELECT (PIVOT needs IN with its values)."
        )
    for node in _tree(connection, text):
        _require_harmless(node)


def _tree(connection: duckdb.DuckDBPyConnection, text: str) -> Iterator[dict[str, Any]]:
    """Every node of a SELECT as DuckDB parses it."""
    try:
        rows = connection.execute("SELECT json_serialize_sql(?)", [text]).fetchall()
    except duckdb.Error as error:
        raise QueryError(explain(error)) from error
    tree = json.loads(rows[0][0])
    if tree["error"]:
        raise QueryError(f"the query failed: {tree.get('error_message', 'it cannot be read')}; use a plain SELECT.")
    if len(tree["statements"]) != 1:
        raise QueryError(f"the query holds {len(tree['statements'])} statements; give exactly one.")
    waiting: list[Any] = [tree["statements"]]
    while waiting:
        value = waiting.pop()
        waiting += value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
        if isinstance(value, dict):
            yield value


def _require_harmless(node: dict[str, Any]) -> None:
    kind, name = str(node.get("type", "")), str(node.get("function_name", "")).lower()
    if kind.endswith("_NODE") and kind not in _NODES:
        raise QueryError(f"the warehouse is read-only and {_spoken(kind)} inside a SELECT writes; leave it out.")
    if name in _ACTING or name.startswith(_ACTING_BEGINNINGS):
        raise QueryError(f"the warehouse is read-only and the function {name} does more than read; leave it out.")


def _spoken(kind: str) -> str:
    return kind.removesuffix("_NODE").removesuffix("_QUERY").replace("_", " ")


def explain(error: Exception) -> str:
    """DuckDB's own words in one sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no reason was given"]
    hints = [line for line in lines[1:] if line.startswith(("Did you mean", "Candidate"))]
    sentence = "the query failed: " + " ".join([lines[0], *hints])
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
