"""Figures of a series of checkpoints: how recital grows, what is gained and lost, how early shows, what copies do."""

from typing import Any

import polars as pl

from assets.figures.spec import FigureSpec
from assets.figures.style import ALL, MEMORIZED, NULL, OTHER, band, bars, legend, ordered


def memorization_over_checkpoints(frame: pl.DataFrame, ax: Any) -> None:
    """Memorized share by duplication, one line per checkpoint, the last one with its interval."""
    names = frame["checkpoint_id"].unique(maintain_order=True).to_list()
    for name, color in zip(names, [*ordered(len(names) + 1)[:-2], MEMORIZED], strict=True):
        rows = frame.filter(pl.col("checkpoint_id") == name).sort("duplication_count")
        step = rows["training_step"][0]
        label = f"step {step}" if step is not None else name
        is_last = name == names[-1]
        x = list(range(rows.height))
        ax.plot(x, rows["memorized_share"], "o-" if is_last else ".-", color=color, label=label)
        if is_last:
            band(ax, x, rows, color)
            ax.plot(x, rows["null_share"], "--", color=NULL, label="if copies did not matter")
            ax.set_xticks(x, [f"×{n}" for n in rows["duplication_count"]])
    ax.set(xlabel="copies in training", ylabel="share recited in full", ylim=(-0.03, 1.03))
    legend(ax, 2)


def memorization_flow(frame: pl.DataFrame, ax: Any) -> None:
    """Clusters kept and gained above the axis, forgotten ones below."""
    steps, kept = [str(step) for step in frame["training_step"]], frame["kept_count"].to_list()
    ax.bar(steps, kept, color=ALL, label="kept")
    ax.bar(steps, frame["new_count"], bottom=kept, color=MEMORIZED, label="gained")
    ax.bar(steps, -frame["forgotten_count"], color=OTHER, label="forgotten")
    ax.axhline(0, color=NULL, linewidth=0.8)
    ax.set(xlabel="training step", ylabel="clusters recited in full")
    legend(ax, 3)


def early_predicts_late(frame: pl.DataFrame, *panels: Any) -> None:
    """Precision and recall of each checkpoint for the last one, with intervals and what a random choice would reach."""
    for ax, name in zip(panels, ("precision", "recall"), strict=True):
        rows = frame.filter(pl.col(f"{name}_share").is_not_null())
        x = list(range(rows.height))
        bars(ax, x, rows, MEMORIZED, f"{name}_lower", f"{name}_upper")
        ax.plot(x, rows[f"{name}_share"], "o", color=MEMORIZED, label="measured")
        ax.plot(x, rows[f"{name}_null"], "x", color=NULL, label="as many clusters drawn at random")
        ax.set_xticks(x, [str(step) for step in rows["training_step"]])
        ax.set(title=name, ylim=(-0.03, 1.03), xlim=(-0.5, max(x, default=0) + 0.5), xlabel="earlier step")
    panels[0].set_ylabel("share")
    legend(panels[0], 2)


def duplication_effect(frame: pl.DataFrame, ax: Any) -> None:
    """Difference in differences by copies, one line per number of copies, and the controls' placebo."""
    copies = frame["duplication_count"].unique().sort().to_list()
    for count, color in zip(copies, ordered(len(copies)), strict=True):
        rows = frame.filter(pl.col("duplication_count") == count)
        ax.plot(rows["training_step"], rows["effect_tokens"], "o-", color=color, label=f"×{count}")
        band(ax, rows["training_step"], rows, color)
    placebo = frame.unique("training_step", keep="first", maintain_order=True)
    ax.plot(placebo["training_step"], placebo["placebo_tokens"], "x", color=NULL, label="placebo")
    ax.axhline(0, color=NULL, linestyle="--", linewidth=0.8)
    ax.set(xlabel="training step", ylabel="gain over controls [tokens]")
    legend(ax, 4)


ONE_CHECKPOINT = "it needs two checkpoints of one series, whose names differ in the training step at their end."

FIGURES = (
    FigureSpec(
        "memorization_over_checkpoints",
        "series",
        "Recited in full, by copies in training",
        "One line per checkpoint, pale to strong; band: 95 % interval (Wilson, over groups of near duplicates). "
        "Dashed: what every number of copies would show if copies did not matter.",
        "memorization_over_checkpoints",
        memorization_over_checkpoints,
    ),
    FigureSpec(
        "memorization_flow",
        "series",
        "Gained and forgotten at each checkpoint",
        "Near-duplicate clusters recited in full: kept from the checkpoint before, gained (newly or again) "
        "and, below the axis, forgotten. The mart memorization_flow has the same by copies, beside what chance gains.",
        "figure_memorization_flow",
        memorization_flow,
        missing=ONE_CHECKPOINT,
    ),
    FigureSpec(
        "early_predicts_late",
        "series",
        "Early checkpoints predict the last",
        "Precision and recall of 'recited here' for 'recited by the last checkpoint', 95 % Wilson interval over "
        "clusters. Crosses: as many clusters drawn at random.",
        "figure_early_predicts_late",
        early_predicts_late,
        panels=2,
        missing=ONE_CHECKPOINT,
    ),
    FigureSpec(
        "duplication_effect",
        "series",
        "Difference in differences by copies",
        "Gain of exact match since the first checkpoint, minus the same of the least shown clusters (controls); bands: "
        "95 % interval of Welch's t over clusters. Crosses: one half of the controls against the other.",
        "figure_duplication_effect",
        duplication_effect,
        missing=ONE_CHECKPOINT,
        is_further=True,
    ),
)
