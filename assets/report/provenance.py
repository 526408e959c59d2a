"""Provenance of a report's numbers: the tables, the rows, the hashes, the settings."""

from __future__ import annotations

from typing import Any

from warehouse.home import Home
from warehouse.record.parts import TableStore
from warehouse.registry import TABLES


def tables_of(home: Home, checkpoint_id: str, corpus_id: str) -> list[dict[str, Any]]:
    """One row per table behind the report: name, partition, rows, content hash, key of its inputs.

    The content hash is the same on every machine that computed the same rows; the key says what they were made from.
    """
    rows = []
    for name, table in TABLES.items():
        partition = corpus_id if table.partition == "corpus" else checkpoint_id
        manifest = TableStore.of(home, name).manifest(partition) if partition else None
        if manifest is not None:
            rows.append(
                {
                    "table": name,
                    "partition": partition,
                    "row_count": manifest.row_count,
                    "content": manifest.content_sha256,
                    "key": manifest.key,
                    "settings": manifest.inputs.get("settings", {}),
                }
            )
    return rows


def versions() -> dict[str, str]:
    """Versions of what computes the numbers."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("rarecall", "torch", "transformers", "duckdb", "polars", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed as a package"
    return found
