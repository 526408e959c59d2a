"""What `rarecall doctor` looks at."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from warehouse.errors import WarehouseError
from warehouse.home import Home
from warehouse.parts import TableStore
from warehouse.registry import TABLES

_PACKAGES = ("torch", "transformers", "duckdb", "polars", "dagster", "dagster-webserver", "datasketch")
_ENOUGH_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    is_fine: bool
    what: str


def examine(home: Home) -> Iterator[Finding]:
    """Look at interpreter, packages, device, home, disk and the integrity of the record."""
    yield Finding(sys.version_info >= (3, 11), f"Python {sys.version.split()[0]} (3.11 or newer is needed)")
    yield from _packages()
    yield _device()
    yield from _home(home)
    yield from _record(home)


def _packages() -> Iterator[Finding]:
    for name in _PACKAGES:
        try:
            yield Finding(True, f"{name} {version(name)}")
        except PackageNotFoundError:
            yield Finding(False, f"{name} is not installed; run `make run` or `pip install -e .`")


def _device() -> Finding:
    import torch

    from probes.models import resolve_device

    return Finding(True, f"models run on {resolve_device('auto')}, {torch.get_num_threads()} threads")


def _home(home: Home) -> Iterator[Finding]:
    try:
        home.prepare()
    except WarehouseError as error:
        yield Finding(False, str(error))
        return
    free = shutil.disk_usage(home.root).free
    yield Finding(
        free > _ENOUGH_BYTES, f"home {home.root}: {free / 1024**3:.1f} GiB free (2 GiB are enough for the quickstart)"
    )


def _record(home: Home) -> Iterator[Finding]:
    from warehouse.atomic import file_sha256

    part_count, damaged = 0, []
    for name in TABLES:
        store = TableStore.of(home, name)
        for partition in store.partitions():
            manifest = store.manifest(partition)
            for part in manifest.parts if manifest else ():
                path = store.folder(partition) / part.name
                part_count += 1
                if not path.exists() or file_sha256(path) != part.sha256:
                    damaged.append(
                        f"{name}/{partition}/{part.name} is missing or damaged; remove its folder and run again"
                    )
    yield Finding(
        not damaged, f"{part_count} parts of the record agree with their checksums" if not damaged else damaged[0]
    )
    yield from (Finding(False, text) for text in damaged[1:])
