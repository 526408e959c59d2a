"""Figures about what is recited."""

from typing import Any

import polars as pl

from assets.figures.spec import FigureSpec
from assets.figures.style import BAND, INK, MEMORIZED, NULL, OTHER, bars, legend, ordered


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
        names = [f"{name}\nn={count}" for name, count in rows.select("em_bin", "cluster_count").iter_rows()]
        ax.set_xticks(x, names)
        ax.set(
            title=part, ylabel="surprisal [bits]" if part == "prefix" else None, xlim=(-0.5, max(x, default=0) + 0.5)
        )
        ax.margins(y=0.15)
        ax.set_xlabel("exact match [tokens]")
    legend(panels[0], 2)


def recital_by_offset(frame: pl.DataFrame, ax: Any) -> None:
    """Share still recited after other text, a line per length of context, and what is recited only there."""
    unrelated = frame.filter(preceding_text="unrelated")
    contexts = unrelated["context_length"].unique().sort().to_list()
    lengths = unrelated["preceding_length"].unique().sort().to_list()
    for color, context in zip(ordered(len(contexts)), contexts, strict=True):
        rows = unrelated.filter(context_length=context)
        x = [lengths.index(n) for n in rows["preceding_length"]]
        bars(ax, x, rows, color)
        ax.plot(x, rows["kept_share"], "o-", color=color, label=f"last {context} tokens of the prefix")
    whole = frame.filter(context_length=contexts[-1])
    true = whole.filter(pl.col("preceding_length").is_in(lengths), preceding_text="true")
    if true.height:
        x = [lengths.index(n) for n in true["preceding_length"]]
        ax.plot(x, true["kept_share"], "s", color=INK, fillstyle="none", label="after the true preceding text")
    gained = whole.filter(preceding_text="unrelated")
    ax.plot(range(gained.height), gained["gained_share"], "x", color=NULL, label="of the others")
    ax.set_xticks(range(len(lengths)), [str(n) for n in lengths])
    ax.set(xlabel="tokens of other text before", ylabel="share recited in full", ylim=(-0.03, 1.03))
    legend(ax, 2)


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
        is_further=True,
    ),
    FigureSpec(
        "recital_by_offset",
        "memorization",
        "Recital after other text",
        "Of clusters recited where the context window begins, the share recited after other text of the corpus, with "
        "95 % Wilson interval, by the tokens of the prefix that are shown. Crosses: of those not recited there.",
        "figure_recital_offset",
        recital_by_offset,
    ),
    FigureSpec(
        "rarity_by_bin",
        "memorization",
        "Rarity by exact match",
        "Mean surprisal of the tokens of each bin, 95 % interval over clusters. Crosses: bins dealt at random.",
        "figure_rarity",
        rarity_by_bin,
        panels=2,
        is_further=True,
    ),
)
