"""Garbage in a home: named first, removed only when asked."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout

from warehouse.catalog.publish import read_parts
from warehouse.catalog.spill import spill_folders_outside
from warehouse.files import is_alive
from warehouse.home import Home
from warehouse.record.integrity import partitions
from warehouse.record.parts import TableStore, partition_lock
from warehouse.registrations import registered
from warehouse.registry import TABLES

SECONDS_PER_DAY = 86_400.0


@dataclass(frozen=True)
class Garbage:
    """One file or folder, why it is of no use, and its size."""

    path: Path
    why: str
    byte_count: int


def find_garbage(home: Home, older_than_days: float = 7.0) -> list[Garbage]:
    """Everything in a home that nothing reads.

    Args:
        home: the home.
        older_than_days: parts of interrupted runs are kept for so long, because the next run goes on from them.

    Returns:
        Replaced parts, parts of abandoned runs, temporary files of processes that are gone, results of checkpoints
        that are no longer registered, and partitions of an earlier version of their table.
    """
    before = time.time() - older_than_days * SECONDS_PER_DAY
    found = [*_temporary_files(home), *_abandoned(home, before), *_replaced(home), *_of_nobody(home), *_outdated(home)]
    unique = {garbage.path: garbage for garbage in reversed(found)}
    return sorted(unique.values(), key=lambda garbage: garbage.path)


def remove_garbage(home: Home, found: list[Garbage]) -> int:
    """Remove what was found, except where a run is at work on the partition; returns the bytes that are free again."""
    freed = 0
    for garbage in found:
        with contextlib.suppress(Timeout), _lock_of(home, garbage.path):
            if garbage.path.is_dir():
                shutil.rmtree(garbage.path, ignore_errors=True)
            else:
                garbage.path.unlink(missing_ok=True)
            freed += garbage.byte_count
    return freed


def _temporary_files(home: Home) -> Iterator[Garbage]:
    """Names end in `.<process>.tmp`."""
    for path in (*home.root.rglob(".*.tmp*"), *spill_folders_outside()):
        process = path.name.partition(".tmp")[0].rpartition(".")[2]
        if process.isdigit() and not is_alive(process):
            what = "temporary file" if path.is_file() else "what did not fit into the memory"
            yield _garbage(path, f"{what} of a process that is gone")
    if (spill := home.database.with_name(f"{home.database.name}.tmp")).is_dir():
        yield _garbage(spill, "what did not fit into the memory of an earlier version")


def _abandoned(home: Home, before: float) -> Iterator[Garbage]:
    for path in home.tables.glob("*/*/.staging-*"):
        if max((p.stat().st_mtime for p in [path, *path.iterdir()]), default=0.0) < before:
            yield _garbage(path, "parts of a run that was never finished")


def _replaced(home: Home) -> Iterator[Garbage]:
    """Parts that neither a manifest nor the published catalogs name."""
    read = read_parts(home)
    for store, partition in partitions(home):
        manifest = store.any_manifest(partition)
        if manifest is None:
            continue
        named = {part.name for part in manifest.parts}
        for path in store.folder(partition).glob("part-*.parquet"):
            if path.name not in named and str(path.relative_to(home.root)) not in read:
                yield _garbage(path, "part that a later run replaced")


def _of_nobody(home: Home) -> Iterator[Garbage]:
    known = registered(home, "checkpoints")
    for name, table in TABLES.items():
        if table.partition != "checkpoint":
            continue
        for folder in (home.tables / name).glob("checkpoint=*"):
            if folder.name.partition("=")[2] not in known:
                yield _garbage(folder, "results of a checkpoint that is no longer registered")
    for store, partition in partitions(home):
        manifest = store.any_manifest(partition)
        if store.table.partition != "scan" or manifest is None or not manifest.inputs.get("is_registered", True):
            continue  # a scan by a checkpoint that was only named on the command line stays
        if manifest.inputs.get("checkpoint_id", partition) not in known:
            yield _garbage(store.folder(partition), "scan by a checkpoint that is no longer registered")


def _outdated(home: Home) -> Iterator[Garbage]:
    for store, partition in partitions(home):
        if store.any_manifest(partition) is not None and store.manifest(partition) is None:
            yield _garbage(store.folder(partition), "rows of another version of the table")


def _garbage(path: Path, why: str) -> Garbage:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return Garbage(path, why, sum(file.stat().st_size for file in files))


@contextlib.contextmanager
def _lock_of(home: Home, path: Path) -> Iterator[None]:
    """The lock of the partition a path lies in, without waiting; nothing for files outside the tables."""
    if not path.is_relative_to(home.tables):
        yield
        return
    table, folder = path.relative_to(home.tables).parts[:2]
    with partition_lock(TableStore.of(home, table), folder.partition("=")[2], timeout=0):
        yield
