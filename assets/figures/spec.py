"""Figure declarations: declared once, drawn from one query, placed in one section of the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

import sql
from assets.figures.style import HEIGHT_INCHES
from warehouse.catalog.queries import query
from warehouse.home import Home

Section = Literal["memorization", "triggers", "localization", "edits", "series"]

SECTIONS: dict[Section, str] = {
    "memorization": "What is recited",
    "triggers": "Which tokens trigger it",
    "localization": "Where it lives",
    "edits": "What unlearning and editing do",
    "series": "How it develops over checkpoints",
}
"""Sections of the report in their order, and their headings."""


@dataclass(frozen=True)
class FigureSpec:
    """A figure of the report.

    Attributes:
        name: file name without suffix, unique.
        section: where it stands.
        title: heading.
        caption: what is drawn, the interval and the null, for a reader who sees only this figure.
        query: name of its SELECT in sql/adhoc; `$checkpoint_id` is bound.
        draw: draws the query's rows on the panels; raises NothingToShowError with a sentence.
        panels: panels beside each other.
        height: inches of the figure; of one panel where they stand below each other.
        is_beside: whether panels stand beside each other.
        missing: sentence in place of the figure when the query has no rows.
        is_further: folded away in the report, for whoever asks for more.
    """

    name: str
    section: Section
    title: str
    caption: str
    query: str
    draw: Callable[..., None]
    panels: int = 1
    height: float = HEIGHT_INCHES
    is_beside: bool = True
    missing: str = "nothing has been measured for it yet."
    is_further: bool = False

    def frame(self, home: Home, checkpoint_id: str) -> pl.DataFrame:
        """Rows of the figure's query."""
        text = sql.load_one("adhoc", self.query).text
        return query(home, text, {"checkpoint_id": checkpoint_id} if "$checkpoint_id" in text else None)


def drawn(spec: FigureSpec, frame: pl.DataFrame) -> Any:
    """The matplotlib figure.

    Raises:
        NothingToShowError: there are no rows, or not those the figure needs.
    """
    from assets.figures.style import NothingToShowError, panel_row

    if frame.is_empty():
        raise NothingToShowError(spec.missing)
    figure, panels = panel_row(spec.panels, spec.height, spec.is_beside)
    spec.draw(frame, *panels)
    return figure
