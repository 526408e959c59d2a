"""The folder on disk for what DuckDB cannot hold in memory while it sorts or groups."""

from __future__ import annotations

import itertools
import os
import tempfile
from pathlib import Path

from warehouse.home import Home

_numbers = itertools.count()
SPILL_LIMIT = "10GB"
"""Most that one connection may put on the disk while it sorts or groups more than fits into memory."""


def make_spill_folder(home: Home) -> Path:
    """An empty folder of that kind; where the home cannot be written, in the system's own."""
    try:
        (folder := spill_folder(home)).mkdir()
    except OSError:
        folder = Path(tempfile.mkdtemp(prefix="rarecall-spill-"))
    return folder


def spill_folder(home: Home) -> Path:
    """A name for what a connection puts on the disk; it names the process, so that `gc` finds what a killed one left.

    In the home, or where that cannot be written in the system's own folder for temporary files.
    """
    room = home.root if os.access(home.root, os.W_OK) else Path(tempfile.gettempdir())
    return room / f".rarecall-spill-{next(_numbers)}.{os.getpid()}.tmp"
