"""Hand shards to workers, take results, replace workers that die or hang; the same for every kind of worker."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from probes.errors import ProbeError
from probes.workers.worker import EngineSettings, Pool, Worker


def run_shards(
    setup: Callable[[], Any],
    work: Callable[[Any, Any], Any],
    shards: Sequence[Any],
    settings: EngineSettings | None = None,
) -> Iterator[tuple[int, Any]]:
    """Yield (index of the shard, `work(state, shard)`) as shards finish; `state` is `setup()`, once per worker.

    Args:
        setup: makes what every shard needs, typically loads the model; a module-level function or a partial of one.
        work: measures one shard; a module-level function or a partial of one, free of side effects.
        shards: inputs, small enough to be sent.
        settings: where to run; this process by default.

    Raises:
        ProbeError: a shard was lost as often as `settings.attempts`, or Ray is asked for and not installed.
        Exception: whatever `setup` or `work` raise; shards that finished before were yielded.
    """
    settings = settings or EngineSettings()
    if settings.is_this_process:
        return _in_this_process(setup, work, shards, settings.threads_per_worker)
    return _in_workers(setup, work, shards, settings)


def _in_this_process(
    setup: Callable, work: Callable, shards: Sequence[Any], threads: int | None
) -> Iterator[tuple[int, Any]]:
    with _threads(threads):
        state = setup() if len(shards) else None
    for index, shard in enumerate(shards):
        with _threads(threads):
            result = work(state, shard)
        yield index, result


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """So many torch threads within the block; None changes nothing."""
    if count is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _in_workers(
    setup: Callable, work: Callable, shards: Sequence[Any], settings: EngineSettings
) -> Iterator[tuple[int, Any]]:
    if not len(shards):
        return
    with ExitStack() as stack:
        yield from _Schedule(_pool(setup, work, settings, stack), shards, settings, stack).run()


def _pool(setup: Callable, work: Callable, settings: EngineSettings, stack: ExitStack) -> Pool:
    if settings.kind == "ray":
        from probes.workers.ray import RayPool, connected

        stack.enter_context(connected(settings))
        return RayPool(setup, work, settings)
    from probes.workers.local import ProcessPool

    return ProcessPool(setup, work, settings)


class _Schedule:
    """Which worker has which shard until when."""

    def __init__(self, pool: Pool, shards: Sequence[Any], settings: EngineSettings, stack: ExitStack) -> None:
        self.pool, self.shards, self.settings = pool, shards, settings
        self.waiting = deque(range(len(shards)))
        self.losses: Counter[int] = Counter()
        self.busy: dict[Worker, tuple[int, float]] = {}
        self.idle: list[Worker] = []
        stack.callback(self._dismiss)

    def run(self) -> Iterator[tuple[int, Any]]:
        """Yield (index of the shard, its value) as shards end, in no fixed order."""
        while self.waiting or self.busy:
            self._assign()
            for worker, outcome in self.pool.wait(list(self.busy), self._patience()):
                index, _ = self.busy.pop(worker)
                if outcome.died:
                    self._lose(worker, index)
                elif outcome.error is not None:
                    self.idle.append(worker)
                    raise outcome.error
                else:
                    self.idle.append(worker)
                    yield index, outcome.value
            self._kill_the_late()

    def _assign(self) -> None:
        while self.waiting and len(self.busy) < self.settings.workers:
            worker = self.idle.pop() if self.idle else self.pool.hire()
            index = self.waiting.popleft()
            limit = self.settings.shard_limit_s
            self.busy[worker] = (index, float("inf") if limit is None else time.monotonic() + limit)
            worker.start(self.shards[index])

    def _patience(self) -> float | None:
        """Seconds until the next limit is reached; None when there is none."""
        nearest = min(deadline for _, deadline in self.busy.values())
        return None if nearest == float("inf") else max(0.0, nearest - time.monotonic())

    def _kill_the_late(self) -> None:
        now = time.monotonic()
        for worker, (index, deadline) in list(self.busy.items()):
            if now >= deadline:
                del self.busy[worker]
                self._lose(worker, index)

    def _lose(self, worker: Worker, index: int) -> None:
        worker.kill()
        self.losses[index] += 1
        if self.losses[index] >= self.settings.attempts:
            raise ProbeError(
                f"shard {index} was lost {self.losses[index]} times: its workers died or took longer than "
                f"{self.settings.shard_limit_s or 'any'} seconds; look at memory, or cut smaller shards."
            )
        self.waiting.appendleft(index)

    def _dismiss(self) -> None:
        for worker in [*self.busy, *self.idle]:
            worker.kill()
