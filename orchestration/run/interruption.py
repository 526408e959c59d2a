"""Ctrl-C that is not lost: an import or a callback may swallow the exception that a signal raises."""

from __future__ import annotations

import signal
import socket
import sys
from typing import Any

from orchestration.run.failures import INTERRUPTIONS


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
