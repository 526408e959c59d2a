"""Answers of `rarecall query`: a table for people, csv, json or parquet for programs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import polars as pl

from assets.framework.errors import RequestError
from warehouse.files import fill_file

if TYPE_CHECKING:
    from rich.console import Console

SHOWN_ROWS = 200
SHOWN_CHARACTERS = 160
"""Longest text of a cell in a table for people; csv, json and parquet hold everything."""

PIPED_WIDTH = 240
"""Least width of a table that no terminal shows: programs like grep see whole rows."""

FOLDED_WIDTH = 24
"""Narrowest column of long texts in a table for people."""

_VISIBLE = {code: chr(0x2400 + code) for code in range(32)} | {0x7F: "␡", ord("\n"): "⏎", ord("\t"): "⇥"}
_VISIBLE |= dict.fromkeys(range(128, 160), "�")
_HIDDEN = (0xA0, 0xAD, *range(0x2000, 0x2010), *range(0x2028, 0x2030), *range(0x2066, 0x206A), 0xFEFF)
_VISIBLE |= {code: f"⟨U+{code:04X}⟩" for code in _HIDDEN}
"""Control characters, odd spaces and marks of direction as signs one sees; no escape sequence of a corpus may reach the
terminal."""


def write_answer(frames: Iterable[pl.DataFrame], form: str, output: Path | None) -> None:
    """Write an answer that comes in pieces to stdout or to a file; a table for people reads no further than it shows.

    Args:
        frames: at least one, all with the same columns.
        form: table, csv, json or parquet.
        output: a file, replaced when it is whole; a device or a pipe is written into as it is.

    Raises:
        RequestError: parquet was asked for without a file.
    """
    if output is not None:
        fill_file(output, lambda path: _write_file(frames, form, path))
    elif form == "table":
        _print_table(*first_rows(frames, SHOWN_ROWS))
    elif form == "parquet":
        raise RequestError("parquet is not for the terminal; name a file with --output.")
    else:
        _write_texts(frames, form, sys.stdout.buffer)


def first_rows(frames: Iterable[pl.DataFrame], count: int) -> tuple[pl.DataFrame, bool]:
    """The first rows, and whether there are more; pieces after those are not asked for."""
    kept: list[pl.DataFrame] = []
    for frame in frames:
        kept.append(frame)
        if sum(piece.height for piece in kept) > count:
            break
    whole = pl.concat(kept)
    return whole.head(count), whole.height > count


def _write_file(frames: Iterable[pl.DataFrame], form: str, path: Path) -> None:
    with path.open("wb") as file:
        if form == "parquet":
            _write_parquet(frames, file)
        else:
            _write_texts(frames, form, file)


def _write_parquet(frames: Iterable[pl.DataFrame], file: IO[bytes]) -> None:
    import pyarrow.parquet as pq

    with contextlib.ExitStack() as stack:
        writer = None
        for frame in frames:
            table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
            writer = writer or stack.enter_context(pq.ParquetWriter(file, table.schema))
            writer.write_table(table)


def _write_texts(frames: Iterable[pl.DataFrame], form: str, file: IO[bytes]) -> None:
    """Csv with one header, or one JSON array of objects."""
    count = 0
    for number, frame in enumerate(frames):
        if form == "json":
            rows = frame.write_json().strip()[1:-1]
            file.write((b"," if count and rows else b"" if number else b"[") + rows.encode())
        else:
            file.write(_flat(frame).write_csv(include_header=number == 0).encode())
        count += frame.height
    if form == "json":
        file.write(b"]\n")


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Lists, maps and structs as JSON text, which csv can hold."""
    import json

    nested = [name for name, kind in frame.schema.items() if kind.is_nested()]
    texts = [
        pl.Series(
            n,
            [None if v is None else json.dumps(v, ensure_ascii=False, default=_plain) for v in frame[n].to_list()],
            dtype=pl.String,
        )
        for n in nested
    ]
    return frame.with_columns(texts)


def _plain(value: Any) -> float | str:
    """What JSON has no kind for: decimals as numbers, times and the like as text."""
    from decimal import Decimal

    return float(value) if isinstance(value, Decimal) else str(value)


def _print_table(frame: pl.DataFrame, has_more: bool) -> None:
    from rich.console import Console

    cells = [[_shown(value) for value in row] for row in frame.iter_rows()]
    is_terminal = sys.stdout.isatty()
    console = (
        Console()
        if is_terminal
        else Console(
            width=max(PIPED_WIDTH, sum(_widths([visible(name) for name in frame.columns], cells)) + 2 * frame.width)
        )
    )
    print_cells(console, frame, cells)
    if frame.is_empty():
        console.print("No rows: nothing of that kind was measured or found.", style="dim")
    if has_more:
        console.print(f"… and more than these {SHOWN_ROWS} rows; use --format csv or -o FILE for all.", style="dim")


def print_cells(console: Console, frame: pl.DataFrame, cells: list[list[str]]) -> None:
    """Print cells as a table; where the console is too narrow, with folded names, else as one block of lines per row.

    Args:
        console: where to print; its width decides.
        frame: gives names and kinds of the columns.
        cells: texts, [row, column].
    """
    names, room = [visible(name) for name in frame.columns], console.width - 2 * (frame.width - 1)
    numeric = [kind.is_numeric() for kind in frame.dtypes]
    whole = _least_widths(numeric, _widths(names, cells))
    if sum(whole) > room:
        names = ["_\n".join(name.split("_")) for name in names]
        whole = _least_widths(numeric, _widths(names, cells))
    if sum(whole) > room:
        _print_records(console, [visible(name) for name in frame.columns], cells)
        return
    _print_grid(console, list(zip(names, whole, numeric, strict=True)), cells)


def _widths(names: list[str], cells: list[list[str]]) -> list[int]:
    """Terminal columns of each column's longest line, [column]."""
    from rich.cells import cell_len

    columns = zip(*cells, strict=True) if cells else [()] * len(names)
    texts = ([*name.split("\n"), *column] for name, column in zip(names, columns, strict=True))
    return [max(cell_len(text) for text in some) for some in texts]


def _least_widths(numeric: list[bool], widths: list[int]) -> list[int]:
    """Widths below which a column cannot be read: numbers never fold, texts may."""
    return [width if is_number else min(width, FOLDED_WIDTH) for is_number, width in zip(numeric, widths, strict=True)]


def _print_grid(console: Console, columns: list[tuple[str, int, bool]], cells: list[list[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name, width, is_number in columns:
        table.add_column(Text(name), justify="right" if is_number else "left", overflow="fold", min_width=width)
    for row in cells:
        table.add_row(*(Text(text) for text in row))
    console.print(table)


def _print_records(console: Console, names: list[str], cells: list[list[str]]) -> None:
    """One line per value under a line per row, for answers that are wider than the terminal."""
    from rich.table import Table
    from rich.text import Text

    for number, row in enumerate(cells, start=1):
        console.print(Text(f"row {number}", style="dim"))
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, text in zip(names, row, strict=True):
            table.add_row(Text(name), Text(text))
        console.print(table)


def visible(text: str) -> str:
    """A text on one line with nothing hidden: control characters as signs, spaces at its ends as dots."""
    text = text.translate(_VISIBLE)
    inner = text.strip(" ")
    before = len(text) - len(text.lstrip(" "))
    return "·" * before + inner + "·" * (len(text) - before - len(inner))


def _shown(value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{_shown(key)}: {_shown(item)}" for key, item in value.items())
    text = visible(str(value)) if isinstance(value, str) else str(value).translate(_VISIBLE)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"
