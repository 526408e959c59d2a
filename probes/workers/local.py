"""Workers that are processes of this machine."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

from probes.workers.worker import EngineSettings, ShardOutcome, sendable, use_threads


class ProcessWorker:
    """One process, started afresh rather than forked: torch's threads do not survive a fork."""

    def __init__(self, setup: Callable, work: Callable, threads: int | None) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, setup, work, threads), daemon=True)
        self.process.start()
        theirs.close()  # so that the end of the process is the end of the pipe

    def start(self, shard: Any) -> None:
        """Send a shard; a worker that is dead already is found out by `wait`."""
        try:
            self.connection.send(shard)
        except (BrokenPipeError, ConnectionResetError):
            return

    def outcome(self) -> ShardOutcome:
        """What the process sent, or that it is gone."""
        try:
            return self.connection.recv()
        except (EOFError, ConnectionResetError):
            return ShardOutcome(died=True)

    def kill(self) -> None:
        """End the process and wait until it is gone."""
        self.process.kill()
        self.process.join()
        self.connection.close()


class ProcessPool:
    """Starts processes and waits for what they send."""

    def __init__(self, setup: Callable, work: Callable, settings: EngineSettings) -> None:
        self.hire = lambda: ProcessWorker(setup, work, settings.threads_per_worker)

    def wait(
        self, workers: Sequence[ProcessWorker], timeout_s: float | None
    ) -> list[tuple[ProcessWorker, ShardOutcome]]:
        """Workers that sent something or whose pipe has ended, after at most `timeout_s` seconds."""
        by_connection = {worker.connection: worker for worker in workers}
        ready = wait(list(by_connection), timeout_s)
        return [(worker, worker.outcome()) for connection in ready if (worker := by_connection[connection])]  # type: ignore[index]


def _serve(connection: Connection, setup: Callable, work: Callable, threads: int | None) -> None:
    """Body of the process: one state, then one outcome per shard until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the caller ends its workers
    use_threads(threads)
    state, is_ready = None, False
    while True:
        try:
            shard = connection.recv()
        except EOFError:
            return
        try:
            if not is_ready:
                state, is_ready = setup(), True
            outcome = ShardOutcome(value=work(state, shard))
        except Exception as error:  # whatever it is, it belongs to the caller
            outcome = ShardOutcome(error=sendable(error))
        try:
            connection.send(outcome)
        except (BrokenPipeError, ConnectionResetError):  # nobody is left to take it
            return
