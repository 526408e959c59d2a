"""Figures about checkpoints in their order."""

from typing import Any

import polars as pl

from assets.figures.spec import FigureSpec
from assets.figures.style import MEMORIZED, NULL, band, legend, ordered


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


FIGURES = (
    FigureSpec(
        "memorization_over_checkpoints",
        "series",
        "Recited in full, by copies in training",
        "One line per checkpoint, pale to strong; band: 95 % interval (Wilson, over groups of near duplicates). Dashed: what "
        "every number of copies would show if copies did not matter.",
        "memorization_over_checkpoints",
        memorization_over_checkpoints,
    ),
)
