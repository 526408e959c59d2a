"""One axis of layers for every localization, and the score card against random heads."""

from typing import Any

import polars as pl

from assets.figures.spec import FigureSpec
from assets.figures.style import CATEGORIES, MARKERS, NULL, NothingToShowError, bars, legend

_PANELS = (
    ("gradient_share", "gradient share"),
    ("patching_effect", "patching (nats)"),
    ("recall_drop", "recital tokens lost"),
    ("utility_drop", "utility lost"),
    ("selectivity", "selectivity"),
)
_CHOICES = {
    "gradient": "largest gradients",
    "patching": "patching",
    "short_circuit": "short-circuits",
    "rare_token_attention": "rare-token heads",
    "block": "best block",
}
_OTHER_KINDS = {"mean": ":x", "zero": ":+", "uniform": ":1"}
_EVALUATIONS = ("self", "other", "unrelated")


def localization_axis(frame: pl.DataFrame, *panels: Any) -> None:
    """A panel per measure with interval and null; hollow points: the model collapsed."""
    if not (frame["measure"] == "recall_drop").any():
        raise NothingToShowError("no paragraph is memorized, so there is nothing to localize.")
    for ax, (measure, label), color in zip(panels, _PANELS, CATEGORIES, strict=False):
        rows = frame.filter(measure=measure).drop_nulls("estimate").sort("layer")
        main = rows.filter(pl.col("kind").is_null() | (pl.col("kind") == "identity"))
        ax.plot(main["layer"], main["null_value"], "--", color=NULL, linewidth=1, label="null")
        ax.plot(main["layer"], main["estimate"], "-", color=color, linewidth=1)
        bars(ax, main["layer"], main, color)
        for collapsed, face in ((True, "none"), (False, color)):
            some = main.filter(pl.col("is_collapsed").fill_null(False) == collapsed)
            ax.scatter(some["layer"], some["estimate"], facecolor=face, edgecolor=color, zorder=3)
        for kind, style in _OTHER_KINDS.items():
            others = rows.filter(kind=kind)
            ax.plot(others["layer"], others["estimate"], style, color=color, linewidth=1, markersize=4, label=kind)
        ax.set(ylabel=label, xticks=rows["layer"].unique().sort() if rows.height <= 16 else ax.get_xticks())
    legend(panels[-1], 4)
    panels[-1].set_xlabel("layer")


def draw_score_card(frame: pl.DataFrame, *panels: Any) -> None:
    """Loss of each choice of heads; grey: 95 % of as many heads drawn at random."""
    names = [name for name in _CHOICES if (frame["choice"] == name).any()]
    for ax, evaluation in zip(panels, _EVALUATIONS, strict=True):
        rows = frame.filter(evaluation=evaluation)
        ax.set(title=evaluation, ylabel="lost", xlim=(-0.5, len(names) - 0.5))
        ax.set_xticks(range(len(names)), [])
        for place, name in enumerate(names):
            row = rows.filter(choice=name)
            if row.is_empty():
                continue
            low, high = row["random_drop_lower"][0], row["random_drop_upper"][0]
            if low is not None:
                ax.fill_between(
                    [place - 0.3, place + 0.3], low, high, color=NULL, alpha=0.3, label="random heads, 95 %"
                )
            bars(ax, [place], row, CATEGORIES[place], "drop_lower", "drop_upper")
            ax.plot([place], row["drop_share"], MARKERS[place], color=CATEGORIES[place], label=_CHOICES[name])
    legend(panels[-1], 2)


FIGURES = (
    FigureSpec(
        "localization_axis",
        "localization",
        "All localizations on one axis",
        "The same memorized paragraphs by layer: share of the gradient, effect of patching single heads from the "
        "perturbed run, relative loss of token accuracy on recital and on held-out text with the block's attention "
        "replaced (identity with interval; mean, zero and uniform dotted), and the difference of the two (selectivity; "
        "null: random heads, or noise of the same cost). 95 % intervals; dashed: null; hollow: the model collapsed.",
        "figure_localization_axis",
        localization_axis,
        panels=5,
        height=1.4,
    ),
    FigureSpec(
        "localization_score_card",
        "localization",
        "Do localizations beat random heads?",
        "Loss when the heads a method points at are mean-ablated: on the memorized paragraphs the choice was made on "
        "(self), on other memorized ones, and of utility on unrelated text, with 95 % interval. Grey: 95 % of as many "
        "heads drawn at random.",
        "figure_score_card",
        draw_score_card,
        panels=3,
        height=1.5,
        missing="no paragraph is memorized, so no localization can be made.",
    ),
)
