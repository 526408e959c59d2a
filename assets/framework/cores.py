"""Cores to work on: their number, and how they are divided when several steps run at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assets.framework.errors import RequestError

PARALLEL_STEPS = "RARECALL_PARALLEL_STEPS"
PARALLEL_CHECKPOINTS = "RARECALL_PARALLEL_CHECKPOINTS"
_THREAD_SETTINGS = ("OMP_NUM_THREADS", "POLARS_MAX_THREADS")


def usable_cores() -> int:
    """Cores this process may use, which a container or a scheduler may have limited."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parallel_steps() -> int:
    """How many steps of a run may work at once, each in a process of its own; `$RARECALL_PARALLEL_STEPS`, else 1.

    Raises:
        RequestError: it is no positive number.
    """
    return _count_in(PARALLEL_STEPS, "steps") or 1


def parallel_checkpoints() -> int | None:
    """How many checkpoints `rarecall run` may measure at once; `$RARECALL_PARALLEL_CHECKPOINTS`, None if unset.

    Raises:
        RequestError: it is no positive number.
    """
    return _count_in(PARALLEL_CHECKPOINTS, "checkpoints")


def _count_in(name: str, of_what: str) -> int | None:
    text = os.environ.get(name)
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise RequestError(f"{name} is {text!r}; set it to the number of {of_what} that may work at once.")
    return int(text)


def divide_cores(among: int) -> int:
    """Give each of `among` processes its share of the cores, unless the user set the number; returns the share."""
    share = max(1, usable_cores() // among)
    if among > 1:
        for name in _THREAD_SETTINGS:
            os.environ.setdefault(name, str(share))
    return share


@contextmanager
def cores_divided(among: int) -> Iterator[int]:
    """Processes started within the block get their share of the cores; this one's settings come back after it."""
    before = {name: os.environ.get(name) for name in _THREAD_SETTINGS}
    try:
        yield divide_cores(among)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


MEMINFO = Path("/proc/meminfo")


CONTAINER = Path("/sys/fs/cgroup")


def available_memory_bytes() -> int:
    """Memory that is free or can be freed at once, within the container's limit; half of all where nobody says."""
    return min(_of_machine(), _of_container())


def _of_machine() -> int:
    if MEMINFO.exists():
        for line in MEMINFO.read_text().splitlines():
            name, _, amount = line.partition(":")
            if name == "MemAvailable":
                return int(amount.split()[0]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _of_container() -> int:
    """What a control group leaves; without a limit as much as there can be."""
    try:
        limit, used = ((CONTAINER / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return max(0, int(limit) - int(used))
    except (OSError, ValueError):  # no such files, or "max"
        return 2**63
