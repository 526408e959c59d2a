"""Workers that are actors of a Ray cluster."""

from __future__ import annotations

import math
import os
import pickle
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from probes.errors import ProbeError
from probes.workers.worker import EngineSettings, ShardOutcome, sendable, use_threads

_AUTHENTICATION = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ProbeError(
            "the engine ray needs Ray, which is not installed; run `pip install rarecall[ray]` or choose local."
        ) from error
    return ray


def _prepare_environment() -> None:
    """What Ray reads when it is imported, for a cluster of our own: it listens on 127.0.0.1, asks for a token, and
    reports nothing home.

    The name of the first variable is historical. Without a token in the environment Ray writes one to the user's home
    folder. What the user chose is kept.
    """
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not any(name in os.environ for name in _AUTHENTICATION) and not _saved_token().exists():
        os.environ.update({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)})


def _saved_token() -> Path:
    """Where `ray get-auth-token --generate` puts the user's token."""
    return Path.home() / ".ray" / "auth_token"


@contextmanager
def connected(settings: EngineSettings) -> Iterator[None]:
    """A connection to the cluster; one that was not there before is closed again."""
    if settings.address is None:
        _prepare_environment()
    ray = _ray()
    if ray.is_initialized():
        yield
        return
    ray.init(address=settings.address, log_to_driver=False, **_own_cluster(settings))
    try:
        yield
    finally:
        ray.shutdown()


def _own_cluster(settings: EngineSettings) -> dict[str, Any]:
    """Options of a cluster that is started here: as many processors as the workers ask for."""
    if settings.address is not None:
        return {}
    processors = max(1, math.ceil(settings.workers * settings.cpus_per_worker))
    return {"num_cpus": processors, "include_dashboard": False}


class _Actor:
    """What lives on the cluster: one state, one shard at a time."""

    def __init__(self, path: list[str], job: bytes, threads: int | None) -> None:
        sys.path.extend(entry for entry in path if entry not in sys.path)  # what the caller can import, we can
        use_threads(threads)
        self.setup, self.work = pickle.loads(job)  # noqa: S301 (the caller's own functions)
        self.state, self.is_ready = None, False

    def measure(self, shard: Any) -> ShardOutcome:
        """Measure one shard; an exception travels in the outcome."""
        try:
            if not self.is_ready:
                self.state, self.is_ready = self.setup(), True
            return ShardOutcome(value=self.work(self.state, shard))
        except Exception as error:  # whatever it is, it belongs to the caller
            return ShardOutcome(error=sendable(error))


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

    def wait(self, workers: Sequence[RayWorker], timeout_s: float | None) -> list[tuple[RayWorker, ShardOutcome]]:
        """Workers whose shard is done or whose actor is gone, after at most `timeout_s` seconds."""
        by_reference = {worker.reference: worker for worker in workers}
        ready, _ = _ray().wait(list(by_reference), num_returns=1, timeout=timeout_s)
        return [(by_reference[reference], _outcome(reference)) for reference in ready]


def _outcome(reference: Any) -> ShardOutcome:
    ray = _ray()
    try:
        return ray.get(reference)
    except ray.exceptions.RayActorError:
        return ShardOutcome(died=True)
