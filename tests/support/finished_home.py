"""A finished home that the tests of a session share: made once, copied by whoever wants to break it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support.acceptance_home import copy_home


@dataclass(frozen=True)
class Finished:
    """A home after a complete run, and what that run printed. Read only; `copy` gives one to break."""

    home: Path
    profile: Path
    stdout: str
    stderr: str

    def copy(self, target: Path) -> Path:
        return copy_home(self.home, target)
