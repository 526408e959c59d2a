"""Declared stages as Dagster assets; nothing that decides whether there is work imports this module."""

from typing import Any

import dagster as dg

from assets import engine
from assets.execute import StageAsset
from assets.partitions import CHECKPOINTS
from assets.resources import Workspace
from warehouse.registry import TABLES, Table


def definition_of(declared: StageAsset) -> dg.AssetsDefinition:
    """The Dagster assets of a stage, one per table."""
    stage = declared.stage

    def _run(context: dg.AssetExecutionContext, workspace: Workspace) -> Any:
        yield from declared.function(context, workspace)

    return dg.multi_asset(
        name=f"{stage.name}_stage",
        specs=[_spec(name, declared) for name in stage.tables],
        check_specs=[_check_spec(name) for name in stage.checks],
        partitions_def=CHECKPOINTS if stage.is_per_checkpoint else None,
        config_schema=engine.config_schema() if stage.spreads else None,
    )(_run)


def column_schema(table: Table) -> dg.TableSchema:
    """A registered table's columns as Dagster shows them."""
    columns = [
        dg.TableColumn(c.name, c.type, c.comment, dg.TableColumnConstraints(nullable=c.nullable)) for c in table.columns
    ]
    return dg.TableSchema(columns=columns)


def _spec(name: str, declared: StageAsset) -> dg.AssetSpec:
    table = TABLES[name]
    return dg.AssetSpec(
        name,
        deps=[*declared.stage.upstream, *declared.files],
        description=f"{table.description}\n\nGrain: {table.grain}.\n\n{(declared.function.__doc__ or '').strip()}",
        group_name=declared.group,
        kinds=declared.kinds,
        code_version=str(table.version),
        metadata={"dagster/column_schema": column_schema(table)},
    )


def _check_spec(name: str) -> dg.AssetCheckSpec:
    asset, _, label = name.partition(".")
    return dg.AssetCheckSpec(label, asset=asset, description=label.replace("_", " "))


released_paragraphs = dg.AssetSpec(
    "released_paragraphs",
    description=f"{TABLES['released_paragraphs'].description}\n\nWritten by `rarecall import`.",
    group_name="corpus",
    kinds={"parquet"},
    metadata={"dagster/column_schema": column_schema(TABLES["released_paragraphs"])},
)
