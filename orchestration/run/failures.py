"""From an exception to one sentence and an exit code."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from assets.framework.errors import RequestError
from corpus_stats.errors import CorpusError
from orchestration.secrets import without_secrets
from probes.errors import ProbeError
from warehouse.errors import RefusedError, WarehouseError
from warehouse.home import Home

_OURS = (RequestError, CorpusError, ProbeError, WarehouseError)
_REQUEST = (RequestError, RefusedError)
_TOO_LITTLE_BYTES = 256 * 1024
INTERRUPTIONS = ("DagsterExecutionInterruptedError", "KeyboardInterrupt", "Abort")
INTERRUPTED = "interrupted; run again to resume from the finished parts."


def reasons(error: BaseException) -> Iterator[BaseException]:
    """An exception and what caused it, innermost last."""
    current: BaseException | None = error
    seen: set[int] = set()
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def sentence_of(error: BaseException) -> str:
    """Our own sentence where one is in the chain of causes, else the innermost exception in a line."""
    chain = list(reasons(error))
    if any(type(e).__name__ in INTERRUPTIONS for e in chain):
        return INTERRUPTED
    if _is_usage(error):
        return _usage_sentence(error)
    ours = [e for e in chain if isinstance(e, _OURS)]
    if ours:
        return str(ours[0])
    if any(map(_says_no_room, chain)) and output_is_full():
        return "standard output took no more, its disk is full; nothing in the home has changed."
    root = _home_folder()
    if any(map(_says_no_room, chain)) or disk_is_full(root):  # even the note of it may not have found room
        return f"the disk is full; what was there in {root} is kept, free space and run again."
    last = chain[-1]
    text = " ".join(str(last).split())
    said = text[:300].rstrip(".") or "no reason was given"
    return f"something unforeseen happened: {said} (`rarecall --debug …` shows where)."


def _home_folder() -> Path:
    """The home, or where a path that cannot be used would have it."""
    try:
        return Home.locate().root
    except WarehouseError:
        return Path.cwd()


def output_is_full() -> bool:
    """Whether standard output, rather than the home, has no room: a file on a full disk, or a device that says so."""
    try:
        found = os.fstat(1)
        if stat.S_ISREG(found.st_mode):
            room = os.fstatvfs(1)
            return room.f_bavail * room.f_frsize < _TOO_LITTLE_BYTES
    except OSError:
        return False
    return stat.S_ISCHR(found.st_mode) and not os.isatty(1) and found.st_rdev != Path(os.devnull).stat().st_rdev


def _says_no_room(error: BaseException) -> bool:
    """Whether an operation failed for want of room on a disk; Dagster keeps what a step raised as an attribute."""
    raised = getattr(error, "user_exception", None) or error
    return getattr(raised, "errno", None) in (errno.ENOSPC, errno.EDQUOT)


def disk_is_full(folder: Path) -> bool:
    """Whether nothing of use can be written there any more."""
    try:
        return shutil.disk_usage(folder).free < _TOO_LITTLE_BYTES
    except OSError:
        return False


def exit_code(error: BaseException) -> int:
    """2 for a wrong request, else 1."""
    if _is_usage(error):
        return 2
    ours = [e for e in reasons(error) if isinstance(e, _OURS)]
    return 2 if ours and isinstance(ours[0], _REQUEST) else 1


def say_failure(error: BaseException) -> int:
    """Print the sentence to stderr; returns the exit code."""
    return say_on_stderr(sentence_of(error), exit_code(error))


def say_on_stderr(sentence: str, code: int) -> int:
    """Print one sentence to stderr; returns the exit code it goes with."""
    with suppress(OSError):  # the terminal may be closed
        print(f"rarecall: {without_secrets(sentence)}", file=sys.stderr)
    return code


def _is_usage(error: BaseException) -> bool:
    """An unknown option or command, known by its shape: Typer carries a Click of its own since 0.20."""
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def _usage_sentence(error: Any) -> str:
    context = getattr(error, "ctx", None)
    where = context.command_path if context else "rarecall"
    said = " ".join(error.format_message().split()).rstrip(".") or "no command was given"
    return f"{said}; see `{where} --help`."
