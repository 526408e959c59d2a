"""Runs a stage: resume, check, then publish."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.framework import progress, workers
from assets.framework.plot_cache import drawn_once
from assets.framework.stage import Frames, Scope, Stage
from warehouse.errors import WarehouseError
from warehouse.files import digest
from warehouse.record.frames import empty_frame
from warehouse.record.parts import PartitionWriter, partition_lock
from warehouse.registry import TABLES

if TYPE_CHECKING:
    import dagster as dg

    Result = dg.MaterializeResult | dg.AssetCheckResult


def materialize(
    context: dg.AssetExecutionContext,
    stage: Stage,
    scope: Scope,
) -> Iterator[Result]:
    """Do what is missing, check it, publish it, and say what is there now.

    Shards run here or on the workers of an engine (`assets/framework/workers.py`). A stage whose inputs have not
    changed does no work. Checks see the rows before they count; a violated one fails the asset and leaves the earlier
    rows in place.

    Raises:
        WarehouseError: a check was violated.
    """
    with progress.shown_in(context), partition_lock(scope.store(stage.name), scope.partition(stage.name)):
        unchanged = stage.is_current(scope)
        if not unchanged:
            yield from _run(context, stage, scope)
    frames = {name: _rows(scope, name) for name in stage.tables}
    if unchanged:
        yield from _checked(stage, scope, frames)
    for name in stage.tables:
        yield _result(scope, stage, name, frames[name], unchanged)


def _rows(scope: Scope, table: str) -> pl.DataFrame:
    """Rows of the scope's partition; none where the profile does not ask for the stage that makes them."""
    return empty_frame(TABLES[table]) if scope.content(table) is None else scope.read(table)


def _run(context: dg.AssetExecutionContext, stage: Stage, scope: Scope) -> Iterator[Result]:
    settings = _engine(context, stage, scope)
    inputs, shards = stage.inputs(scope), stage.shards_of(scope)
    writers = [scope.store(name).writer(scope.partition(name), inputs, shards.count) for name in stage.tables]
    missing_of = [set(writer.missing()) for writer in writers]  # an intact part of one table is not written again
    missing = sorted(set().union(*missing_of))
    if len(missing) < shards.count:
        context.log.info(f"{stage.name}: resuming, {shards.count - len(missing)} of {shards.count} shards are done")
    with closing(workers.spread_shards(shards, partial(stage.shards_of, scope), missing, settings)) as results:
        for shard, frames in progress.track(results, stage.name, len(missing), shards.unit):
            for writer, its_missing in zip(writers, missing_of, strict=True):
                if shard in its_missing:
                    writer.write(shard, frames[writer.store.table.name], **_ids(scope, writer))
    yield from _checked(stage, scope, {w.store.table.name: w.staged() for w in writers})
    for writer in writers:
        writer.finish()


def _engine(context: dg.AssetExecutionContext, stage: Stage, scope: Scope) -> Any:
    """Settings of the engine where the stage can use one: the asset's configuration over the profile's."""
    if not stage.spreads:
        return None
    return workers.engine_settings(scope.profile.engine, context.op_execution_context.op_config)


def _ids(scope: Scope, writer: PartitionWriter) -> dict[str, str]:
    column = f"{writer.store.table.partition}_id"
    return {column: writer.partition} if column in writer.store.table.arrow_schema.names else {}


def _checked(stage: Stage, scope: Scope, frames: Frames) -> Iterator[dg.AssetCheckResult]:
    import dagster as dg

    failed: list[str] = []
    for name, check in {**stage.checks, **stage.warnings}.items():
        violations = check(scope, frames)
        asset, _, label = name.partition(".")
        shown = check_metadata(violations)
        severity = dg.AssetCheckSeverity.WARN if name in stage.warnings else dg.AssetCheckSeverity.ERROR
        yield dg.AssetCheckResult(
            asset_key=asset, check_name=label, passed=not violations, metadata=shown, severity=severity
        )
        if name in stage.checks:
            failed += [f"{name}: {violation}" for violation in violations[:1]]
    if failed:
        raise WarehouseError(f"check {failed[0]}; nothing was published.")


def check_metadata(violations: Sequence[object]) -> dict[str, Any]:
    """What the UI shows of a check: how many violations there are, and the first of them as plain text."""
    import dagster as dg

    shown = "\n".join(f"* {as_plain_text(str(violation))}" for violation in violations[:20]) or "none"
    return {"violation_count": len(violations), "violations": dg.MetadataValue.md(shown)}


def _result(scope: Scope, stage: Stage, name: str, frame: pl.DataFrame, unchanged: bool) -> dg.MaterializeResult:
    """The plot first, then numbers that the UI draws over materializations, then rows; inputs last."""
    import dagster as dg

    manifest, plot = scope.store(name).manifest(scope.partition(name)), stage.plots.get(name)
    metadata: dict[str, Any] = {}
    if plot is not None and manifest is not None:
        content = digest([manifest.key, manifest.content_sha256])  # a plot may read what the stage read
        note = scope.store(name).folder(scope.partition(name)) / "_plot.json"
        metadata["plot"] = dg.MetadataValue.md(drawn_once(note, content, partial(plot, scope, frame)))
    if name in stage.numbers:
        metadata |= {key: value for key, value in stage.numbers[name](frame).items() if value is not None}
    metadata |= {
        "dagster/row_count": frame.height,
        "about": scope.partition(name),
        "preview": dg.MetadataValue.md(preview(frame)),
        "unchanged": unchanged,
        "folder": dg.MetadataValue.path(str(scope.store(name).folder(scope.partition(name)))),
        "inputs": dg.MetadataValue.json(manifest.inputs if manifest else {}),
    }
    version = dg.DataVersion(manifest.content_sha256) if manifest else None
    return dg.MaterializeResult(asset_key=name, metadata=metadata, data_version=version)


def preview(frame: pl.DataFrame, rows: int = 5, width: int = 40) -> str:
    """First rows as a markdown table, long values cut; text of a corpus stays text."""
    names = frame.columns
    lines = ["| " + " | ".join(as_plain_text(name) for name in names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(_cell(value, width) for value in row) + " |" for row in frame.head(rows).iter_rows()]
    return "\n".join(lines)


def as_plain_text(text: str) -> str:
    """A text that Markdown shows as it is: an image link in a paragraph must not make a browser fetch anything.

    Every ASCII sign that Markdown may read is escaped, `<` and `&` as entities, line breaks as a sign; a scheme loses
    its colon to an entity, so that no address becomes a link by itself.
    """
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", "⏎").replace("\r", "⏎")
    text = re.sub(r"([\\`*_{}\[\]()#+!|>~])", r"\\\1", text)
    return re.sub(r"(?i)\b(https?|ftp|www)([:.])", lambda found: f"{found[1]}&#{ord(found[2])};", text)


def _cell(value: Any, width: int) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    text = text if len(text) <= width else text[: width - 1] + "…"
    return as_plain_text(text)
