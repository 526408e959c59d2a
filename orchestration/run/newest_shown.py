"""The newest checkpoint on the overview pages of the UI, which show the facts of whatever ended last."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg


def show_newest(instance: dg.DagsterInstance, tables: Iterable[str], newest: str) -> list[str]:
    """Report a checkpoint's last materializations once more where another checkpoint's came later.

    Checkpoints that are measured side by side, or again, end in any order, and an overview page shows the facts of the
    one that did so last: an untrained model's, say. An event that is reported again has the same facts and data
    version, and no run; the run that measured stays in the partition's history.

    Args:
        instance: of the home.
        tables: assets, in the order of the flow, so that what is downstream stays the newer.
        newest: the checkpoint that shall be shown, a partition of each.

    Returns:
        Assets for which that was necessary.
    """
    keys = {name: dg.AssetKey(name) for name in tables}
    latest = instance.get_latest_materialization_events(list(keys.values()))
    facts = {name: event.asset_materialization for name, key in keys.items() if (event := latest.get(key))}
    others = [name for name, shown in facts.items() if shown is not None and shown.partition != newest]
    return [name for name in others if _reported_again(instance, keys[name], newest)]


def _reported_again(instance: dg.DagsterInstance, key: dg.AssetKey, partition: str) -> bool:
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[partition])
    records = instance.fetch_materializations(wanted, limit=1).records
    facts = records[0].asset_materialization if records else None
    if facts is not None:
        instance.report_runless_asset_event(facts)
    return facts is not None
