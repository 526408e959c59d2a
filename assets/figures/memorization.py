"""Figures about what is recited."""

from typing import Any

import polars as pl

from assets.figures.spec import FigureSpec
from assets.figures.style import BAND, INK, MEMORIZED, NULL, OTHER, bars, legend


def em_distribution(frame: pl.DataFrame, ax: Any) -> None:
    """Clusters by exact match, logarithmic; those never trained on beside them."""
    ax.bar(frame["exact_match"], frame["cluster_count"], width=0.9, color=OTHER, label="all")
    if frame["untrained_cluster_count"].sum():
        x, height = frame["exact_match"], frame["untrained_cluster_count"]
        ax.bar(x, height, width=0.9, color=BAND, edgecolor=INK, linewidth=0.5, label="never trained on")
        legend(ax, 2)
    ax.set(xlabel="exact match [tokens]", ylabel="clusters of paragraphs", yscale="log", ylim=(0.7, None))


def memorization_by_duplication(frame: pl.DataFrame, ax: Any) -> None:
    """Share recited in full by copies in training, with interval, and the share over all rungs."""
    rows = frame.sort("duplication_count")
    x = list(range(rows.height))
    bars(ax, x, rows, MEMORIZED)
    ax.plot(x, rows["memorized_share"], "o", color=MEMORIZED, label="measured")
    ax.plot(x, rows["null_share"], "--", color=NULL, label="if copies did not matter")
    ax.set_xticks(x, [f"×{n}" for n in rows["duplication_count"]])
    ax.set(xlabel="copies in training", ylabel="share recited in full", ylim=(-0.03, 1.03))
    legend(ax, 2)


def rarity_by_bin(frame: pl.DataFrame, *panels: Any) -> None:
    """Mean surprisal by exact-match bin, prefix and continuation, with bins dealt at random."""
    for ax, part in zip(panels, ("prefix", "continuation"), strict=True):
        rows = frame.filter(pl.col("part") == part)
        x = list(range(rows.height))
        bars(ax, x, rows, OTHER)
        ax.plot(x, rows["surprisal_bits_mean"], "o", color=OTHER, label="measured")
        ax.plot(x, rows["placebo_bits"], "x", color=NULL, label="bins dealt at random")
        names = [f"{name}\n(n = {count})" for name, count in rows.select("em_bin", "cluster_count").iter_rows()]
        ax.set_xticks(x, names)
        ax.set(title=part, ylabel="surprisal [bits]", xlim=(-0.5, max(x, default=0) + 0.5))
        ax.margins(y=0.15)
    panels[-1].set_xlabel("exact match [tokens]")
    legend(panels[0], 2)


FIGURES = (
    FigureSpec(
        "em_distribution",
        "memorization",
        "Exact match",
        "Near-duplicate clusters by the greedily recited tokens of their continuation, on a logarithmic scale; the "
        "last bar is recited in full. Grey: clusters never trained on, what guessing gives.",
        "figure_em_distribution",
        em_distribution,
    ),
    FigureSpec(
        "memorization_by_duplication",
        "memorization",
        "Memorization by duplication",
        "Share of clusters recited in full by copies in training, 95 % Wilson interval. Dashed: what every rung would "
        "show if copies did not matter.",
        "finding_duplication",
        memorization_by_duplication,
    ),
    FigureSpec(
        "rarity_by_bin",
        "memorization",
        "Rarity by exact match",
        "Mean surprisal of the tokens of each bin, 95 % interval over clusters. Crosses: bins dealt at random.",
        "figure_rarity",
        rarity_by_bin,
        panels=2,
        height=2.2,
    ),
)
