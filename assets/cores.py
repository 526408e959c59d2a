"""How many cores there are to work on, and how they are divided when several steps run at once."""

from __future__ import annotations

import os

from assets.errors import RequestError

PARALLEL_STEPS = "RARECALL_PARALLEL_STEPS"
_THREAD_SETTINGS = ("OMP_NUM_THREADS", "POLARS_MAX_THREADS")


def usable_cores() -> int:
    """Cores this process may use, which a container or a scheduler may have limited."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parallel_steps() -> int:
    """How many steps of a run may work at once, each in a process of its own; `$RARECALL_PARALLEL_STEPS`, else 1.

    Raises:
        RequestError: it is no positive number.
    """
    text = os.environ.get(PARALLEL_STEPS, "1")
    if not text.isdecimal() or int(text) < 1:
        raise RequestError(f"{PARALLEL_STEPS} is {text!r}; set it to the number of steps that may work at once.")
    return int(text)


def divide_cores(among: int) -> int:
    """Give each of `among` processes its share of the cores, unless the user set the number; returns the share."""
    share = max(1, usable_cores() // among)
    if among > 1:
        for name in _THREAD_SETTINGS:
            os.environ.setdefault(name, str(share))
    return share
