"""Progress of `rarecall run`: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from assets.progress import LogTask, Reporter, Task


class _Bar:
    def __init__(self, progress: Any, task_id: Any):
        self.progress, self.task_id = progress, task_id

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.progress.update(self.task_id, advance=amount, note=note)


class TerminalReporter:
    """One rich bar per piece of work, with rate and time left."""

    @contextmanager
    def task(self, context: Any, label: str, total: int, unit: str) -> Iterator[Task]:
        """A bar that stays when done."""
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description:<42}"),
            BarColumn(24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns) as progress:
            yield _Bar(progress, progress.add_task(label, total=total, unit=unit, note=""))


class _Line(LogTask):
    def __init__(self, label: str, total: int, unit: str):
        super().__init__(None, label, total, unit, interval=5.0)  # type: ignore[arg-type]

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.done += amount
        now = time.monotonic()
        if now - self.last >= self.interval or self.done == self.total:
            self.last = now
            print(self.line(now, note), file=sys.stderr, flush=True)


class LineReporter:
    """Plain lines on stderr, for logs and pipes."""

    @contextmanager
    def task(self, context: Any, label: str, total: int, unit: str) -> Iterator[Task]:
        """A task that prints a line every few seconds and when it is done."""
        yield _Line(label, total, unit)


def reporter() -> Reporter:
    """Bars when a person watches, else lines."""
    return TerminalReporter() if sys.stderr.isatty() and sys.stdout.isatty() else LineReporter()
