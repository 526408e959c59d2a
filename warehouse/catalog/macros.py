"""Macros of the catalog: files of sql/macros, each one bare SELECT over the parameters its first line names.

`-- name(a, b): what it is` makes a function of the expression behind SELECT; `-- table name(a): what a row is` makes
a macro that stands in FROM.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import sql
from warehouse.errors import WarehouseError

_SIGNATURE = re.compile(r"-- (?P<table>table )?(?P<name>\w+)\((?P<parameters>[\w\s,:=.'-]*)\): ")
_SELECT = re.compile(r"^\s*SELECT\b", re.IGNORECASE)


@dataclass(frozen=True)
class Macro:
    """One macro: its name, its parameters as they are declared, whether it gives rows, and its query."""

    name: str
    parameters: str
    gives_rows: bool
    query: sql.Query

    @classmethod
    def of(cls, query: sql.Query) -> Macro:
        """The macro that a file of sql/macros declares.

        Raises:
            WarehouseError: the first line declares none, or one of another name than the file's.
        """
        found = _SIGNATURE.match(query.text)
        if found is None or found["name"] != query.name:
            raise WarehouseError(
                f"sql/macros/{query.name}.sql does not begin with its signature; write `-- {query.name}(…): …`, or "
                f"`-- table {query.name}(…): …` for a macro that gives rows."
            )
        return cls(query.name, found["parameters"], bool(found["table"]), query)

    @property
    def definition(self) -> str:
        """The statement that creates it; names come from our own files."""
        code = "\n".join(line for line in self.query.text.splitlines() if not line.startswith("--"))
        body = f"TABLE {code}" if self.gives_rows else f"({_SELECT.sub('', code)})"
        return f'CREATE MACRO "{self.name}"({self.parameters}) AS {body}'

    @property
    def kind(self) -> str:
        """What COMMENT ON calls it."""
        return "MACRO TABLE" if self.gives_rows else "MACRO"
