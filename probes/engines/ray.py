"""Workers that are actors of a Ray cluster."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from probes.engines.local import sendable
from probes.engines.schedule import EngineSettings, Outcome, use_threads
from probes.errors import ProbeError


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ProbeError(
            "the engine ray needs Ray, which is not installed; run `pip install rarecall[ray]` or choose local."
        ) from error
    return ray


@contextmanager
def connected(settings: EngineSettings) -> Iterator[None]:
    """A connection to the cluster; one that was not there before is closed again."""
    ray = _ray()
    if ray.is_initialized():
        yield
        return
    quiet = (
        {"log_to_driver": False, "include_dashboard": False} if settings.address is None else {"log_to_driver": False}
    )
    if settings.address is None:
        quiet["num_cpus"] = max(1, round(settings.workers * settings.cpus_per_worker + 0.499))  # type: ignore[assignment]
    ray.init(address=settings.address, **quiet)
    try:
        yield
    finally:
        ray.shutdown()


class _Actor:
    """What lives on the cluster: one state, one shard at a time."""

    def __init__(self, path: list[str], job: bytes, threads: int | None) -> None:
        sys.path.extend(entry for entry in path if entry not in sys.path)  # what the caller can import, we can
        use_threads(threads)
        self.setup, self.work = pickle.loads(job)  # noqa: S301 (the caller's own functions)
        self.state, self.is_ready = None, False

    def measure(self, shard: Any) -> Outcome:
        try:
            if not self.is_ready:
                self.state, self.is_ready = self.setup(), True
            return Outcome(value=self.work(self.state, shard))
        except Exception as error:  # whatever it is, it belongs to the caller
            return Outcome(error=sendable(error))


class RayWorker:
    """Handle of one actor and of the shard it has."""

    def __init__(self, actor: Any) -> None:
        self.actor, self.reference = actor, None

    def start(self, shard: Any) -> None:
        """Send a shard."""
        self.reference = self.actor.measure.remote(shard)

    def kill(self) -> None:
        """End the actor; Ray does not start it again."""
        _ray().kill(self.actor, no_restart=True)


class RayPool:
    """Starts actors and waits for their references."""

    def __init__(self, setup: Callable, work: Callable, settings: EngineSettings) -> None:
        actor = _ray().remote(_Actor).options(num_cpus=settings.cpus_per_worker, max_restarts=0)
        path, job = [str(Path(entry).absolute()) for entry in sys.path], pickle.dumps((setup, work))
        self.hire = lambda: RayWorker(actor.remote(path, job, settings.threads_per_worker))

    def wait(self, workers: Sequence[RayWorker], timeout_s: float | None) -> list[tuple[RayWorker, Outcome]]:
        """Workers whose shard is done or whose actor is gone, after at most `timeout_s` seconds."""
        by_reference = {worker.reference: worker for worker in workers}
        ready, _ = _ray().wait(list(by_reference), num_returns=1, timeout=timeout_s)
        return [(by_reference[reference], _outcome(reference)) for reference in ready]


def _outcome(reference: Any) -> Outcome:
    ray = _ray()
    try:
        return ray.get(reference)
    except ray.exceptions.RayActorError:
        return Outcome(died=True)
