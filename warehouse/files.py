"""Files that are either the old one or the new one, never half of one."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from warehouse.errors import WarehouseError


def replace_file(target: Path, write: Callable[[Path], object], mode: int | None = None) -> None:
    """Let `write` fill a temporary file beside `target`, force it to disk, then move it into place.

    Args:
        target: the file that is replaced.
        write: fills the file it is given.
        mode: permissions of the new file; by default those of any new file.

    Raises:
        WarehouseError: the disk refused; `target` is as it was.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        if mode is not None:
            temporary.chmod(mode)
        _flush(temporary)
        temporary.replace(target)
    except OSError as error:
        raise disk_error(target, error) from error
    finally:
        with contextlib.suppress(OSError):  # a read-only disk refuses this, too
            temporary.unlink(missing_ok=True)


def fill_file(target: Path, write: Callable[[Path], object]) -> None:
    """Write a file that somebody named: what is no regular file is written into, a link stays one, the mode is kept.

    Raises:
        WarehouseError: it is a folder, or the disk refused.
    """
    file = target.resolve() if target.is_symlink() else target  # /dev/stdout is a link to a pipe that has no path
    if target.is_dir():
        raise WarehouseError(f"{target} is a folder; name a file in it.")
    if not target.exists() or (file.is_file() and file.exists()):
        mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else None
        replace_file(file, write, mode)
        return
    try:
        write(target)
    except OSError as error:
        raise disk_error(target, error) from error


def disk_error(target: Path, error: Exception) -> WarehouseError:
    """One sentence for a failed write: full disks are named as such."""
    if getattr(error, "errno", None) == errno.ENOSPC or os.strerror(errno.ENOSPC) in str(error):
        return WarehouseError(
            f"the disk is full, {target} was not written and what was there is kept; free space and run again."
        )
    return WarehouseError(
        f"{target} could not be written ({getattr(error, 'strerror', None) or error}); what was there is kept."
    )


def process_mark(number: int | None = None) -> str:
    """A process by its number and, where the system tells, when it began: numbers are used again."""
    number = number or os.getpid()
    try:
        began = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return str(number)
    return f"{number}-{began}"


def is_alive(process: str) -> bool:
    """Whether a process of that number or mark runs on this machine; what is neither is not alive."""
    number, _, began = process.partition("-")
    try:
        os.kill(int(number), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return not began or process_mark(int(number)) in (process, number)


def write_json(target: Path, value: Any) -> None:
    """Write JSON with sorted keys, atomically."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    replace_file(target, lambda path: path.write_text(text, encoding="utf-8"))


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """Hex sha256 of a JSON value, independent of key order and of whether it has been written and read in between.

    Integer keys become text in JSON and sort differently then, so the value is taken as it would be read back.
    """
    read_back = json.loads(json.dumps(value))
    return hashlib.sha256(json.dumps(read_back, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
