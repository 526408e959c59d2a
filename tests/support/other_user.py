"""A user who may read a home and not write it, although the tests may run as root, whom mode bits do not stop."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.support.acceptance_home import command, environment

NOBODY = 65534
_DROP_FROM_BOUNDING_SET = 24


def give_away(folder: Path) -> None:
    """Make a folder somebody else's, readable to all; without the right to do that, only take the right to write."""
    for path in (folder, *folder.rglob("*")):
        if path.is_symlink():
            continue
        path.chmod(path.stat().st_mode & ~0o222 | 0o444 | (0o111 if path.is_dir() else 0))
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)


def give_back(folder: Path) -> None:
    """So that it can be removed."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o200)


def without_privileges() -> None:
    """In a process about to start another: it will have none of root's rights, only those of its number."""
    call = ctypes.CDLL(None).prctl
    for number in range(64):
        call(_DROP_FROM_BOUNDING_SET, number, 0, 0, 0)


def as_other_user(home: Path, *words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command on a home that was given away."""
    return subprocess.run(
        command(*words), env=environment(home) | options.pop("more", {}), cwd=home.parent, capture_output=True,
        text=True, timeout=300, preexec_fn=without_privileges, **options,
    )  # fmt: skip
