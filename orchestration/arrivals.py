"""Which checkpoints in the watched folder are complete, registered and not measured yet."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

from assets.stage import Scope
from orchestration.flow import is_measured
from warehouse.atomic import digest
from warehouse.errors import WarehouseError
from warehouse.home import check_name
from warehouse.registrations import register, registered

SETTLE_SECONDS = 5.0


@dataclass(frozen=True)
class Arrival:
    """A checkpoint to be measured; `content` changes when its files do."""

    checkpoint_id: str
    content: str


def look_for_arrivals(scope: Scope, settle_seconds: float = SETTLE_SECONDS) -> tuple[list[Arrival], list[str]]:
    """Checkpoints to measure, and one sentence for each folder that is passed over."""
    arrivals: list[Arrival] = []
    passed_over: list[str] = []
    for folder in sorted(
        p for p in scope.home.checkpoint_folder.glob("*") if p.is_dir() and not p.name.startswith(".")
    ):
        reason = _why_not(scope, folder, settle_seconds)
        if reason is None:
            arrivals.append(Arrival(folder.name, content_of(folder)))
        else:
            passed_over.append(reason)
    return arrivals, passed_over


def content_of(folder: Path) -> str:
    """Hash of names, sizes and times of the files."""
    return digest([(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(folder.iterdir()) if p.is_file()])[
        :16
    ]


def step_in_name(name: str) -> int | None:
    """The training step a folder name ends with or carries after `step` or `checkpoint`."""
    found = re.search(r"(?:step|checkpoint)[-_]?(\d+)", name) or re.search(r"(\d+)$", name)
    return int(found[1]) if found else None


def _why_not(scope: Scope, folder: Path, settle_seconds: float) -> str | None:
    from probes.inspection import is_complete

    try:
        check_name(folder.name, "checkpoint folder")
    except WarehouseError as error:
        return str(error)
    if reason := is_complete(folder):
        return f"{folder.name} is passed over: {reason}"
    newest = max((p.stat().st_mtime for p in folder.iterdir()), default=0.0)
    if time.time() - newest < settle_seconds:
        return f"{folder.name} is passed over: its files changed less than {settle_seconds:.0f} s ago."
    known = registered(scope.home, "checkpoints")
    if known.get(folder.name, {}).get("corpus_id", scope.profile.corpus_id) != scope.profile.corpus_id:
        return f"{folder.name} is passed over: it is registered for another corpus."
    if folder.name not in known:
        facts = {
            "source": str(folder),
            "training_step": step_in_name(folder.name),
            "corpus_id": scope.profile.corpus_id,
        }
        register(scope.home, "checkpoints", folder.name, facts)
    if is_measured(Scope(scope.home, scope.profile, folder.name)):
        return f"{folder.name} is measured already."
    return None
