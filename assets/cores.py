"""How many cores there are to work on, and how they are divided when several steps run at once."""

from __future__ import annotations

import os

PARALLEL_STEPS = "RARECALL_PARALLEL_STEPS"


def usable_cores() -> int:
    """Cores this process may use, which a container or a scheduler may have limited."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
