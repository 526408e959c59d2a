"""The contract of a worker and of a pool of them, and the settings they are started with."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from probes.errors import ProbeError


@dataclass(frozen=True)
class EngineSettings:
    """Where shards run.

    Args:
        kind: local (this machine) or ray (needs the extra `ray`).
        workers: shards at a time. One local worker without a time limit is this process itself.
        cpus_per_worker: what a worker asks Ray for; fractions let several share a processor.
        threads_per_worker: torch threads of a worker; the same number gives the same bits everywhere.
        shard_limit_s: a worker that spends more seconds on a shard, its own start included, is killed and the shard
            given to another.
        attempts: times a shard is tried when its workers die or hang.
        address: of a running Ray cluster; None starts one here for the time of the run.
    """

    kind: Literal["local", "ray"] = "local"
    workers: int = 1
    cpus_per_worker: float = 1.0
    threads_per_worker: int | None = None
    shard_limit_s: float | None = None
    attempts: int = 3
    address: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("local", "ray"):
            raise ProbeError(f"engine {self.kind!r} is unknown; choose local or ray.")
        limit = 1.0 if self.shard_limit_s is None else self.shard_limit_s
        if min(self.workers, self.attempts) < 1 or min(self.cpus_per_worker, limit) <= 0:
            raise ProbeError(
                "an engine needs at least one worker and attempt, and positive processor shares and limits."
            )

    @property
    def is_this_process(self) -> bool:
        """Whether shards run where they are asked for: one local worker that nobody has to watch."""
        return self.kind == "local" and self.workers == 1 and self.shard_limit_s is None


@dataclass(frozen=True)
class ShardOutcome:
    """What became of a shard: a value, an error of the work itself, or neither because the worker died."""

    value: Any = None
    error: BaseException | None = None
    died: bool = False


class Worker(Protocol):
    """Somebody who works on one shard at a time."""

    def start(self, shard: Any) -> None:
        """Begin with a shard; returns at once."""

    def kill(self) -> None:
        """End the worker now, whatever it does."""


class Pool(Protocol):
    """A source of workers, and the one who knows how to wait for them."""

    def hire(self) -> Worker:
        """A new worker."""

    def wait(self, workers: Sequence[Any], timeout_s: float | None) -> list[tuple[Any, ShardOutcome]]:
        """Workers that finished or died, after at most `timeout_s` seconds."""


def use_threads(threads: int | None) -> None:
    """Fix the number of torch threads of a worker process."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def sendable(error: Exception) -> Exception:
    """The error itself where it survives being sent, else its text."""
    try:
        return error if type(pickle.loads(pickle.dumps(error))) is type(error) else ProbeError(str(error))  # noqa: S301
    except Exception:
        return ProbeError(f"{type(error).__name__}: {error}")
