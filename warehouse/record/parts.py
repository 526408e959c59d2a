"""The Parquet record: parts, manifests, and writers that resume.

A partition of a table (one corpus or one checkpoint) is a folder of parts and a manifest. A part's name carries its
shard, the key of the inputs it was made from and the hash of its own bytes, so that a finished part can be told from
a stale or a damaged one without a second file. Parts wait in a staging folder until all shards are there.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from warehouse.errors import WarehouseError
from warehouse.files import digest, file_sha256, replace_file, write_json
from warehouse.home import Home
from warehouse.record.frames import read_frame, to_arrow
from warehouse.registry import TABLES, Table

MANIFEST = "_manifest.json"
_SOUND = "_sound.json"


@dataclass(frozen=True)
class Part:
    """One Parquet file of a partition."""

    name: str
    row_count: int
    sha256: str
    rows_sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a complete partition was made from, and its parts."""

    table: str
    partition: str
    key: str
    inputs: dict[str, Any]
    parts: tuple[Part, ...]

    @property
    def row_count(self) -> int:
        """Rows of all parts."""
        return sum(part.row_count for part in self.parts)

    @cached_property
    def content_sha256(self) -> str:
        """Hash of the content: equal rows give an equal hash, whatever they were made from."""
        return digest([part.rows_sha256 for part in self.parts])


@dataclass(frozen=True)
class TableStore:
    """One registered table in one home."""

    home: Home
    table: Table

    @classmethod
    def of(cls, home: Home, name: str) -> TableStore:
        """The store of a registered table."""
        return cls(home, TABLES[name])

    def folder(self, partition: str) -> Path:
        """Folder of a partition."""
        return self.home.partition_folder(self.table.name, self.table.partition, partition)

    def partitions(self) -> list[str]:
        """Complete partitions, sorted."""
        found = (self.home.tables / self.table.name).glob(f"{self.table.partition}=*/{MANIFEST}")
        return sorted(path.parent.name.partition("=")[2] for path in found)

    def manifest(self, partition: str) -> Manifest | None:
        """Manifest of a complete partition, else None.

        A damaged one counts as none, and so does one of rows with other columns or another meaning than the registry's:
        its key does not follow from its inputs. Such a partition is left as it is and made again when it is asked for.
        """
        found = self.any_manifest(partition)
        return found if found and found.key == input_key(self.table, found.inputs) else None

    def any_manifest(self, partition: str) -> Manifest | None:
        """The manifest whatever version of the table it is about; None when it is not there or damaged."""
        path = self.folder(partition) / MANIFEST
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _manifest_in(path, found.st_ino, found.st_size, found.st_mtime_ns)

    def files(self, partition: str) -> list[Path]:
        """Parts of a complete partition, in shard order."""
        manifest = self.manifest(partition)
        return [self.folder(partition) / part.name for part in manifest.parts] if manifest else []

    def is_readable(self, partition: str) -> bool:
        """Whether the partition is complete and has today's columns."""
        import pyarrow.parquet as pq

        files = self.files(partition)
        return bool(files) and set(self.table.arrow_schema.names) <= set(pq.read_schema(files[0]).names)

    def is_current(self, partition: str, inputs: dict[str, Any]) -> bool:
        """Whether the partition is complete, made from exactly these inputs, and its files are what they were."""
        manifest = self.manifest(partition)
        if manifest is None or manifest.key != input_key(self.table, inputs):
            return False
        return not unsound_parts(self.folder(partition), manifest)

    def adopt(self, partition: str, inputs: dict[str, Any]) -> None:
        """Say that the partition's rows follow from other inputs than its manifest names; a home that cannot be
        written stays as it is."""
        manifest = self.manifest(partition)
        if manifest is not None:
            renamed = replace(manifest, key=input_key(self.table, inputs), inputs=inputs)
            with suppress(WarehouseError):
                write_json(self.folder(partition) / MANIFEST, asdict(renamed))

    def read(self, partition: str, columns: list[str] | None = None) -> pl.DataFrame:
        """Rows of a partition in the order they were written.

        Raises:
            WarehouseError: the partition is not there.
        """
        files = self.files(partition)
        if not files:
            raise WarehouseError(
                f"table {self.table.name} has no {self.table.partition} {partition!r}; materialize it first."
            )
        return read_frame(files, self.table, columns)

    def writer(self, partition: str, inputs: dict[str, Any], shard_count: int) -> PartitionWriter:
        """A writer that resumes from parts an interrupted run left with the same inputs."""
        return PartitionWriter(self, partition, inputs, shard_count)


@lru_cache(maxsize=8192)
def _manifest_in(path: Path, *_: int) -> Manifest | None:
    """The manifest in a file with these facts of its `stat`; a run asks for each a dozen times."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Manifest(**{**raw, "parts": tuple(Part(**part) for part in raw["parts"])})
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, KeyError):
        return None


def input_key(table: Table, inputs: dict[str, Any]) -> str:
    """Key of what a partition is made from; the table's version and columns belong to it."""
    return digest({"table": table.name, "version": table.version, "columns": str(table.arrow_schema), "inputs": inputs})


@dataclass(frozen=True)
class PartitionWriter:
    """Writes the shards of one partition; nothing is visible until `finish`."""

    store: TableStore
    partition: str
    inputs: dict[str, Any]
    shard_count: int

    @property
    def key(self) -> str:
        """Key of the inputs."""
        return input_key(self.store.table, self.inputs)

    @property
    def staging(self) -> Path:
        """Where parts wait; the key is in its name, so other inputs never mix."""
        return self.store.folder(self.partition) / f".staging-{self.key[:16]}"

    def missing(self) -> list[int]:
        """Shards without an intact part, in order."""
        intact = {shard for shard in range(self.shard_count) if self._staged(shard) is not None}
        return [shard for shard in range(self.shard_count) if shard not in intact]

    def write(self, shard: int, frame: pl.DataFrame, **constants: str) -> None:
        """Write one shard: temporary name, check, move. `constants` fill id columns.

        Raises:
            WarehouseError: the frame does not fit the registry, or the disk refused.
        """
        arrow = to_arrow(self.store.table, frame, constants, {"key": self.key, "inputs": self.inputs})
        for stale in self.staging.glob(f"part-{shard:05d}-*.parquet"):
            stale.unlink()
        unnamed = self.staging / f"unnamed-{shard:05d}.parquet"
        replace_file(unnamed, lambda path: _write_checked(arrow, path))
        unnamed.replace(self.staging / f"part-{shard:05d}-{self.key[:12]}-{file_sha256(unnamed)[:12]}.parquet")

    def staged(self) -> pl.DataFrame:
        """Rows of all shards that wait, in shard order: what `finish` would publish.

        Raises:
            WarehouseError: shards are missing.
        """
        return read_frame(self._all_staged(), self.store.table)

    def content_sha256(self) -> str:
        """Content hash that the partition will have after `finish`.

        Raises:
            WarehouseError: shards are missing.
        """
        return digest([_rows_sha256(path) for path in self._all_staged()])

    def finish(self) -> Manifest:
        """Move all parts into the partition and make them its content.

        Raises:
            WarehouseError: shards are missing.
        """
        parts = tuple(self._publish(path) for path in self._all_staged())
        manifest = Manifest(self.store.table.name, self.partition, self.key, self.inputs, parts)
        write_json(self.store.folder(self.partition) / MANIFEST, asdict(manifest))
        note_sound(self.store.folder(self.partition), manifest)
        for waiting in self.store.folder(self.partition).glob(".staging-*"):  # also of inputs that were given up
            shutil.rmtree(waiting, ignore_errors=True)
        return manifest

    def _staged(self, shard: int) -> Path | None:
        """An intact part of the shard: waiting, or published before with the same inputs and still sound."""
        pattern = f"part-{shard:05d}-{self.key[:12]}-*.parquet"
        for folder in (self.staging, self.store.folder(self.partition)):
            for path in folder.glob(pattern):
                if file_sha256(path)[:12] == path.stem.rpartition("-")[2]:
                    return path
        return None

    def _all_staged(self) -> list[Path]:
        paths = [self._staged(shard) for shard in range(self.shard_count)]
        present = [path for path in paths if path is not None]
        if len(present) < self.shard_count:
            raise WarehouseError(
                f"table {self.store.table.name}, {self.partition}: {self.shard_count - len(present)} of "
                f"{self.shard_count} shards are missing; run again to resume."
            )
        return present

    def _publish(self, staged: Path) -> Part:
        import pyarrow.parquet as pq

        part = Part(staged.name, pq.read_metadata(staged).num_rows, file_sha256(staged), _rows_sha256(staged))
        staged.replace(self.store.folder(self.partition) / staged.name)
        return part


def unsound_parts(folder: Path, manifest: Manifest, look_again: bool = False) -> list[Part]:
    """Parts that are missing or whose bytes do not agree with the manifest.

    A file is read only when its size or time is not what it was when it was last found sound, or with `look_again`.
    """
    noted = {} if look_again else _noted(folder)
    stats = {part.name: _stat(folder / part.name) for part in manifest.parts}
    unsure = [part for part in manifest.parts if stats[part.name] is None or noted.get(part.name) != stats[part.name]]
    unsound = [p for p in unsure if stats[p.name] is None or file_sha256(folder / p.name) != p.sha256]
    if unsure and not unsound:
        note_sound(folder, manifest)
    return unsound


def note_sound(folder: Path, manifest: Manifest) -> None:
    """Remember sizes and times of parts whose bytes were just checked; only spares reading them again."""
    with suppress(WarehouseError):
        write_json(folder / _SOUND, {part.name: _stat(folder / part.name) for part in manifest.parts})


def _noted(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / _SOUND).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _stat(path: Path) -> list[int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return [found.st_size, found.st_mtime_ns]


@contextmanager
def partition_lock(store: TableStore, partition: str, timeout: float = -1) -> Iterator[None]:
    """Only one process at a time works on a partition; a second waits and then finds the work done."""
    from filelock import FileLock

    folder = store.folder(partition)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock", timeout=timeout):
        yield


def _rows_sha256(path: Path) -> str:
    """Hash of a Parquet file up to its footer, which alone says what the rows were made from."""
    data = path.read_bytes()
    footer = int.from_bytes(data[-8:-4], "little") + 8
    return hashlib.sha256(data[:-footer]).hexdigest()


def _write_checked(arrow: Any, path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(arrow, path, compression="zstd")
    if pq.read_metadata(path).num_rows != arrow.num_rows:
        raise OSError(f"{path} reads back with another number of rows")
