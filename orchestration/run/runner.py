"""Run the flow through Dagster, so that every step shows in the UI: here, or several checkpoints side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from assets.checkpoints.preflight import refuse_unfit
from assets.framework.cores import parallel_checkpoints
from assets.framework.errors import RequestError
from assets.framework.stage import Scope
from assets.stages import CHECKPOINT_STAGES, is_measured
from orchestration.run.executor import Executor
from orchestration.run.flow import Step, checkpoint_steps, checkpoints_of, corpus_steps, is_gone, tail_steps
from orchestration.run.instance import close_left_runs, open_instance
from orchestration.run.side_by_side import Ended, checkpoints_at_once, measure_side_by_side
from orchestration.sources.arrivals import look_for_arrivals
from orchestration.sources.named import named_in, register_profile_checkpoints
from warehouse.registrations import registered


@dataclass
class RunOutcome:
    """What a run did: steps done, for failed ones the reason, and a sentence for what it left alone."""

    done: list[Step] = field(default_factory=list)
    failed: list[tuple[Step, BaseException]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def run_flow(
    scope: Scope,
    profile: str = "",
    only: str | None = None,
    before_step: Callable[[], None] = lambda: None,
    at_once: int | None = 1,
) -> RunOutcome:
    """Materialize what is missing for the scope's profile; a checkpoint that fails does not stop the others.

    Args:
        scope: home and profile.
        profile: what the profile was loaded from (name or path), for the assets to load it again.
        only: measure just this checkpoint.
        before_step: called before every step; may raise to stop the flow.
        at_once: checkpoints measured at the same time; None means as many as cores and memory allow.

    Raises:
        RequestError: `only` names a checkpoint that is not registered, a checkpoint that was asked for by name is
            unfit, or a wrong number is to be measured at once; no work was done then.
    """
    parallel_checkpoints()
    named = named_in(scope)
    refuse_unfit(scope, _asked_for(scope, only, named))
    register_profile_checkpoints(scope, named)
    outcome = RunOutcome(notes=look_for_arrivals(scope).passed_over)  # before training adds checkpoints of its own
    if closed := close_left_runs(scope.home):
        outcome.notes.append(f"{len(closed)} runs of processes that are gone were closed; the UI shows them as failed.")
    lazily = Executor(scope, profile, before_step)
    for step in corpus_steps(scope):
        lazily.run(step)
        outcome.done.append(step)
    outcome.notes += _gone(scope)
    if only is not None and only not in checkpoints_of(scope):
        raise RequestError(_unknown(scope, only))
    for step, error in _measured(lazily, checkpoint_steps(scope, only), at_once):
        if error is None:
            outcome.done.append(step)
            outcome.notes += _left_out(scope, step)
        else:
            outcome.failed.append((step, error))
    if any(step.checkpoint_id for step in outcome.done):
        _show_newest(scope)
    for step in tail_steps(scope):
        lazily.run(step)
        outcome.done.append(step)
    return outcome


def _measured(executor: Executor, steps: list[Step], at_once: int | None) -> Iterable[Ended]:
    """Each step with its error or None; every checkpoint gets its turn, the reasons are reported together."""
    count = checkpoints_at_once(executor.scope, steps) if at_once is None else at_once
    if count > 1:
        return measure_side_by_side(executor.scope, executor.profile, steps, count, executor.before_step)
    return [(step, _error_of(executor, step)) for step in steps]


def _show_newest(scope: Scope) -> None:
    from orchestration.run.newest_shown import show_newest

    with open_instance(scope.home) as instance:
        show_newest(instance, [name for stage in CHECKPOINT_STAGES for name in stage.tables], checkpoints_of(scope)[-1])


def _error_of(executor: Executor, step: Step) -> Exception | None:
    try:
        executor.run(step)
    except Exception as error:
        return error
    return None


def _asked_for(scope: Scope, only: str | None, named: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Registrations of the checkpoints that somebody named and that are not measured yet."""
    known = registered(scope.home, "checkpoints")
    asked = named if only is None else {only: known[only]} if only in known else {}
    return {
        name: facts
        for name, facts in asked.items()
        if name not in known or not is_measured(Scope(scope.home, scope.profile, name))
    }


def _left_out(scope: Scope, step: Step) -> list[str]:
    """A sentence for a checkpoint just measured whose family has no adapter: what its tables do not hold, and why."""
    from probes.architectures import unmeasured

    measured = Scope(scope.home, scope.profile, step.checkpoint_id)
    if measured.content("checkpoints") is None:
        return []
    reason = unmeasured(str(measured.read("checkpoints", ["architecture"])["architecture"][0]))
    return [] if reason is None else [f"checkpoint {step.checkpoint_id}: {reason}"]


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
