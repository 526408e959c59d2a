"""Frames in, Parquet out: the registry's schema is enforced where a part is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from warehouse.errors import WarehouseError
from warehouse.registry import Table


def to_arrow(table: Table, frame: pl.DataFrame, constants: dict[str, str], note: dict[str, Any]) -> pa.Table:
    """The frame as an Arrow table with exactly the registry's columns, types and nullability.

    Args:
        table: what to conform to.
        frame: rows; columns the registry does not know are left out.
        constants: values of id columns that are the same in every row.
        note: stored in the file's metadata under `rarecall`.

    Raises:
        WarehouseError: a column is missing or null, a value does not fit its type, or the key repeats.
    """
    frame = frame.with_columns(**{name: pl.lit(value) for name, value in constants.items()})
    names = table.arrow_schema.names
    absent = [name for name in names if name not in frame.columns]
    if absent:
        raise WarehouseError(
            f"table {table.name} needs column {absent[0]!r}, which the rows to be written do not have."
        )
    frame = frame.select(names)
    _refuse_nulls(table, frame)
    if frame.select(table.key).is_duplicated().any():
        raise WarehouseError(
            f"table {table.name} would hold two rows with the same {', '.join(table.key)}; nothing was written."
        )
    schema = table.arrow_schema.with_metadata({b"rarecall": json.dumps(note, sort_keys=True).encode()})
    try:
        return frame.to_arrow().cast(schema)
    except (pa.ArrowInvalid, ValueError) as error:
        raise WarehouseError(
            f"table {table.name}: a value does not fit its column ({error}); nothing was written."
        ) from error


def empty_frame(table: Table) -> pl.DataFrame:
    """No rows, all columns."""
    frame = pl.from_arrow(table.arrow_schema.empty_table())
    assert isinstance(frame, pl.DataFrame)
    return frame


def read_frame(files: list[Path], table: Table, columns: list[str] | None = None) -> pl.DataFrame:
    """Rows of Parquet files in file order.

    Raises:
        WarehouseError: a file is damaged.
    """
    try:
        return pl.concat([pl.read_parquet(file, columns=columns, hive_partitioning=False) for file in files])
    except (pl.exceptions.PolarsError, OSError) as error:
        raise WarehouseError(
            f"a part of table {table.name} in {files[0].parent} cannot be read ({error}); "
            "remove the folder and run again to rebuild it."
        ) from error


def _refuse_nulls(table: Table, frame: pl.DataFrame) -> None:
    for column in table.columns:
        if not column.nullable and frame[column.name].null_count():
            raise WarehouseError(f"table {table.name}: column {column.name} has empty values; nothing was written.")
