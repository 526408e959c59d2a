"""Style of all figures: one width, one type size legible on a phone, one palette for light and dark."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import polars as pl

WIDTH_INCHES, HEIGHT_INCHES = 5.2, 3.3
"""Every figure is this wide, and this high unless it says so: 10 pt type is then about 10 px on a phone of 390 px."""

INK, SOFT, PAPER, NULL = "#1c1c1d", "#6a6a6b", "#fdfdfc", "#8a8a8b"
BAND = "#c9c9ca"
MEMORIZED, OTHER, ALL = "#c1440e", "#2f6ca3", "#55565a"
THIRD, FOURTH, FIFTH = "#0a8f6b", "#b3589a", "#a87a00"
CATEGORIES = (OTHER, MEMORIZED, THIRD, FOURTH, FIFTH, ALL)
"""For unordered series; after Okabe and Ito 2008, apart for colour-blind readers. Give each another marker as well."""

MARKERS = ("o", "s", "^", "D", "v", "P")
GROUPS = {"MP": MEMORIZED, "NMP": OTHER, "all": ALL, True: MEMORIZED, False: OTHER}
LABELS = {True: "memorized", False: "not memorized", "MP": "memorized", "NMP": "not memorized"}
STAND_INS = "furthest recited"

_ORDERED = ("#c6d3e2", "#a5bbd4", "#82a3c6", "#5f8ab6", "#40719f", "#275781", "#123e62", "#052744")
"""One hue from light to dark (dark theme: from dark to light), for series with an order: checkpoints, layers."""

_ORDERED_DARK = ("#33475c", "#3f5a76", "#4b6d8f", "#5a83ab", "#6d9ac6", "#88b3dc", "#abcdee", "#d6e9fb")
_DARK = {
    INK: "#e8e6e1", SOFT: "#a3a19b", PAPER: "#17181a", NULL: "#8f8f8c", BAND: "#4a4b4f",
    MEMORIZED: "#ff8c50", OTHER: "#7fb8ea", ALL: "#b9bbc0", THIRD: "#3ecfa4", FOURTH: "#e694ca", FIFTH: "#e0b13c",
    **dict(zip(_ORDERED, _ORDERED_DARK, strict=True)),
}  # fmt: skip

_RC: dict[str, Any] = {
    "font.size": 10, "axes.titlesize": 10, "axes.labelsize": 10, "xtick.labelsize": 9.5, "ytick.labelsize": 9.5,
    "legend.fontsize": 9.5, "legend.frameon": False, "legend.handlelength": 1.6, "lines.markersize": 5,
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": SOFT, "xtick.color": SOFT,
    "ytick.color": SOFT, "axes.labelcolor": INK, "xtick.labelcolor": INK, "ytick.labelcolor": INK, "text.color": INK,
    "axes.titlecolor": INK, "axes.titlelocation": "left", "figure.facecolor": PAPER, "savefig.facecolor": PAPER,
    "axes.facecolor": "none", "svg.fonttype": "none", "figure.dpi": 72,
}  # fmt: skip


class NothingToShowError(Exception):
    """Raised by a draw function; its text says in one sentence what is missing."""


def ordered(count: int) -> list[str]:
    """Colours of an ordered series, palest first; the last is always the strongest."""
    last = len(_ORDERED) - 1
    return [_ORDERED[last if count == 1 else round(last * index / (count - 1))] for index in range(count)]


@contextmanager
def themed(salt: str) -> Iterator[None]:
    """Our matplotlib settings; `salt` makes the ids inside an SVG the same in every run."""
    from matplotlib import rc_context

    settings: Any = {**_RC, "svg.hashsalt": salt}
    with rc_context(settings):
        yield


def panel_row(panels: int, height: float, is_beside: bool = True) -> tuple[Any, list[Any]]:
    """A figure of the one width; `height` [inches]: of the figure, or of each of the panels below each other."""
    from matplotlib.figure import Figure

    rows, columns = (1, panels) if is_beside else (panels, 1)
    figure = Figure(figsize=(WIDTH_INCHES, height * rows), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def css_variables(theme: str) -> str:
    """The palette as CSS declarations, `theme` light or dark."""
    values = {light: light for light in _DARK} if theme == "light" else _DARK
    return " ".join(f"--fig-{light[1:]}: {value};" for light, value in values.items())


def with_variables(svg: str) -> str:
    """SVG text whose palette colours are CSS variables, so that it follows the page's theme."""
    return re.sub("|".join(_DARK), lambda match: f"var(--fig-{match[0][1:]})", svg)


Bounds = tuple[float | None, float | None]
"""What a quantity can be at least and at most; intervals of a normal or t distribution know nothing of it."""


def _ends(rows: pl.DataFrame, lower: str, upper: str, bounds: Bounds) -> tuple[pl.Series, pl.Series]:
    """Both ends of the intervals, cut at the bounds."""
    return rows[lower].cast(pl.Float64).clip(*bounds), rows[upper].cast(pl.Float64).clip(*bounds)


def band(
    ax: Any,
    x: Any,
    rows: pl.DataFrame,
    color: str,
    lower: str = "lower",
    upper: str = "upper",
    bounds: Bounds = (None, None),
) -> None:
    """Shade the interval where there is one, cut at the bounds; positions without stay open."""
    low, high = (end.fill_null(float("nan")) for end in _ends(rows, lower, upper, bounds))
    ax.fill_between(list(x), low, high, color=color, alpha=0.18, linewidth=0)


def bars(
    ax: Any,
    x: Any,
    rows: pl.DataFrame,
    color: str,
    lower: str = "lower",
    upper: str = "upper",
    bounds: Bounds = (None, None),
) -> None:
    """Intervals as vertical lines, cut at the bounds; rows without an interval get none."""
    low, high = _ends(rows, lower, upper, bounds)
    kept = pl.DataFrame({"x": list(x), "low": low, "high": high}).drop_nulls()
    ax.vlines(kept["x"], kept["low"], kept["high"], color=color, linewidth=1.6)


def legend(ax: Any, columns: int = 1) -> None:
    """A legend below the whole figure, where it never hides data; entries of equal name once."""
    handles, names = ax.get_legend_handles_labels()
    once = dict(zip(names, handles, strict=True))
    ax.figure.legend(once.values(), once.keys(), loc="outside lower center", ncols=columns)


def name_ticks(ax: Any, names: Sequence[str], most: int = 24) -> None:
    """Tick labels of many items: upright where they fit, every n-th where they would overlap."""
    step = max(1, -(-len(names) // most))
    shown = list(range(0, len(names), step))
    ax.set_xticks(shown, [names[i] for i in shown], rotation=90 if len(names) > 9 else 0)


@contextmanager
def recited_named(name: str) -> Iterator[None]:
    """While figures are drawn the group of what is recited has this name."""
    before = dict(LABELS)
    LABELS.update({True: name, "MP": name})
    try:
        yield
    finally:
        LABELS.update(before)
