"""Cache of plots: what was drawn before from the same content by the same code is not drawn again."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path

from warehouse.files import digest, file_sha256, write_json


@cache
def drawing_code() -> str:
    """Hash over the code and the queries drawings are made with, and matplotlib's version."""
    root = Path(__file__).parents[2]
    sources = sorted([*(root / "assets").rglob("*.py"), *(root / "sql" / "adhoc").glob("*.sql")])
    return digest([version("matplotlib"), *(file_sha256(source) for source in sources)])


def drawn_once(note: Path, content: str, draw: Callable[[], str]) -> str:
    """A drawing as markdown: the one in `note` if it shows this content, else a new one, which is noted.

    Args:
        note: JSON file; a damaged one only means drawing again.
        content: hash over everything the drawing shows.
        draw: makes it.
    """
    key = digest([content, drawing_code()])
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
        if known["key"] == key:
            return str(known["markdown"])
    except (OSError, ValueError, TypeError, KeyError):
        pass
    markdown = draw()
    write_json(note, {"key": key, "markdown": markdown})
    return markdown
