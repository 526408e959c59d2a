"""The cheap SQL tail: views and marts rebuilt from the record, checked, and published with one replace."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

import sql
from assets.framework import progress
from assets.framework.dagster_assets import WHEN_TABLES_CHANGE, Workspace
from assets.framework.materialize import check_metadata, preview
from warehouse.catalog.publish import CatalogRefusedError, CatalogReport, dependency_order, publish_catalog, reads_of
from warehouse.catalog.queries import one_publication, query
from warehouse.home import Home
from warehouse.registry import TABLES

CATALOG = "catalog"


def objects() -> dict[str, sql.Query]:
    """Views and marts by name."""
    return {**sql.load("views"), **sql.load("marts")}


def _specs() -> Iterator[dg.AssetSpec]:
    views, known = sql.load("views"), objects()
    names = set(TABLES) | set(known)
    for name, text in known.items():
        yield dg.AssetSpec(
            name,
            deps=sorted(reads_of(text, names)),
            description=f"{text.description}\n\n```sql\n{text.text}\n```",
            group_name="marts",
            kinds={"duckdb", "view" if name in views else "table"},
            automation_condition=WHEN_TABLES_CHANGE,
        )
    description = "The published DuckDB file: views over the Parquet record, and the marts. Deleting it loses nothing."
    yield dg.AssetSpec(
        CATALOG,
        deps=sorted(known),
        description=description,
        group_name="marts",
        kinds={"duckdb"},
        automation_condition=WHEN_TABLES_CHANGE,
    )


def _check_specs() -> list[dg.AssetCheckSpec]:
    follows = "Blocks: while a row violates it the published warehouse stays as it was."
    return [
        dg.AssetCheckSpec(name, asset=CATALOG, description=f"{q.description} {follows}", blocking=True)
        for name, q in sql.load("checks").items()
    ]


@dg.multi_asset(name="marts_stage", specs=list(_specs()), check_specs=_check_specs())
def marts(context: dg.AssetExecutionContext, workspace: Workspace) -> Any:
    """Build the catalog aside, run the checks over it, then replace the published one."""
    home = workspace.open_home()
    try:
        report = _publish(context, home)
    except CatalogRefusedError as refused:
        yield from _check_results(refused.report)
        raise
    yield from _check_results(report)
    for name, shown in _previews(home).items():
        metadata: dict[str, Any] = {
            "dagster/row_count": report.row_counts[name],
            "preview": dg.MetadataValue.md(shown),
        }
        yield dg.MaterializeResult(asset_key=name, metadata=metadata)
    yield dg.MaterializeResult(asset_key=CATALOG, metadata={"file": dg.MetadataValue.path(str(home.database))})


def _publish(context: dg.AssetExecutionContext, home: Home) -> CatalogReport:
    with progress.shown_in(context), progress.task("marts", len(objects()), "queries") as task:
        return publish_catalog(home, on_object=lambda name: task.advance(1, name))


def _check_results(report: CatalogReport) -> Iterator[dg.AssetCheckResult]:
    for name, rows in report.violations.items():
        yield dg.AssetCheckResult(asset_key=CATALOG, check_name=name, passed=not rows, metadata=check_metadata(rows))


def _previews(home: Home) -> dict[str, str]:
    """The first rows of every view and mart as markdown, each after what it reads."""
    asked = 'SELECT * FROM "{}" LIMIT 5'  # our own object names
    with one_publication(home):
        return {name: preview(query(home, asked.format(name))) for name in dependency_order(objects())}
