"""The table reference as markdown, from the registry: `python -m docs.build.tables > docs/tables.md`."""

from collections.abc import Iterator

from warehouse.registry import TABLES, Table


def reference() -> str:
    """All tables, one section each."""
    head = (
        "# Tables\n\nGenerated from `warehouse/registry` (`make docs`). Parquet is the record: "
        "`<home>/tables/<table>/<partition>=<id>/part-*.parquet`; the same names are views in `rarecall.duckdb`. "
        "Key columns are bold; layers, heads and positions count from 0.\n"
    )
    return head + "\n".join(line for table in TABLES.values() for line in _section(table))


def _section(table: Table) -> Iterator[str]:
    yield f"\n## {table.name}\n\n{table.description}\n\nGrain: {table.grain}. Partitioned by {table.partition}.\n"
    yield "| column | type | unit | meaning |\n|---|---|---|---|"
    for column in table.columns:
        name = f"**{column.name}**" if column.key else column.name
        empty = " May be empty." if column.nullable else ""
        unit = column.unit or ("path" if column.is_path else "—")
        yield f"| {name} | {column.type} | {unit} | {column.description.replace('|', '∣')}{empty} |"


if __name__ == "__main__":
    print(reference())
