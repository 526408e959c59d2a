"""One axis of layers for every localization, and the score card against random heads."""

from typing import Any

import polars as pl

from assets.figures.spec import FigureSpec
from assets.figures.style import CATEGORIES, INK, MARKERS, MEMORIZED, NULL, OTHER, NothingToShowError, bars, legend

MEASURES = (
    ("gradient_share", "gradient share", MEMORIZED),
    ("patching_effect", "patching [nats]", MEMORIZED),
    ("recall_drop", "recital lost", MEMORIZED),
    ("selectivity", "selectivity", MEMORIZED),
    ("utility_drop", "other text lost", OTHER),
)
"""Rows of the map from top to bottom: name in the table, label, colour."""

MOST_NUMBERS = 8
"""Layers up to which every field of the map carries its number."""
_CHOICES = {
    "gradient": "largest gradients",
    "patching": "patching",
    "short_circuit": "short-circuits",
    "rare_token_attention": "rare-token heads",
    "block": "best block",
}
_EVALUATIONS = {"self": "same text", "other": "other recited", "unrelated": "unrelated"}


def localization_axis(frame: pl.DataFrame, ax: Any) -> None:
    """A map of measures by layer, each row shaded by its largest value; a dot: beyond the null."""
    if not (frame["measure"] == "recall_drop").any():
        raise NothingToShowError("no paragraph is memorized, so there is nothing to localize.")
    main = frame.filter(pl.col("kind").is_null() | (pl.col("kind") == "identity")).drop_nulls("estimate")
    layers = main["layer"].unique().sort().to_list()
    for place, (measure, _, color) in enumerate(MEASURES):
        _draw_row(ax, main.filter(measure=measure), layers, len(MEASURES) - 1 - place, color)
    ax.set(xlim=(-0.5, len(layers) - 0.5), ylim=(-0.5, len(MEASURES) - 0.5), xlabel="layer")
    ax.set_yticks(range(len(MEASURES)), [label for _, label, _ in reversed(MEASURES)])
    every = -(-len(layers) // 16)
    ax.set_xticks(range(0, len(layers), every), [str(layer) for layer in layers[::every]])
    ax.tick_params(length=0)
    ax.spines[["left", "bottom"]].set_visible(False)


def _draw_row(ax: Any, rows: pl.DataFrame, layers: list[int], height: int, color: str) -> None:
    from matplotlib.patches import Rectangle

    most = max((abs(value) for value in rows["estimate"]), default=0.0) or 1.0
    for row in rows.iter_rows(named=True):
        x, value = layers.index(row["layer"]), row["estimate"]
        shade = max(0.0, value / most)
        ax.add_patch(Rectangle((x - 0.48, height - 0.44), 0.96, 0.88, facecolor=color, alpha=0.75 * shade, linewidth=0))
        beyond = row["lower"] is not None and row["lower"] > (row["null_value"] or 0.0)
        if len(layers) <= MOST_NUMBERS:
            ax.text(
                x,
                height,
                f"{value + 0.0:.2f}{' •' if beyond else ''}".replace("-0.00", "0.00").replace("-", "\u2212"),
                ha="center",
                va="center",
            )
        elif beyond:
            ax.plot([x], [height], "o", color=INK, markersize=3)


def draw_score_card(frame: pl.DataFrame, *panels: Any) -> None:
    """Loss of each choice of heads; grey: 95 % of as many heads drawn at random."""
    names = [name for name in _CHOICES if (frame["choice"] == name).any()]
    for ax, evaluation in zip(panels, _EVALUATIONS, strict=True):
        rows = frame.filter(evaluation=evaluation)
        ax.set(title=_EVALUATIONS[evaluation], ylim=(-0.15, 1.03), xlim=(-0.5, len(names) - 0.5))
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
            bars(ax, [place], row, CATEGORIES[place], "drop_lower", "drop_upper", (-1, 1))
            ax.plot([place], row["drop_share"], MARKERS[place], color=CATEGORIES[place], label=_CHOICES[name])
    panels[0].set_ylabel("share lost")
    legend(panels[-1], 2)


FIGURES = (
    FigureSpec(
        "localization_axis",
        "localization",
        "All localizations on one axis",
        "The same memorized paragraphs by layer: share of the gradient, effect of patching single heads from the "
        "perturbed run, share of right tokens that recital and other text lose without the block's attention "
        "(identity), and the difference of the two. Each row is shaded by its largest value; a dot: the 95 % interval "
        "lies above the null.",
        "figure_localization_axis",
        localization_axis,
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
        missing="no paragraph is memorized, so no localization can be made.",
    ),
)
