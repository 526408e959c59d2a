"""Ctrl-C that is not lost: an import or a callback may swallow the exception that a signal raises."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from orchestration.run.failures import INTERRUPTIONS

ENDING = (signal.SIGINT, signal.SIGTERM)
"""Signals that Dagster, too, takes for a wish to end while it runs something."""


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Within the block SIGTERM and a closed terminal end the work as Ctrl-C does; what is ignored stays ignored.

    SIGHUP is passed on as SIGTERM, because Dagster replaces the handlers of the two others while it works. For the
    main thread; another is left as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted: dict[signal.Signals, Callable[..., object]] = {
        **dict.fromkeys(ENDING, signal.default_int_handler),
        signal.SIGHUP: lambda *_: signal.raise_signal(signal.SIGTERM),
    }
    before = {number: signal.getsignal(number) for number in wanted}
    replaced = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    for number in replaced:
        signal.signal(number, wanted[number])
    try:
        yield
    finally:
        for number in replaced:
            signal.signal(number, before[number])


class Interruption:
    """Notes SIGINT and SIGTERM beside whatever handler is installed; for the main thread."""

    def __init__(self) -> None:
        self._noted, self._note = socket.socketpair()
        for end in (self._noted, self._note):
            end.setblocking(False)
        signal.set_wakeup_fd(self._note.fileno(), warn_on_full_buffer=False)
        sys.unraisablehook = _unless_interrupted

    def check(self) -> None:
        """Raise what was swallowed.

        Raises:
            KeyboardInterrupt: a signal came, and this process goes on as if none had.
        """
        try:
            numbers = self._noted.recv(1024)
        except BlockingIOError:
            return
        if signal.SIGINT in numbers or signal.SIGTERM in numbers:
            raise KeyboardInterrupt


def _unless_interrupted(lost: Any) -> None:
    """Python reports an exception that a callback swallowed; an interruption is not lost, so it needs no report."""
    if lost.exc_type.__name__ not in INTERRUPTIONS:
        sys.__unraisablehook__(lost)
