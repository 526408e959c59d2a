"""Measure several checkpoints at once, each in a process with its share of the cores and a Dagster run of its own.

Small models leave cores idle: their tensors are too small to be divided among threads. Processes are kept for the next
checkpoint, since starting one costs seconds of imports.
"""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from assets.checkpoints.stages import registered_source
from assets.framework.cores import (
    PARALLEL_CHECKPOINTS,
    available_memory_bytes,
    cores_divided,
    parallel_checkpoints,
    parallel_steps,
    usable_cores,
)
from assets.framework.errors import RequestError
from assets.framework.stage import Scope
from orchestration.run.executor import Executor
from orchestration.run.flow import Step
from orchestration.run.instance import close_killed_runs, open_instance
from orchestration.run.interruption import ENDING, signals_interrupt
from probes.errors import ProbeError

if TYPE_CHECKING:
    from probes.workers.local import ProcessWorker
    from probes.workers.worker import ShardOutcome

PROCESS_BYTES = 2_500_000_000
"""Libraries, tables and activations of one process."""
WEIGHT_COPIES = 8
"""Most copies of the weights at once: editing holds the model, a backup, gradients and what the optimizer remembers."""
LOOK_S = 0.5
PATIENCE_S = 5.0

Ended = tuple[Step, BaseException | None]


def checkpoints_at_once(scope: Scope, steps: Sequence[Step]) -> int:
    """How many of the steps to work on at once: `$RARECALL_PARALLEL_CHECKPOINTS`, else what cores and memory allow.

    One where the engine or Dagster divides the work already, on an accelerator, and where the size of a model is not
    known because its files are not on this machine.

    Raises:
        RequestError: the variable is no positive number.
    """
    asked, engine = parallel_checkpoints(), scope.profile.engine
    is_divided = engine.kind != "local" or engine.workers > 1 or engine.shard_limit_s is not None
    if len(steps) < 2 or is_divided or parallel_steps() > 1:
        return 1
    if asked is not None:
        return min(asked, len(steps))
    sizes = [_weight_bytes(Path(str(registered_source(_scope_of(scope, step))["source"]))) for step in steps]
    if None in sizes or not is_on_processor(scope):
        return 1
    fitting = available_memory_bytes() // (PROCESS_BYTES + WEIGHT_COPIES * max(size or 0 for size in sizes))
    return max(1, min(len(steps), usable_cores(), fitting))


def measure_side_by_side(
    scope: Scope, profile: str, steps: Sequence[Step], at_once: int, before_step: Callable[[], None] = lambda: None
) -> list[Ended]:
    """Run the steps, the last one first because it has most to do; one that fails does not stop the others.

    Args:
        scope: home and profile.
        profile: what the profile was loaded from.
        steps: one per checkpoint.
        at_once: processes.
        before_step: called again and again while waiting; may raise to stop.

    Returns:
        Each step with its error, or None where it was done.

    Raises:
        KeyboardInterrupt: this process was interrupted or asked to end; the workers have ended.
    """
    from probes.workers import EngineSettings
    from probes.workers.local import ProcessPool

    with open_instance(scope.home) as instance:  # here, so that workers do not create it at the same time
        close_killed_runs(instance)
    pool = ProcessPool(partial(_begin, scope, profile), _measure, EngineSettings(workers=at_once))
    waiting, ended = deque(reversed(steps)), []
    busy: dict[ProcessWorker, Step] = {}
    idle: list[ProcessWorker] = []
    with cores_divided(at_once), signals_interrupt():
        try:
            while waiting or busy:
                while waiting and len(busy) < at_once:
                    worker = idle.pop() if idle else pool.hire()
                    busy[worker] = waiting.popleft()
                    worker.start(busy[worker])
                before_step()
                for worker, outcome in pool.wait(list(busy), LOOK_S):
                    ended.append((busy.pop(worker), _error_of(outcome)))
                    idle += _kept(worker, is_needed=bool(waiting) and not outcome.died)
        finally:
            _dismiss(list(busy), idle)
    return ended


@dataclass(frozen=True)
class _Failure:
    """What a worker says of a step that failed."""

    sentence: str
    code: int


def _begin(scope: Scope, profile: str) -> Executor:
    """In a worker, once: end with the parent, end on its word and not on the terminal's, and say lines."""
    from assets.framework import progress
    from orchestration.run.interruption import Interruption
    from orchestration.run.progress_display import LineReporter

    os.setsid()  # Ctrl-C reaches the parent, which passes it on once
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for number in ENDING:
        signal.signal(number, signal.default_int_handler)
    check = Interruption().check
    progress.install(LineReporter(check))
    return Executor(scope, profile, check)


def _end_with_parent() -> None:
    """End at once when the parent is gone, as if killed with it: finished parts are kept."""
    from multiprocessing import parent_process
    from multiprocessing.connection import wait

    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _measure(executor: Executor, step: Step) -> _Failure | None:
    """In a worker: run a step. The chain of causes would not survive being sent, so the sentence is made here."""
    from orchestration.run.failures import exit_code, sentence_of

    try:
        executor.run(step)
    except BaseException as error:  # an interruption, too
        if os.environ.get("RARECALL_DEBUG"):
            traceback.print_exception(error)
        return _Failure(sentence_of(error), exit_code(error))
    return None


def _error_of(outcome: ShardOutcome) -> BaseException | None:
    if outcome.died:
        return ProbeError(
            "its process was ended from outside, as happens when memory runs out; run again, with "
            f"{PARALLEL_CHECKPOINTS}=1 if memory is short."
        )
    if outcome.error is not None or outcome.value is None:
        return outcome.error
    failure: _Failure = outcome.value
    return RequestError(failure.sentence) if failure.code == 2 else ProbeError(failure.sentence)


def _kept(worker: ProcessWorker, is_needed: bool) -> list[ProcessWorker]:
    """The worker, or nothing after ending it."""
    if is_needed:
        return [worker]
    worker.kill()
    return []


def _dismiss(busy: Sequence[ProcessWorker], idle: Sequence[ProcessWorker]) -> None:
    """End all workers; those at work may first tidy up and tell Dagster."""
    for worker in busy:
        worker.process.terminate()
    for worker in busy:
        worker.connection.poll(PATIENCE_S)
    for worker in (*busy, *idle):
        worker.kill()


def _scope_of(scope: Scope, step: Step) -> Scope:
    return Scope(scope.home, scope.profile, step.checkpoint_id)


def _weight_bytes(folder: Path) -> int | None:
    """Size of the weights in a checkpoint folder; None where it is not one, as for a hub id."""
    if not folder.is_dir():
        return None
    return sum(file.stat().st_size for pattern in ("*.safetensors", "*.bin") for file in folder.glob(pattern))


def is_on_processor(scope: Scope) -> bool:
    """Whether models run on cores rather than on an accelerator."""
    from probes.checkpoints.load import resolve_device

    return str(resolve_device(scope.profile.probes.device)) == "cpu"
