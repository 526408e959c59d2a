"""A home that was moved or copied: its paths are corrected in place, and nothing is measured again.

Paths of the home stand in registrations and in the columns that the registry marks as paths (the corpus' tokenizer, the
checkpoints' folders). Their rows are rewritten, and because inputs of other tables name them by content hash, those are
replaced in the manifests.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from assets.stages import STAGES
from orchestration.home.run_history import move_in_history
from warehouse.catalog.publish import publish_catalog, published_root
from warehouse.errors import RefusedError
from warehouse.files import write_json
from warehouse.home import Home
from warehouse.record.parts import MANIFEST, Manifest, TableStore, input_key, partition_lock
from warehouse.registrations import register, registered
from warehouse.registry import TABLES, Table


def relocate_home(home: Home) -> int:
    """Correct every path of a moved home; returns the number of partitions that were rewritten.

    May be interrupted and run again: a path that is right is left alone.

    Raises:
        RefusedError: it is not known where the home was, or the record there is in use still.
    """
    old, new = published_root(home), str(home.root)
    if old is None:
        raise RefusedError(f"the home {home.root} was never published, so nothing names its place; run `rarecall run`.")
    for kind in ("corpora", "checkpoints"):
        for name, facts in registered(home, kind).items():
            if (moved := with_root(facts, old, new)) != facts:
                register(home, kind, name, moved)
    contents = _changed_so_far(home)
    rewritten = sum(_relocate(home, name, old, new, contents) for name in _upstream_first())
    publish_catalog(home)
    move_in_history(home, old, new)
    _note(home).unlink(missing_ok=True)
    return rewritten


def _upstream_first() -> list[str]:
    """Every table, each after those it is made from, so that their new content hashes are known."""
    staged = [name for stage in STAGES for name in stage.tables]
    return list(dict.fromkeys([*staged, *TABLES]))


def _note(home: Home) -> Path:
    """Content hashes that have changed, so that an interrupted relocation goes on."""
    return home.root / "relocation.json"


def _changed_so_far(home: Home) -> dict[str, str]:
    try:
        return dict(json.loads(_note(home).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return {}


def with_root(value: Any, old: str, new: str) -> Any:
    """A JSON value whose paths below `old` are below `new`."""
    if isinstance(value, dict):
        return {key: with_root(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [with_root(item, old, new) for item in value]
    if isinstance(value, str) and (value == old or value.startswith(f"{old}/")):
        return new + value[len(old) :]
    return value


def _relocate(home: Home, table: str, old: str, new: str, contents: dict[str, str]) -> int:
    """All partitions of one table; `contents` maps the content hashes that have changed so far."""
    store, count = TableStore.of(home, table), 0
    for partition in store.partitions():
        with partition_lock(store, partition):
            manifest = store.manifest(partition)
            if manifest is None:
                continue
            inputs = _with_contents(with_root(manifest.inputs, old, new), contents)
            frame = store.read(partition)
            moved = _frame_with_root(frame, store.table, old, new)
            if not moved.equals(frame):
                contents[manifest.content_sha256] = _rewrite(store, partition, inputs, moved, contents)
                count += 1
            elif inputs != manifest.inputs:
                _rekey(store, manifest, inputs)
    return count


def _with_contents(inputs: dict[str, Any], contents: dict[str, str]) -> dict[str, Any]:
    upstream = {name: contents.get(content, content) for name, content in inputs["upstream"].items()}
    return {**inputs, "upstream": upstream}


def _frame_with_root(frame: pl.DataFrame, table: Table, old: str, new: str) -> pl.DataFrame:
    """Path columns whose values lie below the old root, corrected."""
    return frame.with_columns(
        pl.col(name).map_elements(lambda value: with_root(value, old, new), return_dtype=pl.String)
        for name in table.paths
    )


def _rewrite(
    store: TableStore, partition: str, inputs: dict[str, Any], frame: pl.DataFrame, contents: dict[str, str]
) -> str:
    """The same rows with other paths, in one part: these are tables of one row. Returns their content hash."""
    before = store.manifest(partition)
    assert before is not None
    writer = store.writer(partition, inputs, 1)
    writer.write(0, frame)
    after = writer.content_sha256()
    write_json(_note(store.home), contents | {before.content_sha256: after})
    writer.finish()
    return after


def _rekey(store: TableStore, manifest: Manifest, inputs: dict[str, Any]) -> None:
    """Rows as they are, inputs under their new names."""
    key = input_key(store.table, inputs)
    moved = Manifest(manifest.table, manifest.partition, key, inputs, manifest.parts)
    write_json(store.folder(manifest.partition) / MANIFEST, asdict(moved))
