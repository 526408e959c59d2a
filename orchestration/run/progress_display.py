"""Progress of `rarecall run`: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from assets.framework.progress import LogTask, Reporter, Task

Check = Callable[[], None]


class _Bar:
    def __init__(self, progress: Any, task_id: Any, check: Check):
        self.progress, self.task_id, self.check = progress, task_id, check

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Count `amount` more units as done."""
        self.check()
        self.progress.update(self.task_id, advance=amount, note=note)


class TerminalReporter:
    """One rich bar per piece of work, with rate and time left; `check` is called at every advance."""

    def __init__(self, check: Check):
        self.check = check

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
            yield _Bar(progress, progress.add_task(label, total=total or None, unit=unit, note=""), self.check)


class _Line(LogTask):
    def __init__(self, label: str, total: int, unit: str, check: Check):
        self.check = check
        super().__init__(None, label, total, unit, interval=5.0)  # type: ignore[arg-type]

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Count `amount` more units as done."""
        self.check()
        self.done += amount
        now = time.monotonic()
        if now - self.last >= self.interval or self.done == self.total > 0:
            self.last = now
            print(self.line(now, note), file=sys.stderr, flush=True)


class LineReporter:
    """Plain lines on stderr, for logs and pipes; `check` is called at every advance."""

    def __init__(self, check: Check):
        self.check = check

    @contextmanager
    def task(self, context: Any, label: str, total: int, unit: str) -> Iterator[Task]:
        """A task that prints a line every few seconds and when it is done."""
        yield _Line(label, total, unit, self.check)


def reporter(check: Check = lambda: None) -> Reporter:
    """Bars when a person watches, else lines."""
    return TerminalReporter(check) if sys.stderr.isatty() and sys.stdout.isatty() else LineReporter(check)
