"""Checks of `rarecall doctor`: versions, device, home, record, catalog."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from assets.framework.cores import usable_cores
from warehouse.errors import WarehouseError
from warehouse.home import Home, can_be_written

_PACKAGES = ("torch", "transformers", "duckdb", "polars", "dagster", "dagster-webserver", "datasketch")
_ENOUGH_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Remark:
    """One thing looked at."""

    is_fine: bool
    what: str


def examine(home: Home) -> Iterator[Remark]:
    """Look at interpreter, packages, device, home, disk and the integrity of the record."""
    yield Remark(sys.version_info >= (3, 11), f"Python {sys.version.split()[0]} (3.11 or newer is needed)")
    yield from _packages()
    yield _device()
    yield from _home(home)
    yield from _record(home)
    yield from _token_shards(home)


def _packages() -> Iterator[Remark]:
    for name in _PACKAGES:
        try:
            yield Remark(True, f"{name} {version(name)}")
        except PackageNotFoundError:
            yield Remark(False, f"{name} is not installed; run `make run` or `pip install -e .`")


def _device() -> Remark:
    import torch

    from probes.checkpoints.load import resolve_device

    cores, threads = usable_cores(), torch.get_num_threads()
    said = f"models run on {resolve_device('auto')}, {threads} threads on {cores} cores"
    return Remark(threads <= cores, said if threads <= cores else f"{said}; set OMP_NUM_THREADS={cores} or less")


def _home(home: Home) -> Iterator[Remark]:
    try:
        home.prepare()
    except WarehouseError as error:
        if home.database.exists() and not can_be_written(home):
            yield Remark(True, f"home {home.root} can only be read here: questions and the report work, runs do not")
        else:
            yield Remark(False, str(error))
        return
    free = shutil.disk_usage(home.root).free
    yield Remark(
        free > _ENOUGH_BYTES, f"home {home.root}: {free / 1024**3:.1f} GiB free (2 GiB are enough for the quickstart)"
    )


def _record(home: Home) -> Iterator[Remark]:
    from warehouse.record.integrity import examine_record

    found = examine_record(home)
    if not found.damages:
        yield Remark(True, f"{found.part_count} parts of the record agree with their checksums")
    for damage in found.damages:
        yield Remark(False, damage.sentence)
    if found.outdated:
        names = ", ".join(f"{table}/{partition}" for table, partition in found.outdated[:5])
        yield Remark(
            True, f"{len(found.outdated)} partitions are of another version of their table ({names}); a run of their "
            "profile makes them again, `rarecall gc` removes them",
        )  # fmt: skip
    yield _catalog(home)


def _token_shards(home: Home) -> Iterator[Remark]:
    """Tokens lie beside the tables, and a changed byte there would change counts and paragraphs in silence."""
    from corpus_stats.errors import CorpusError
    from corpus_stats.tokens.stream import DESCRIPTION, TokenStream

    for description in sorted(home.root.glob(f"corpora/*/tokens/{DESCRIPTION}")):
        folder = description.parent
        try:
            stream = TokenStream(folder)
            stream.verify()
        except CorpusError as error:
            yield Remark(False, str(error))
        else:
            yield Remark(True, f"{len(stream.shards)} token shards of {folder.parent.name} are as they were written")


def _catalog(home: Home) -> Remark:
    from warehouse.catalog.publish import is_published, published_root

    root = published_root(home)
    if root is not None and root != str(home.root):
        return Remark(False, f"the home was moved here from {root}; run `rarecall relocate` once")
    if root is None and not home.database.exists():
        return Remark(True, "nothing has been published yet; `rarecall run` does")
    if not is_published(home):
        return Remark(
            False, f"{home.database.name} does not show the record as it is or is damaged; run `rarecall run`"
        )
    return Remark(True, f"{home.database.name} shows the record as it is")
