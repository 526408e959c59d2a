"""The one registry: every table, once. Parquet schemas, DuckDB comments, Dagster schemas and docs come from here."""

from warehouse.registry import analysis, corpus, edits, localization, memorization, scans, screening
from warehouse.registry.schema import Column, Table

TABLES: dict[str, Table] = {
    table.name: table
    for module in (corpus, screening, memorization, scans, localization, edits, analysis)
    for table in module.TABLES
}

__all__ = ["TABLES", "Column", "Table"]
