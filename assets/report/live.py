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

_CELL = "padding: 0.1rem 1.2rem 0.1rem 0; text-align: left"


def measured_checkpoints(home: Home) -> list[str]:
    """Names of the measured checkpoints."""
    return [str(name) for name in query(home, sql.load_one("adhoc", "checkpoint_names").text)["checkpoint_id"]]


def scored_paragraphs(home: Home, checkpoint_id: str) -> pl.DataFrame:
    """One row per scored paragraph; those whose triggers were measured first."""
    return query(home, sql.load_one("adhoc", "live_paragraphs").text, {"checkpoint_id": checkpoint_id})


def matching_rows(rows: pl.DataFrame, wanted: str = "", only_perturbed: bool = False) -> list[dict[str, object]]:
    """Rows of `paragraphs` for a table: those that contain what is wanted, with links that nothing opens by itself.

    The notebook's tables turn an address of a picture into the picture, which would ask whatever server a text of the
    corpus names; a word joiner after the colon, which nobody sees, keeps it text.
    """
    found = rows.filter(pl.col("is_perturbed") | (not only_perturbed))
    contains = [wanted.lower() in f"{row['beginning']} {row['paragraph_id']}".lower() for row in found.to_dicts()]
    inert = pl.col("beginning").str.replace_all(r"(?i)(https?|data):", "${1}:\u2060")
    return found.filter(pl.Series(contains, dtype=pl.Boolean)).with_columns(inert).to_dicts()


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


def strongest_table(rows: pl.DataFrame) -> str:
    """What `strongest` returns as an HTML table; the text is escaped, white space is shown."""
    cells = {"position": "position", "token": "token", **{column: label for label, column in QUANTITIES.items()}}
    head = "".join(f'<th style="{_CELL}">{html.escape(label)}</th>' for label in cells.values())
    body = "".join(f"<tr>{''.join(_cell(row[column]) for column in cells)}</tr>" for row in rows.to_dicts())
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    text = f"{value:.2f}" if isinstance(value, float) else _visible(str(value)).replace("\n", "")
    return f'<td style="{_CELL}; white-space: pre; font-family: monospace">{html.escape(text)}</td>'


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
