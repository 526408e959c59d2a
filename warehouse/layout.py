"""The version of the home's layout: older homes are migrated step by step, newer ones are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from warehouse.atomic import write_json
from warehouse.errors import WarehouseError

if TYPE_CHECKING:
    from warehouse.home import Home

LAYOUT = 1
MIGRATIONS: dict[int, Callable[[Home], None]] = {}
"""From a version to the next; each may be interrupted and run again."""


def check_layout(home: Home) -> None:
    """Bring a home to today's layout.

    Raises:
        WarehouseError: it was written by a newer rarecall, or its version cannot be read; nothing was touched.
    """
    version = _version(home)
    if version > LAYOUT:
        raise WarehouseError(
            f"the home {home.root} has layout {version} of a newer rarecall, this one knows {LAYOUT}; install that "
            "one, or set RARECALL_HOME to another folder."
        )
    for step in range(version, LAYOUT):
        MIGRATIONS[step](home)
        write_json(home.layout, {"layout": step + 1})
    if not home.layout.exists():
        write_json(home.layout, {"layout": LAYOUT})


def _version(home: Home) -> int:
    """Homes from before layouts had a version are of the first."""
    try:
        return int(json.loads(home.layout.read_text(encoding="utf-8"))["layout"])
    except FileNotFoundError:
        return 1
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WarehouseError(
            f'{home.layout} cannot be read ({type(error).__name__}); write {{"layout": {LAYOUT}}} into it if this '
            "home was made by this rarecall."
        ) from error
