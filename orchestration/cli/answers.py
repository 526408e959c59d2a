"""Answers of `rarecall query`: a table for people, csv, json or parquet for programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import polars as pl

from assets.errors import RequestError
from warehouse.atomic import replace_file

SHOWN_ROWS = 200
SHOWN_CHARACTERS = 160
"""Longest text of a cell in a table for people; csv, json and parquet hold everything."""

PIPED_WIDTH = 240
"""Columns of a table that no terminal shows: wide, so that programs like grep see whole rows."""


def write_answer(frame: pl.DataFrame, form: str, output: Path | None) -> None:
    """Write a frame to stdout or, atomically, to a file.

    Raises:
        RequestError: parquet was asked for without a file.
    """
    if output is not None:
        replace_file(output, lambda path: path.write_bytes(_encoded(frame, form)))
    elif form == "table":
        _print_table(frame)
    elif form == "parquet":
        raise RequestError("parquet is not for the terminal; name a file with --output.")
    else:
        sys.stdout.buffer.write(_encoded(frame, form))


def _encoded(frame: pl.DataFrame, form: str) -> bytes:
    import io

    buffer = io.BytesIO()
    if form == "parquet":
        frame.write_parquet(buffer)
    elif form == "json":
        buffer.write(frame.write_json().encode() + b"\n")
    else:
        _flat(frame).write_csv(buffer)
    return buffer.getvalue()


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Lists, maps and structs as JSON text, which csv can hold."""
    import json

    nested = [name for name, kind in frame.schema.items() if kind.is_nested()]
    texts = [
        pl.Series(
            n, [None if v is None else json.dumps(v, ensure_ascii=False) for v in frame[n].to_list()], dtype=pl.String
        )
        for n in nested
    ]
    return frame.with_columns(texts)


def _print_table(frame: pl.DataFrame) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name, kind in frame.schema.items():
        table.add_column(name, justify="right" if kind.is_numeric() else "left", overflow="fold")
    for row in frame.head(SHOWN_ROWS).iter_rows():
        table.add_row(*(Text(_shown(value)) for value in row))
    console = Console() if sys.stdout.isatty() else Console(width=PIPED_WIDTH)
    console.print(table)
    if frame.height > SHOWN_ROWS:
        console.print(f"… {frame.height - SHOWN_ROWS} more rows; use --format csv or -o FILE for all.", style="dim")


def _shown(value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_shown(item)}" for key, item in value.items())
    text = str(value).replace("\n", "⏎").replace("\t", "⇥")
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"
