"""The cookbook as a page: every question with its SELECT and its answer from one home.

`python -m docs.build.cookbook > docs/cookbook.md` takes the home of the environment (`make cookbook`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import polars as pl

import sql
from warehouse.catalog.queries import latest_checkpoint, query
from warehouse.home import Home

SHOWN_ROWS = 8
SHOWN_CHARACTERS = 60
HEAD = """# Cookbook

Questions a researcher asks of the warehouse, each one SELECT of [`sql/adhoc/cookbook`](../sql/adhoc/cookbook), with its
answer for checkpoint `{checkpoint}` of a quickstart (written by `make cookbook`; the first rows where there are more).

Ask them where you like:

* `rarecall query which_tokens_trigger`, for another checkpoint or paragraph with `--checkpoint NAME --paragraph ID`;
  `--show` prints the SELECT, `-f csv|json|parquet -o FILE` exports;
* `duckdb -readonly warehouse/data/rarecall.duckdb < sql/adhoc/cookbook/which_tokens_trigger.sql`, and the same in every
  tool on DuckDB 1.5 or newer, Harlequin for instance; there `SET VARIABLE checkpoint = '…'` and
  `SET VARIABLE paragraph = '…'` choose;
* `harlequin -r warehouse/data/rarecall.duckdb`: paste a question and run it (Ctrl+J); what `SET VARIABLE` chose holds
  until you quit;
* in a notebook, `duckdb.connect("warehouse/data/rarecall.duckdb", read_only=True).sql(…).pl()`, or `.df()` for pandas.

Open the file read-only (`-readonly`, `-r`, `read_only=True`), also during a run: what is open keeps showing its state
while the next replaces it; open it anew to see that. A program that opens the file for writing locks all others out,
and what it writes goes with the next publication. The file has the storage format of DuckDB 1.5 whatever version wrote
it, so tools of 1.5 read what 2.0 wrote. Views name the Parquet parts by their full path: a home that was moved or
copied needs `rarecall relocate` once.
"""


def page(home: Home) -> str:
    """The whole page as markdown."""
    questions = sql.load(sql.COOKBOOK)
    parts = [part for question in questions.values() for part in _section(home, question)]
    return "\n".join([HEAD.format(checkpoint=latest_checkpoint(home)), *parts])


def _section(home: Home, question: sql.Query) -> Iterator[str]:
    yield f"## {question.title}\n\n`rarecall query {question.name}`\n"
    yield f"```sql\n{question.text.strip()}\n```\n"
    yield answer(query(home, question.text)) + "\n"


def answer(frame: pl.DataFrame) -> str:
    """The first rows of an answer as a markdown table, numbers to four digits."""
    if frame.is_empty():
        return "*No rows: nothing of that kind was measured or found.*"
    rule = ["---:" if kind.is_numeric() else "---" for kind in frame.dtypes]
    rows = [[_cell(value) for value in row] for row in frame.head(SHOWN_ROWS).iter_rows()]
    lines = [_row(cells) for cells in (frame.columns, rule, *rows)]
    more = f"\n\n… {frame.height - SHOWN_ROWS} more rows." if frame.height > SHOWN_ROWS else ""
    return "\n".join(lines) + more


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any) -> str:
    text = "—" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    text = text.replace("\n", "⏎").replace("\t", "⇥")
    text = text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"
    for special in "\\|*_[]":
        text = text.replace(special, f"\\{special}")
    return text.replace("<", "&lt;").replace("`", "'")


if __name__ == "__main__":
    sys.stdout.write(page(Home.locate()))
