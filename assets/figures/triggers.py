"""Figures about which tokens trigger recital, and who looks at them."""

from typing import Any

import polars as pl

from assets.figures.spec import FigureSpec
from assets.figures.style import (
    BAND,
    GROUPS,
    INK,
    LABELS,
    NULL,
    OTHER,
    NothingToShowError,
    band,
    bars,
    legend,
    name_ticks,
    ordered,
)


def em_drop_by_position(frame: pl.DataFrame, ax: Any) -> None:
    """Mean EM drop by changed position with interval and the flat null."""
    for memorized, style in ((True, "-"), (False, "-.")):
        rows = frame.filter(pl.col("is_memorized") == memorized)
        if rows.is_empty():
            continue
        color, count = GROUPS[memorized], rows["cluster_count"].to_list()[0]
        ax.plot(rows["position"], rows["em_drop_mean"], style, color=color, label=f"{LABELS[memorized]} (n = {count})")
        band(ax, rows["position"], rows, color)
        ax.plot(rows["position"], rows["flat_null"], ":", color=color, linewidth=1)
    ax.set(xlabel="changed prefix position", ylabel="EM drop [tokens]")
    legend(ax, 2)


def em_drop_by_rarity(frame: pl.DataFrame, *panels: Any) -> None:
    """Mean EM drop by fifth of rarity, beside placebo and what position alone predicts."""
    for ax, memorized in zip(panels, (True, False), strict=True):
        rows = frame.filter(pl.col("is_memorized") == memorized)
        x = rows["rarity_fifth"] + 1
        bars(ax, x, rows, GROUPS[memorized])
        ax.plot(x, rows["em_drop_mean"], "o", color=GROUPS[memorized], label="measured")
        ax.plot(x, rows["position_matched_em_drop"], "_", markersize=16, color=INK, label="position alone")
        ax.plot(x, rows["placebo_em_drop"], "x", color=NULL, label="shuffled rarity")
        ax.set(title=LABELS[memorized], ylabel="EM drop [tokens]", xticks=range(1, 6))
        if rows.is_empty():
            ax.text(0.5, 0.5, "none", ha="center", transform=ax.transAxes)
    panels[-1].set_xlabel("rarity within the prefix (5 = rarest fifth)")
    legend(panels[-1], 3)


def draw_head_ranking(ax: Any, rows: pl.DataFrame) -> None:
    """Heads sorted by estimate, with intervals and the placebo band; heads without an estimate are left out.

    Args:
        ax: where to draw.
        rows: layer, head, estimate, lower, upper, placebo_lower, placebo_upper; one per head.

    Raises:
        NothingToShowError: no head has an estimate.
    """
    rows = rows.filter(pl.col("estimate").is_not_null()).sort("estimate")
    if rows.is_empty():
        raise NothingToShowError("too few paragraphs for a correlation per head.")
    x = list(range(rows.height))
    if rows["placebo_lower"].null_count() == 0:
        ax.fill_between(x, rows["placebo_lower"], rows["placebo_upper"], color=BAND, label="shuffled rarity")
    bars(ax, x, rows, OTHER)
    ax.plot(x, rows["estimate"], "o", color=OTHER, markersize=4, label="measured")
    ax.axhline(0, color=NULL, linewidth=0.8)
    name_ticks(ax, [f"{layer}.{head}" for layer, head in rows.select("layer", "head").iter_rows()])
    ax.set(ylabel="Spearman(attention, rarity)")


def attention_against_rarity(frame: pl.DataFrame, *panels: Any) -> None:
    """All heads by their correlation with rarity beside the placebo band; the paper's construction below."""
    columns = ("estimate", "lower", "upper", "placebo_lower", "placebo_upper")
    names = {f"spearman_{column}".removesuffix("_estimate"): column for column in columns}
    draw_head_ranking(panels[0], frame.select("layer", "head", *names).rename(names))
    panels[0].set_title("within paragraphs")
    panels[0].legend()
    rows = frame.filter(pl.col("summed_by_rank").is_not_null()).sort("summed_by_rank", descending=True)
    x, ax = list(range(rows.height)), panels[1]
    ax.plot(x, rows["summed_by_rank"], "o", color=OTHER, markersize=4, label="measured")
    ax.plot(x, rows["summed_uniform_null"], "--", color=NULL, label="uniform attention")
    name_ticks(ax, rows["head_ref"].to_list())
    ax.set(
        title="summed by rank, as in the paper", xlabel="layer.head", ylabel="Pearson(sum, rank)", ylim=(-1.05, 1.05)
    )
    ax.legend()


def attention_by_rank(frame: pl.DataFrame, ax: Any) -> None:
    """Mean attention by rarity rank, one line per head, with the uniform null."""
    layers = sorted(frame["layer"].unique())
    colors = dict(zip(layers, ordered(len(layers)), strict=True))
    for (layer, head), rows in frame.group_by("layer", "head", maintain_order=True):
        name = f"layer {layer!s}" if head == 0 and layer in (layers[0], layers[-1]) else None
        ax.plot(rows["prefix_rarity_rank"], rows["attention_mean"], color=colors[layer], linewidth=1, label=name)
    null = frame.group_by("prefix_rarity_rank").agg(pl.col("uniform_null").mean()).sort("prefix_rarity_rank")
    ax.plot(null["prefix_rarity_rank"], null["uniform_null"], "--", color=INK, label="uniform attention")
    ax.set(xlabel="rarity rank within the prefix (0 = rarest)", ylabel="mean attention", yscale="log")
    legend(ax, 3)


FIGURES = (
    FigureSpec(
        "em_drop_by_position",
        "triggers",
        "EM drop by position",
        "Continuation tokens no longer recited when one prefix token is replaced, mean over clusters with 95 % "
        "interval. Dotted: the mean over positions, the null that position does not matter.",
        "figure_em_drop_position",
        em_drop_by_position,
    ),
    FigureSpec(
        "em_drop_by_rarity",
        "triggers",
        "EM drop by rarity",
        "The same by how rare the replaced token is within its prefix, 95 % interval over clusters. Dashes: what "
        "the tokens' positions alone predict. Crosses: rarity shuffled within the paragraph.",
        "figure_em_drop_rarity",
        em_drop_by_rarity,
        panels=2,
        height=2.1,
    ),
    FigureSpec(
        "attention_against_rarity",
        "triggers",
        "Attention against rarity, every head",
        "Above: Spearman correlation within paragraphs, 95 % interval over clusters; grey band: rarity shuffled. "
        "Below: the construction of Stoehr et al. 2024 (negative = looks at rare tokens), and what uniform attention "
        "gives under it.",
        "figure_attention",
        attention_against_rarity,
        panels=2,
        height=2.5,
    ),
    FigureSpec(
        "attention_by_rank",
        "triggers",
        "Attention by rarity rank",
        "Mean attention of each head on the tokens of each rarity rank; one line per head, strong colour = high layer. "
        "Dashed: attention spread evenly.",
        "figure_attention_rank",
        attention_by_rank,
    ),
)
