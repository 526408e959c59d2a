"""The order of the flow, and what of it is still to be done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from assets.checkpoints.stages import checkpoints, registered_source
from assets.framework.stage import Scope
from assets.report import is_written
from assets.stages import CORPUS_STAGES, is_measured
from assets.training import training_steps
from warehouse.catalog.publish import is_published
from warehouse.registrations import registered


@dataclass(frozen=True)
class Step:
    """One job to run, for one checkpoint where it is partitioned."""

    job: str
    checkpoint_id: str | None = None


def corpus_steps(scope: Scope) -> list[Step]:
    """What is to be done before a checkpoint can be measured."""
    if not all(stage.is_current(scope) for stage in CORPUS_STAGES):
        return [Step("corpus"), Step("training")] if scope.profile.training else [Step("corpus")]
    return [Step("training")] if scope.profile.training and not training_steps.is_current(scope) else []


def checkpoint_steps(scope: Scope, only: str | None = None) -> list[Step]:
    """Checkpoints registered for the profile's corpus that are not fully measured and whose files are there."""
    names = [only] if only else [n for n in checkpoints_of(scope) if not is_gone(Scope(scope.home, scope.profile, n))]
    return [Step("checkpoint", n) for n in names if not is_measured(Scope(scope.home, scope.profile, n))]


def tail_steps(scope: Scope) -> list[Step]:
    """The SQL tail, unless it shows the record as it is."""
    profile = scope.profile
    is_shown = is_published(scope.home) and is_written(scope.home, profile.corpus_id, profile.report)
    return [] if is_shown else [Step("tail")]


def is_gone(scope: Scope) -> bool:
    """Whether the folder of a checkpoint that was measured before is no longer there; its results are kept."""
    folder = Path(str(registered_source(scope)["source"]))
    return folder.is_absolute() and not folder.is_dir() and scope.content(checkpoints.name) is not None


def checkpoints_of(scope: Scope) -> list[str]:
    """Checkpoints registered for the profile's corpus by training step: the newest is measured last, and is what the
    overview pages of the UI then show."""
    known = registered(scope.home, "checkpoints")
    of_corpus = [name for name, facts in known.items() if facts.get("corpus_id") == scope.profile.corpus_id]
    return sorted(of_corpus, key=lambda name: (known[name].get("training_step") or 0, name))
