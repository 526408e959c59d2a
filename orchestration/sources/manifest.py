"""Checkpoints named in a file: one JSON object per line."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.framework.errors import RequestError
from orchestration.sources.base import SETTLE_SECONDS, Listed, why_folder_is_not_ready
from probes.checkpoints.names import step_in_name

KINDS: dict[str, type] = {"checkpoint_id": str, "source": str, "training_step": int}


@dataclass(frozen=True)
class ManifestSource:
    """Lines such as `{"checkpoint_id": "neo-4000", "source": "runs/neo/4000", "training_step": 4000}`.

    `source` is a folder, relative to the manifest where it is not absolute. Only `source` is needed; a last line
    without its end is being written and is read the next time.
    """

    path: Path
    settle_seconds: float = SETTLE_SECONDS

    @property
    def where(self) -> str:
        """The manifest file."""
        return str(self.path)

    def listed(self) -> list[Listed]:
        """The lines of the file, in order.

        Raises:
            RequestError: the file cannot be read, or a line is not what it should be.
        """
        try:
            text = self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or getattr(error, "reason", error)
            raise RequestError(f"the manifest {self.path} cannot be read ({reason}); correct `watch.path`.") from error
        lines = text.split("\n")[:-1]
        return [self._entry(number, line) for number, line in enumerate(lines, 1) if line.strip()]

    def why_not(self, listed: Listed) -> str | None:
        """The same as for a watched folder."""
        return why_folder_is_not_ready(listed.checkpoint_id, Path(listed.source), time.time(), self.settle_seconds)

    def _entry(self, number: int, line: str) -> Listed:
        facts = self._parsed(number, line)
        folder = (self.path.parent / Path(facts["source"]).expanduser()).resolve()
        name = facts.get("checkpoint_id") or folder.name
        step = facts["training_step"] if "training_step" in facts else step_in_name(name)
        return Listed(name, str(folder), training_step=step)

    def _parsed(self, number: int, line: str) -> dict[str, Any]:
        try:
            facts = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self._wrong(number, f"is no JSON ({error})") from error
        if not isinstance(facts, dict) or not isinstance(facts.get("source"), str) or not facts["source"]:
            raise self._wrong(number, "has no `source`")
        if unknown := sorted(set(facts) - set(KINDS)):
            raise self._wrong(number, f"has the unknown key {unknown[0]!r}")
        for key, kind in KINDS.items():
            if not isinstance(facts.get(key), kind | None) or isinstance(facts.get(key), bool):
                raise self._wrong(number, f"has a {key} that is no {kind.__name__}")
        return facts

    def _wrong(self, number: int, what: str) -> RequestError:
        return RequestError(f"line {number} of the manifest {self.path} {what}; correct the line.")
