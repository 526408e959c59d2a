"""Work for the engines' contract tests; workers import it, so it lies in a module of its own."""

from __future__ import annotations

import os
import time
from pathlib import Path


def nothing() -> int:
    return 1000


def broken_setup() -> int:
    from probes.errors import ProbeError

    raise ProbeError("checkpoint x is incomplete; wait.")


def add(state: int, shard: int) -> int:
    return state + shard


def process_id(state: int, shard: int) -> int:
    time.sleep(0.1)
    return os.getpid()


def refuse_two(state: int, shard: int) -> int:
    from probes.forward.inputs import NonFiniteScore

    if shard == 2:
        raise NonFiniteScore(7, 9)
    return shard


def raise_something_odd(state: int, shard: int) -> int:
    class OddError(Exception):  # no other process can import a class made here
        pass

    raise OddError("told you")


def once(folder: Path, shard: int) -> bool:
    """True for the first caller of all processes."""
    try:
        (folder / f"met-{shard}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def die_once_on_three(folder: Path, state: int, shard: int) -> int:
    if shard == 3 and once(folder, shard):
        os._exit(137)
    return state + shard


def hang_once_on_one(folder: Path, state: int, shard: int) -> int:
    if shard == 1 and once(folder, shard):
        time.sleep(600)
    return state + shard


def always_die_on_one(state: int, shard: int) -> int:
    if shard == 1:
        os._exit(137)
    return state + shard


def thread_count(state: int, shard: int) -> int:
    import torch

    return torch.get_num_threads()
