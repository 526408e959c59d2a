"""Progress with rate and time left: log lines in Dagster, bars where the command line installs them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    import dagster as dg


T = TypeVar("T")


class Task(Protocol):
    """One running piece of work."""

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Say that `amount` more units are done."""


class Reporter(Protocol):
    """Where progress is shown."""

    @contextmanager
    def task(self, context: dg.AssetExecutionContext, label: str, total: int, unit: str) -> Iterator[Task]:
        """Show one piece of work until the block ends."""
        ...


class LogTask:
    """Writes a line at most every `interval` seconds."""

    def __init__(self, context: dg.AssetExecutionContext, label: str, total: int, unit: str, interval: float = 5.0):
        self.context, self.label, self.total, self.unit, self.interval = context, label, total, unit, interval
        self.done, self.start = 0, time.monotonic()
        self.last = self.start

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Count, and say so when it is time."""
        self.done += amount
        now = time.monotonic()
        if now - self.last >= self.interval or self.done >= self.total > 0:
            self.last = now
            self.context.log.info(self.line(now, note))

    def line(self, now: float, note: str) -> str:
        """For example `scores: 512/1024 paragraphs, 260/s, 2 s left`; without a total what is done and the rate."""
        rate = self.done / max(now - self.start, 1e-9)
        if not self.total:
            return f"{self.label}: {self.done} {self.unit}, {rate:,.1f}/s {note}".rstrip()
        left = (self.total - self.done) / max(rate, 1e-9)
        return f"{self.label}: {self.done}/{self.total} {self.unit}, {rate:,.1f}/s, {left:,.0f} s left {note}".rstrip()


class LogReporter:
    """The default: plain lines in the run's log."""

    @contextmanager
    def task(self, context: dg.AssetExecutionContext, label: str, total: int, unit: str) -> Iterator[Task]:
        """A task that writes log lines."""
        yield LogTask(context, label, total, unit)


class _Unseen:
    """Progress where there is no step to show it in."""

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Count nothing."""


_reporter: Reporter = LogReporter()
_context: dg.AssetExecutionContext | None = None  # of the step that runs in this process


def install(reporter: Reporter) -> None:
    """Show progress through `reporter` from now on in this process."""
    global _reporter
    _reporter = reporter


@contextmanager
def shown_in(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Inside the block progress belongs to this step; on workers, which have no step, nothing is shown."""
    global _context
    before, _context = _context, context
    try:
        yield
    finally:
        _context = before


class _Command:
    """Stands in for a step where a command works without Dagster."""

    has_partition_key = False


@contextmanager
def shown_by_command() -> Iterator[None]:
    """Inside the block progress is shown although there is no step, where somebody installed a reporter for that."""
    if isinstance(_reporter, LogReporter):
        yield
        return
    with shown_in(_Command()):  # type: ignore[arg-type]
        yield


def say(line: str) -> None:
    """A line in the log of the step that is running."""
    if _context is not None:
        _context.log.info(line)


@contextmanager
def task(label: str, total: int, unit: str) -> Iterator[Task]:
    """Progress of one piece of work, total 0 when nobody knows it; checkpoint partitions are named in the label."""
    if _context is None:
        yield _Unseen()
        return
    where = f"{label} {_context.partition_key}" if _context.has_partition_key else label
    with _reporter.task(_context, where, total, unit) as running:
        yield running


def track(items: Iterable[T], label: str, total: int, unit: str) -> Iterator[T]:
    """Iterate with progress."""
    with task(label, total, unit) as running:
        for item in items:
            yield item
            running.advance()
