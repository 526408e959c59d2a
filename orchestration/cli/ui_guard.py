"""Ends the processes of the UI when the command that started them is gone, whatever ended it.

Run by its path, with the number of a process group; its standard input closes when the command ends. It imports nothing
of ours, so that it is there at once.
"""

from __future__ import annotations

import os
import signal
import sys
import time

PATIENCE_S = 8.0


def main(group: int) -> None:
    """Wait for the end of standard input, then for the group's: asked first, forced after a while."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 1024):
        pass
    try:
        os.killpg(group, signal.SIGINT)
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            time.sleep(0.2)
            os.killpg(group, 0)
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # it has ended
        return


if __name__ == "__main__":
    main(int(sys.argv[1]))
