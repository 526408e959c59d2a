"""Figures about unlearning and editing."""

from typing import Any

import polars as pl

from assets.figures.spec import FigureSpec
from assets.figures.style import CATEGORIES, GROUPS, MARKERS, NULL, NothingToShowError, bars, legend

_SETS = {"targets": "targets", "other_memorized": "other memorized", "controls": "not memorized"}
_MISSING = "no paragraph was unlearned or edited on this checkpoint (table edit_plans says why)."


def edit_distribution(frame: pl.DataFrame, *panels: Any) -> None:
    """Exact match of every paragraph after unlearning, by selection; bars: mean and interval."""
    for ax, (name, title) in zip(panels, _SETS.items(), strict=True):
        rows = frame.filter(pl.col("evaluation_set") == name)
        draw_selections(ax, rows)
        ax.set(title=title, ylim=(-1.5, 51.5) if rows["exact_match"].max() == 50 else (-0.5, None))
        ax.tick_params("x", rotation=90)
    panels[0].set_ylabel("exact match [tokens]")


def draw_selections(ax: Any, rows: pl.DataFrame) -> None:
    """Points by selection, spread sideways by rank so that equal values stay visible, and the mean as a line."""
    names = rows["selection"].unique(maintain_order=True).to_list()
    for place, name in enumerate(names):
        values = rows.filter(pl.col("selection") == name)["exact_match"].sort()
        spread = [place + 0.5 * ((i + 0.5) / len(values) - 0.5) for i in range(len(values))]
        ax.plot(spread, values, "o", color=CATEGORIES[place % len(CATEGORIES)], alpha=0.6, markersize=4)
        mean = float(values.cast(pl.Float64).to_numpy().mean())
        ax.hlines(mean, place - 0.3, place + 0.3, color=NULL, linewidth=2)
    ax.set_xticks(range(len(names)), names)


def edit_front(frame: pl.DataFrame, *panels: Any) -> None:
    """Exact match of controls against that of targets, step by step, one line per selection."""
    for ax, objective in zip(panels, ("unlearn", "edit"), strict=True):
        of_objective = frame.filter(pl.col("objective") == objective)
        for place, name in enumerate(of_objective["selection"].unique(maintain_order=True)):
            rows = of_objective.filter(pl.col("selection") == name).sort("step")
            style = {"color": CATEGORIES[place % len(CATEGORIES)], "marker": MARKERS[place % len(MARKERS)]}
            ax.plot(rows["target_exact_match"], rows["control_exact_match"], label=name, **style)
        ax.set(title=objective, xlabel="targets [tokens]")
    panels[0].set_ylabel("controls [tokens]")
    legend(panels[0], 3)


def noise_strength(frame: pl.DataFrame, *panels: Any) -> None:
    """Exact match while noise lies on one head after the other; the null is as many weights from anywhere."""
    for ax, group in zip(panels, ("MP", "NMP"), strict=True):
        rows = frame.filter(pl.col("paragraph_group") == group).sort("strength")
        if rows.is_empty():
            raise NothingToShowError("noise was not tried on memorized and other paragraphs.")
        for (_,), line in rows.filter(pl.col("region") != "random").group_by("name", maintain_order=True):
            ax.plot(line["strength"], line["exact_match_mean"], color=GROUPS[group], linewidth=0.8, alpha=0.6)
        null = rows.filter(pl.col("region") == "random")
        ax.plot(null["strength"], null["exact_match_mean"], "s--", color=NULL, label="as many random weights")
        bars(ax, null["strength"], null, NULL, bounds=(0, None))
        ax.set(
            title={"MP": "memorized", "NMP": "not memorized"}[group], xlabel="noise [SD of the weight]", ylim=(0, None)
        )
    panels[0].set_ylabel("exact match [tokens]")
    legend(panels[0])


FIGURES: tuple[FigureSpec, ...] = (
    FigureSpec(
        "edit_distribution",
        "edits",
        "Exact match after unlearning, by selection of weights",
        "One point per run and paragraph after the last step, line: mean. As many random weights and all weights "
        "are the baselines; the unedited model stands at the length of the continuation in every panel.",
        "figure_edit_distribution",
        edit_distribution,
        panels=3,
        missing=_MISSING,
    ),
    FigureSpec(
        "edit_front",
        "edits",
        "Forgetting against retention, step by step",
        "Mean exact match of the targets and of controls the objective does not see; every line starts top right "
        "at the unedited model. Up and left is what sparse editing promises; the random line is the null.",
        "figure_edit_front",
        edit_front,
        panels=2,
        missing=_MISSING,
    ),
    FigureSpec(
        "noise_strength",
        "edits",
        "Recital under noise on single heads",
        "Mean exact match while Gaussian noise of growing strength lies on the weights of one head (thin lines, one "
        "per head); dashed with 95 % intervals: the same noise on as many random weights.",
        "figure_noise_strength",
        noise_strength,
        panels=2,
        is_further=True,
        missing=_MISSING,
    ),
)
