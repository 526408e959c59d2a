"""The folder on disk for what DuckDB cannot hold in memory while it sorts or groups."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from warehouse.home import Home

_PREFIX = ".rarecall-spill-"
_TRIES = 20
SPILL_LIMIT = "10GB"
"""Most that one connection may put on the disk while it sorts or groups more than fits into memory."""


def make_spill_folder(home: Home) -> Path:
    """An empty folder of that kind, for this user alone; where the home cannot be written, in the system's own."""
    try:
        (folder := spill_folder(home)).mkdir(mode=0o700)
    except OSError:
        (folder := _named(Path(tempfile.gettempdir()))).mkdir(mode=0o700)
    return folder


def spill_folder(home: Home) -> Path:
    """A name for what a connection puts on the disk; it names the process, so that `gc` finds what a killed one left.

    In the home, or where that cannot be written in the system's own folder for temporary files.
    """
    return _named(home.root if os.access(home.root, os.W_OK) else Path(tempfile.gettempdir()))


def _named(room: Path) -> Path:
    """A name that nobody else can have taken, in a folder that may be everybody's."""
    return room / f"{_PREFIX}{secrets.token_hex(8)}.{os.getpid()}.tmp"


def remove_spill_folder(folder: Path) -> None:
    """Remove one; a question that is still being stopped may put a file into it meanwhile."""
    for _ in range(_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.02)


def spill_folders_outside() -> Iterator[Path]:
    """Those of this user in the system's folder for temporary files, whosever home they served."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*.tmp"):
        if folder.lstat().st_uid == os.getuid():
            yield folder
