"""The one registry: every table, once. Parquet schemas, DuckDB comments, Dagster schemas and docs come from here."""

from warehouse.registry import (
    analysis,
    corpus,
    corpus_detail,
    edits,
    localization,
    localization_axis,
    memorization,
    scoring,
    training,
    triggers,
)
from warehouse.registry.schema import Column, Table

TABLES: dict[str, Table] = {
    table.name: table
    for module in (
        *(corpus, corpus_detail, training, memorization, scoring),
        *(localization, localization_axis, edits, triggers, analysis),
    )
    for table in module.TABLES
}

__all__ = ["TABLES", "Column", "Table"]
