"""The Dagster code location and the `rarecall` command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

_ROOMS = {"assets", "corpus_stats", "probes", "sql", "warehouse"}
_ROOT = str(Path(__file__).resolve().parents[1])


class _OwnRooms:
    """Finds the rooms beside this one first: a folder `sql` or a file `assets.py` where one works is another's."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The room of that name beside this package; None for every other module."""
        return PathFinder.find_spec(name, [_ROOT], target) if name in _ROOMS and path is None else None


sys.meta_path.insert(0, _OwnRooms)
