"""A thread that has given away the right to write files, root's threads included: Landlock of Linux 5.13 and later.

The parser's word is not enough: through a connection that may read a folder, DuckDB may write into it as well. A thread
under Landlock cannot open, make, rename, shorten or remove a file outside the one folder it kept, and neither can the
threads it starts; the rest of the process is as it was. https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
_VERSION_FLAG, _PATH_BENEATH, _NO_NEW_PRIVILEGES = 1, 1, 38
_READ_FILE, _READ_DIRECTORY = 1 << 2, 1 << 3
_ACCESS_BITS = {1: 13, 2: 14, 3: 15, 4: 15}
"""Kinds of access that each version of Landlock knows; from 5 on there are 16."""


def give_up_writing(kept: Path) -> bool:
    """Let the calling thread, and those it will start, write nowhere but below `kept`, for good.

    Args:
        kept: a folder that exists.

    Returns:
        Whether the system holds it; False on other systems and older kernels, where nothing has changed.
    """
    if not sys.platform.startswith("linux"):
        return False
    call = ctypes.CDLL(None, use_errno=True).syscall
    version = call(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)
    if version < 1:
        return False
    writing = ((1 << _ACCESS_BITS.get(version, 16)) - 1) & ~(_READ_FILE | _READ_DIRECTORY)
    rules = struct.pack("Q", writing)
    ruleset = call(_CREATE_RULESET, rules, ctypes.c_size_t(len(rules)), 0)
    if ruleset < 0:
        return False
    try:
        return _keep(call, ruleset, writing, kept) and _restrict(call, ruleset)
    finally:
        os.close(ruleset)


def _keep(call: ctypes._NamedFuncPointer, ruleset: int, writing: int, kept: Path) -> bool:
    folder = os.open(kept, os.O_PATH | os.O_CLOEXEC)
    try:
        return bool(call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", writing, folder), 0) == 0)
    finally:
        os.close(folder)


def _restrict(call: ctypes._NamedFuncPointer, ruleset: int) -> bool:
    process_control = ctypes.CDLL(None, use_errno=True).prctl
    if process_control(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return False
    return bool(call(_RESTRICT_SELF, ruleset, 0) == 0)
