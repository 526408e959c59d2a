"""Does the record on disk agree with its manifests, byte by byte? And what to do where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from warehouse.home import Home
from warehouse.record.parts import MANIFEST, TableStore, partition_lock, unsound_parts
from warehouse.registry import TABLES


@dataclass(frozen=True)
class Damage:
    """One file of the record that is not what it should be."""

    table: str
    partition: str
    file: str
    what: str

    @property
    def sentence(self) -> str:
        """What is wrong and what to do."""
        return (
            f"{self.table}/{self.partition}/{self.file} {self.what}; remove it with `rarecall doctor --repair`, "
            "and the next run makes it again."
        )


@dataclass
class Examination:
    """What was looked at, and what is wrong with it."""

    part_count: int
    damages: list[Damage]
    outdated: list[tuple[str, str]]


def examine_record(home: Home) -> Examination:
    """Read every part of every partition and compare it with its manifest.

    Partitions of another version of their table are named as outdated: they are whole, only not shown.
    """
    found = Examination(0, [], [])
    for store, partition in partitions(home):
        manifest = store.any_manifest(partition)
        if manifest is None:
            found.damages.append(Damage(store.table.name, partition, MANIFEST, "is damaged"))
            continue
        found.part_count += len(manifest.parts)
        for part in unsound_parts(store.folder(partition), manifest, look_again=True):
            there = (store.folder(partition) / part.name).exists()
            what = "does not agree with its checksum" if there else "is missing"
            found.damages.append(Damage(store.table.name, partition, part.name, what))
        if store.manifest(partition) is None:
            found.outdated.append((store.table.name, partition))
    return found


def repair(home: Home, damages: list[Damage]) -> None:
    """Remove damaged files, so that the next run makes exactly them again; sound parts beside them are kept."""
    for damage in damages:
        store = TableStore.of(home, damage.table)
        with partition_lock(store, damage.partition):
            (store.folder(damage.partition) / damage.file).unlink(missing_ok=True)


def partitions(home: Home) -> Iterator[tuple[TableStore, str]]:
    """Every partition of every table that has a manifest, whatever its state."""
    for name in TABLES:
        store = TableStore.of(home, name)
        for partition in store.partitions():
            yield store, partition
