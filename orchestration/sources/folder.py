"""Checkpoints as folders inside a watched folder."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from orchestration.sources.base import SETTLE_SECONDS, Listed, why_folder_is_not_ready
from probes.checkpoints.names import step_in_name


@dataclass(frozen=True)
class FolderSource:
    """Every visible folder inside `path` is a checkpoint of its name."""

    path: Path
    settle_seconds: float = SETTLE_SECONDS

    @property
    def where(self) -> str:
        """The watched folder."""
        return str(self.path)

    def listed(self) -> list[Listed]:
        """Folders by name; a watched folder that does not exist yet is empty."""
        folders = sorted(p for p in self.path.glob("*") if p.is_dir() and not p.name.startswith("."))
        return [Listed(p.name, str(p), training_step=step_in_name(p.name)) for p in folders]

    def why_not(self, listed: Listed) -> str | None:
        """Missing files, sizes that disagree with headers, files that changed a moment ago."""
        folder = Path(listed.source)
        return why_folder_is_not_ready(listed.checkpoint_id, folder, time.time(), self.settle_seconds)
