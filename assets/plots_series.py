"""Figures of a series of checkpoints: what is gained and lost at each, how early shows, what copies do over time."""

from typing import Any

import polars as pl

from assets.plots import COLORS, new_figure


def memorization_flow(frame: pl.DataFrame) -> Any:
    """Clusters gained, kept and forgotten at each checkpoint, beside what would be gained if copies did not matter."""
    figure, ax = new_figure()
    if frame.is_empty():
        return _nothing(figure, ax)
    steps = [str(step) for step in frame["training_step"]]
    kept = frame["kept_count"].to_list()
    ax.bar(steps, kept, color=COLORS["all"], label="kept")
    ax.bar(steps, frame["new_count"], bottom=kept, color=COLORS["MP"], label="gained")
    ax.bar(steps, -frame["forgotten_count"], color=COLORS["NMP"], label="forgotten")
    ax.axhline(0, color="#333333", linewidth=0.8)
    ax.set(xlabel="training step", ylabel="clusters recited in full")
    ax.legend(frameon=False, fontsize=8)
    return figure


def early_predicts_late(frame: pl.DataFrame) -> Any:
    """Precision and recall of each checkpoint for the last one, with intervals and what a random choice would reach."""
    figure, axes = new_figure(7.4, 3.2, columns=2)
    for ax, name in zip(axes, ("precision", "recall"), strict=True):
        rows = frame.filter(pl.col(f"{name}_share").is_not_null())
        steps = [str(step) for step in rows["training_step"]]
        ax.vlines(steps, rows[f"{name}_lower"], rows[f"{name}_upper"], color=COLORS["MP"], linewidth=1)
        ax.plot(steps, rows[f"{name}_share"], "o", color=COLORS["MP"], label="measured")
        ax.plot(steps, rows[f"{name}_null"], "x", color="#888888", label="random choice of the same size")
        ax.set(xlabel="training step", ylabel=f"{name} for the last checkpoint", ylim=(-0.03, 1.03))
    axes[1].legend(frameon=False, fontsize=8)
    return figure


def duplication_effect(frame: pl.DataFrame) -> Any:
    """Difference in differences of exact match by copies, one line per number of copies, with its interval."""
    figure, ax = new_figure()
    if frame.is_empty():
        return _nothing(figure, ax)
    from matplotlib import colormaps

    copies = frame["duplication_count"].unique().sort().to_list()
    for index, count in enumerate(copies):
        rows = frame.filter(pl.col("duplication_count") == count)
        color = colormaps["viridis"](0.85 * (1 - index / max(1, len(copies) - 1)))
        ax.plot(rows["training_step"], rows["effect_tokens"], "o-", color=color, markersize=3, label=f"×{count}")
        bounds = rows.select("training_step", "lower", "upper").drop_nulls()
        ax.fill_between(bounds["training_step"], bounds["lower"], bounds["upper"], color=color, alpha=0.15)
    placebo = frame.unique("training_step", maintain_order=True)
    ax.plot(placebo["training_step"], placebo["placebo_tokens"], "x", color="#888888", label="placebo: controls")
    ax.axhline(0, color="#888888", linestyle="--", linewidth=0.8)
    ax.set(xlabel="training step", ylabel="gain of exact match over controls [tokens]")
    ax.legend(frameon=False, fontsize=7)
    return figure


def _nothing(figure: Any, ax: Any) -> Any:
    ax.text(0.5, 0.5, "needs two checkpoints of one series", ha="center", transform=ax.transAxes)
    return figure
