"""Pieces of the paragraph browser that asks the warehouse as one looks: used by the notebook docs/live_browser.py."""

from __future__ import annotations

import html
import re

import polars as pl

import sql
from warehouse.catalog.queries import query
from warehouse.home import Home

QUANTITIES = {
    "EM drop [tokens]": "em_drop",
    "ΔNLL [nats]": "delta_nll_nats",
    "rarity [bits]": "surprisal_bits",
    "token NLL [nats]": "nll_nats",
}
"""What tokens can be coloured by: label and column of `tokens`."""


def checkpoints(home: Home) -> list[str]:
    """Names of the measured checkpoints."""
    return [str(name) for name in query(home, sql.load_one("adhoc", "checkpoint_names").text)["checkpoint_id"]]


def paragraphs(home: Home, checkpoint_id: str) -> pl.DataFrame:
    """One row per scored paragraph; those whose triggers were measured first."""
    return query(home, sql.load_one("adhoc", "live_paragraphs").text, {"checkpoint_id": checkpoint_id})


def tokens(home: Home, checkpoint_id: str, paragraph_id: str) -> pl.DataFrame:
    """One row per token of a paragraph, in order."""
    given = {"checkpoint_id": checkpoint_id, "paragraph_id": paragraph_id}
    return query(home, sql.load_one("adhoc", "live_tokens").text, given)


def strip(rows: pl.DataFrame, column: str) -> str:
    """Tokens as HTML, shaded by a column; the text is escaped, white space and control characters are shown.

    Args:
        rows: rows of `tokens`.
        column: one of the values of `QUANTITIES`.
    """
    values = rows[column].cast(pl.Float64)
    most = max(float(values.max() or 0.0), 1e-9)  # type: ignore[arg-type]
    spans = [_span(row, row[column], most) for row in rows.iter_rows(named=True)]
    style = "font: 0.9rem/1.9 monospace; white-space: pre-wrap; overflow-wrap: anywhere"
    return f'<div style="{style}">{"".join(spans)}</div>'


def strongest(rows: pl.DataFrame, count: int = 5) -> pl.DataFrame:
    """The tokens whose replacement costs most; ties in EM drop go to the larger change of NLL."""
    known = rows.filter(pl.col("em_drop") > 0)
    return known.sort("em_drop", "delta_nll_nats", descending=True).head(count)


def _span(row: dict[str, object], value: object, most: float) -> str:
    shade = 0.0 if value is None else max(0.0, float(value) / most)  # type: ignore[arg-type]
    colour = "" if row["is_prefix"] else "opacity: 0.75;"
    title = f"position {row['position']}" + ("" if value is None else f": {float(value):.2f}")  # type: ignore[arg-type]
    text = html.escape(_visible(str(row["token"] or "")))
    return f'<span title="{title}" style="{colour} background: rgba(193, 68, 14, {0.7 * shade:.2f})">{text}</span>'


def _visible(text: str) -> str:
    text = text.replace(" ", "·") if text.isspace() else text
    text = text.replace("\n", "⏎\n").replace("\t", "⇥")
    return re.sub(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", "�", text)
