"""The SELECTs of the warehouse.

Folders: macros (functions over their parameters), staging, views, marts (small tables), checks (return violating
rows), adhoc (the cookbook).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

COOKBOOK = "adhoc/cookbook"


@dataclass(frozen=True)
class Query:
    """One bare SELECT. Its leading comment says what a row is; `name` is the file's name."""

    name: str
    text: str

    @property
    def description(self) -> str:
        """The leading comment lines, joined."""
        lines: list[str] = []
        for line in self.text.splitlines():
            if not line.startswith("--"):
                break
            lines.append(line.removeprefix("--").strip())
        return " ".join(lines)

    @property
    def title(self) -> str:
        """The first comment line: the question it answers, or what a row is."""
        return self.text.partition("\n")[0].removeprefix("--").strip()


def load(folder: str) -> dict[str, Query]:
    """All queries of a folder by name, sorted."""
    found = sorted(
        (f for f in files("sql").joinpath(folder).iterdir() if f.name.endswith(".sql")), key=lambda f: f.name
    )
    return {f.name[:-4]: Query(f.name[:-4], f.read_text(encoding="utf-8")) for f in found}


def load_one(folder: str, name: str) -> Query:
    """One query.

    Raises:
        KeyError: there is none of that name.
    """
    return load(folder)[name]


def questions() -> dict[str, Query]:
    """Every named SELECT one can ask by name: the cookbook first, then those behind the report."""
    return load(COOKBOOK) | load("adhoc")
