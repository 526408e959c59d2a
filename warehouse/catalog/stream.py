"""Answers to anybody's questions, batch by batch: bounded in time, memory and disk, and stopped at once when asked.

The question runs in a thread of its own that has given away the right to write (`warehouse.catalog.confinement`); this
one only waits, so Ctrl-C always reaches it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from warehouse.catalog.confinement import give_up_writing
from warehouse.catalog.hints import hint
from warehouse.catalog.queries import connect, variables_set
from warehouse.catalog.reading import explain, reading_text
from warehouse.catalog.spill import SPILL_LIMIT, make_spill_folder, remove_spill_folder
from warehouse.errors import QueryError, WarehouseError
from warehouse.home import Home

if TYPE_CHECKING:
    import polars as pl

BATCH_ROWS = 8192
LOOK_S = 0.1
STOP_S = 0.6
_stuck = threading.Event()


@dataclass(frozen=True)
class Bounds:
    """What one question may take."""

    seconds: float = 600.0
    memory: str = "2GB"
    process_bytes: int = 4_000_000_000
    """Resident memory of the whole process: some functions of DuckDB do not count what they take."""
    check: Callable[[], None] = lambda: None
    """Called again and again while an answer is waited for; may raise to stop the question."""


@dataclass
class _Question:
    """A question and the way its answer comes back: frames, then None, or an error."""

    home: Home
    text: str
    parameters: dict[str, Any] | None
    variables: dict[str, str]
    spill: Path
    bounds: Bounds
    answers: queue.Queue[pl.DataFrame | BaseException | None] = field(default_factory=lambda: queue.Queue(2))
    is_given_up: threading.Event = field(default_factory=threading.Event)
    connection: duckdb.DuckDBPyConnection | None = None

    def put(self, answer: pl.DataFrame | BaseException | None) -> None:
        """Hand over, or drop it when nobody waits any more."""
        while not self.is_given_up.is_set():
            with suppress(queue.Full):
                self.answers.put(answer, timeout=LOOK_S)
                return

    def interrupt(self) -> None:
        """Stop what DuckDB is doing; the thread then ends."""
        self.is_given_up.set()
        if self.connection is not None:
            with suppress(duckdb.Error):
                self.connection.interrupt()


def stream(
    home: Home,
    text: str,
    parameters: dict[str, Any] | None = None,
    variables: dict[str, str] | None = None,
    bounds: Bounds = Bounds(),
) -> Generator[pl.DataFrame, None, None]:
    """Frames of the answer to one reading statement, at least one, possibly of no rows.

    Close the iterator (`contextlib.closing`) when the rest is not wanted: nothing further is computed.

    Raises:
        QueryError: it writes, is wrong, or takes more than its bounds allow.
    """
    question = _Question(home, text, parameters, variables or {}, make_spill_folder(home), bounds)
    thread = threading.Thread(target=_answer, args=(question,), daemon=True)
    try:
        thread.start()
        while (answer := _next(question)) is not None:
            if isinstance(answer, BaseException):
                raise answer
            yield answer
    finally:
        try:
            _stop(question, thread)
        finally:  # Ctrl-C may come while it is being stopped
            remove_spill_folder(question.spill)


def _next(question: _Question) -> pl.DataFrame | BaseException | None:
    """The next frame, error or end; watches time and memory while it waits."""
    begun = time.monotonic()
    while True:
        with suppress(queue.Empty):
            return question.answers.get(timeout=LOOK_S)
        question.bounds.check()
        if time.monotonic() - begun > question.bounds.seconds:
            raise QueryError(
                f"the query was stopped after {question.bounds.seconds:g} s without a row; ask for less, or give it "
                "longer with --seconds."
            )
        if resident_bytes() > question.bounds.process_bytes:
            raise QueryError(_too_much(f"{question.bounds.process_bytes / 1e9:g} GB of memory"))


def _stop(question: _Question, thread: threading.Thread) -> None:
    end = time.monotonic() + STOP_S
    while thread.is_alive() and time.monotonic() < end:
        question.interrupt()
        thread.join(LOOK_S)
    if thread.is_alive():
        _stuck.set()


def is_stuck() -> bool:
    """Whether a question that was stopped goes on, because a function of DuckDB does not look up from its work.

    Nothing but the end of the process ends it; `os._exit` does not wait for it.
    """
    return _stuck.is_set()


def _answer(question: _Question) -> None:
    """In the thread: ask with the right to write given away, but for the folder of what does not fit into memory."""
    try:
        give_up_writing(question.spill)
        for frame in _frames(question):
            question.put(frame)
        question.put(None)
    except BaseException as error:
        question.put(error)


def _frames(question: _Question) -> Iterator[pl.DataFrame]:
    import polars as pl

    with connect(question.home, memory=question.bounds.memory, spill=question.spill) as connection:
        question.connection = connection
        with variables_set(connection, question.variables):
            asked = reading_text(connection, question.text)
            try:
                reader = connection.sql(asked, params=question.parameters).to_arrow_reader(BATCH_ROWS)
                _refuse_doubled(reader.schema.names)
                yield pl.DataFrame(pl.from_arrow(reader.schema.empty_table()))
                for batch in reader:
                    yield pl.DataFrame(pl.from_arrow(batch))
            except (duckdb.Error, OSError, MemoryError) as error:
                raise _refusal(connection, error) from error


def _refuse_doubled(names: list[str]) -> None:
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        raise QueryError(f"the answer has more than one column {doubled!r}; give each a name of its own with AS.")


def _refusal(connection: duckdb.DuckDBPyConnection, error: Exception) -> WarehouseError:
    said = str(error)
    if "max_temp_directory_size" in said or "temp_directory" in said:
        return QueryError(_too_much(f"2 GB of memory and {SPILL_LIMIT} on the disk"))
    if isinstance(error, (duckdb.OutOfMemoryException, MemoryError)) or "Out of Memory" in said:
        return QueryError(_too_much("2 GB of memory"))
    return QueryError(explain(error) + hint(connection, said))


def _too_much(what: str) -> str:
    return f"the query was stopped because it takes more than {what}; ask for fewer rows or group them first."


def resident_bytes() -> int:
    """Memory of this process as the system counts it; 0 where it does not say."""
    import resource

    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * resource.getpagesize()
