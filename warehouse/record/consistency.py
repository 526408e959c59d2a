"""Partitions that belong together: rows measured on something that is no longer there are kept, but not shown."""

from __future__ import annotations

from warehouse.home import Home
from warehouse.record.parts import Manifest, TableStore
from warehouse.registry import TABLES


def consistent_partitions(home: Home) -> dict[str, set[str]]:
    """Partitions of every table whose upstream rows, by content hash, are in the record today, and theirs too.

    After a corpus has changed, scores of a checkpoint that could not be measured again (its files are gone, say) are
    about paragraphs that no longer exist. They stay on disk, and count again when the corpus is what it was.
    """
    manifests = {name: _manifests(TableStore.of(home, name)) for name in TABLES}
    while True:
        contents = {name: {m.content_sha256 for m in found.values()} for name, found in manifests.items()}
        kept = {
            name: {partition: m for partition, m in found.items() if _has_its_upstream(m, contents)}
            for name, found in manifests.items()
        }
        if kept == manifests:
            return {name: set(found) for name, found in kept.items()}
        manifests = kept


def _manifests(store: TableStore) -> dict[str, Manifest]:
    found = {partition: store.manifest(partition) for partition in store.partitions()}
    return {partition: manifest for partition, manifest in found.items() if manifest is not None}


def _has_its_upstream(manifest: Manifest, contents: dict[str, set[str]]) -> bool:
    upstream = manifest.inputs.get("upstream") or {}
    return all(content is None or content in contents.get(name, set()) for name, content in upstream.items())
