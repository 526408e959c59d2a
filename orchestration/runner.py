"""Run the flow in this process through Dagster, so that every step shows in the UI."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assets.errors import RequestError
from assets.fitness import refuse_unfit, split_revision
from assets.stage import Scope
from orchestration.arrivals import look_for_arrivals
from orchestration.flow import (
    Step,
    checkpoint_steps,
    checkpoints_of,
    corpus_steps,
    is_gone,
    is_measured,
    tail_steps,
)
from orchestration.instance import close_killed_runs, open_instance, process_tags
from warehouse.registrations import register, registered

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class Outcome:
    """What a run did: steps done, for failed ones the reason, and a sentence for what it left alone."""

    done: list[Step] = field(default_factory=list)
    failed: list[tuple[Step, BaseException]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def run_flow(
    scope: Scope, profile: str = "", only: str | None = None, before_step: Callable[[], None] = lambda: None
) -> Outcome:
    """Materialize what is missing for the scope's profile; a checkpoint that fails does not stop the others.

    Args:
        scope: home and profile.
        profile: what the profile was loaded from (name or path), for the assets to load it again.
        only: measure just this checkpoint.
        before_step: called before every step; may raise to stop the flow.

    Raises:
        RequestError: `only` names a checkpoint that is not registered, or a checkpoint that was asked for by name is
            unfit; no work was done then.
    """
    refuse_unfit(scope, _asked_for(scope, only))
    register_profile_checkpoints(scope)
    outcome = Outcome(notes=look_for_arrivals(scope).passed_over)  # before training adds checkpoints of its own
    lazily = _Executor(scope, profile, before_step)
    for step in corpus_steps(scope):
        lazily.run(step)
        outcome.done.append(step)
    outcome.notes += _gone(scope)
    if only is not None and only not in checkpoints_of(scope):
        raise RequestError(_unknown(scope, only))
    for step in checkpoint_steps(scope, only):
        try:
            lazily.run(step)
            outcome.done.append(step)
        except Exception as error:  # every checkpoint gets its turn; the reasons are reported together
            outcome.failed.append((step, error))
    for step in tail_steps(scope):
        lazily.run(step)
        outcome.done.append(step)
    return outcome


def register_profile_checkpoints(scope: Scope) -> None:
    """Register the checkpoints a profile names, unless they are."""
    known = registered(scope.home, "checkpoints")
    for name, facts in _named_in(scope).items():
        if name not in known:
            register(scope.home, "checkpoints", name, facts)


def _named_in(scope: Scope) -> dict[str, dict[str, Any]]:
    """What is to be registered of the checkpoints that the profile names, by name."""
    named = {}
    for text in scope.profile.checkpoints:
        source, revision = split_revision(text)
        facts = {"source": resolved(source), "corpus_id": scope.profile.corpus_id}
        named[checkpoint_id_of(source, revision)] = facts | ({"revision": revision} if revision else {})
    return named


def _asked_for(scope: Scope, only: str | None) -> dict[str, dict[str, Any]]:
    """Registrations of the checkpoints that somebody named and that are not measured yet."""
    known = registered(scope.home, "checkpoints")
    named = _named_in(scope) if only is None else {only: known[only]} if only in known else {}
    pending = {name for name in named if name not in known or not is_measured(Scope(scope.home, scope.profile, name))}
    return {name: known.get(name, named[name]) for name in named if name in pending}


def checkpoint_id_of(source: str, revision: str | None = None) -> str:
    """A safe name for a folder or a hub id: `EleutherAI/gpt-neo-125m` becomes `EleutherAI--gpt-neo-125m`."""
    base = Path(source).name if Path(source).exists() else source.replace("/", "--")
    return f"{base}--{revision}" if revision else base


def resolved(source: str) -> str:
    """Folders as absolute paths, hub ids as they are."""
    return str(Path(source).resolve()) if Path(source).exists() else source


class _Executor:
    """Loads Dagster and the assets only when there is something to do."""

    def __init__(self, scope: Scope, profile: str, before_step: Callable[[], None]):
        self.scope, self.profile, self.before_step = scope, profile, before_step

    def run(self, step: Step) -> None:
        """Run the step's job in this process."""
        from assets.partitions import CHECKPOINTS
        from orchestration.definitions import build_definitions

        self.before_step()
        definitions = build_definitions(str(self.scope.home.root), self.profile)
        with open_instance(self.scope.home) as instance:
            close_killed_runs(instance)
            if step.checkpoint_id is not None:
                instance.add_dynamic_partitions(str(CHECKPOINTS.name), [step.checkpoint_id])
            job = definitions.resolve_job_def(step.job)
            config = {} if os.environ.get("RARECALL_DEBUG") else _QUIET
            job.execute_in_process(
                instance=instance, partition_key=step.checkpoint_id, run_config=config, tags=process_tags()
            )


def _gone(scope: Scope) -> list[str]:
    """A sentence for each checkpoint that would be measured again if its files were still there."""
    scopes = [Scope(scope.home, scope.profile, name) for name in checkpoints_of(scope)]
    return [
        f"the files of checkpoint {s.checkpoint_id} are gone; its results are kept as they are."
        for s in scopes
        if is_gone(s) and not is_measured(s)
    ]


def _unknown(scope: Scope, name: str) -> str:
    shown = ", ".join(checkpoints_of(scope)) or "none yet"
    return f"there is no checkpoint {name!r} for corpus {scope.profile.corpus_id}; registered: {shown}."
