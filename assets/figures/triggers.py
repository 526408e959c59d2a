"""Figures about which tokens trigger recital, and who looks at them."""

from typing import Any

import polars as pl

from assets.figures.spec import FigureSpec
from assets.figures.style import (
    BAND,
    GROUPS,
    INK,
    LABELS,
    MEMORIZED,
    NULL,
    OTHER,
    NothingToShowError,
    band,
    bars,
    legend,
    name_ticks,
)


def em_drop_by_position(frame: pl.DataFrame, ax: Any) -> None:
    """Mean EM drop by changed position with interval and the flat null."""
    for memorized, style in ((True, "-"), (False, "-.")):
        rows = frame.filter(pl.col("is_memorized") == memorized)
        if rows.is_empty():
            continue
        color, count = GROUPS[memorized], rows["cluster_count"].to_list()[0]
        ax.plot(rows["position"], rows["em_drop_mean"], style, color=color, label=f"{LABELS[memorized]} (n = {count})")
        band(ax, rows["position"], rows, color, bounds=(0, None))
        ax.plot(rows["position"], rows["flat_null"], ":", color=color, linewidth=1)
    ax.set(xlabel="changed prefix position", ylabel="EM drop [tokens]")
    legend(ax, 2)


def em_drop_by_rarity(frame: pl.DataFrame, *panels: Any) -> None:
    """Mean EM drop by fifth of rarity, beside placebo and what position alone predicts."""
    for ax, memorized in zip(panels, (True, False), strict=True):
        rows = frame.filter(pl.col("is_memorized") == memorized)
        x = rows["rarity_fifth"] + 1
        bars(ax, x, rows, GROUPS[memorized], bounds=(0, None))
        ax.plot(x, rows["em_drop_mean"], "o", color=GROUPS[memorized], label="measured")
        ax.plot(x, rows["position_matched_em_drop"], "_", markersize=16, color=INK, label="position alone")
        ax.plot(x, rows["placebo_em_drop"], "x", color=NULL, label="shuffled rarity")
        ax.set(
            title=LABELS[memorized],
            ylabel="EM drop [tokens]" if memorized else None,
            xticks=range(1, 6),
            ylim=(0, None),
        )
        if rows.is_empty():
            ax.text(0.5, 0.5, "none", ha="center", transform=ax.transAxes)
        ax.set_xlabel("fifth of rarity (5 = rarest)")
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


def attention_against_rarity(frame: pl.DataFrame, ax: Any) -> None:
    """All heads by their correlation with rarity within paragraphs, beside the placebo band."""
    columns = ("estimate", "lower", "upper", "placebo_lower", "placebo_upper")
    names = {f"spearman_{column}".removesuffix("_estimate"): column for column in columns}
    draw_head_ranking(ax, frame.select("layer", "head", *names).rename(names))
    ax.set_xlabel("head (layer.head)")
    legend(ax, 2)


def attention_summed_by_rank(frame: pl.DataFrame, ax: Any) -> None:
    """The construction of the paper, with what uniform attention gives under it."""
    rows = frame.filter(pl.col("summed_by_rank").is_not_null()).sort("summed_by_rank", descending=True)
    if rows.is_empty():
        raise NothingToShowError("too few paragraphs for a correlation per head.")
    x = list(range(rows.height))
    ax.plot(x, rows["summed_by_rank"], "o", color=OTHER, markersize=4, label="measured")
    ax.plot(x, rows["summed_uniform_null"], "--", color=NULL, label="uniform attention")
    name_ticks(ax, rows["head_ref"].to_list())
    ax.set(xlabel="head (layer.head)", ylabel="Pearson(sum, rank)", ylim=(-1.05, 1.05))
    legend(ax, 2)


def attention_by_rank(frame: pl.DataFrame, ax: Any) -> None:
    """Attention by tenth of rarity, in even shares: the head that leans to rare tokens most, and the others."""
    tenths = by_tenth(frame)
    top = rarest_head(tenths)
    share = pl.col("times_even")
    rest = tenths.filter(pl.col("head_ref") != top).group_by("tenth")
    others = rest.agg(low=share.quantile(0.1), middle=share.median(), high=share.quantile(0.9)).sort("tenth")
    own = tenths.filter(head_ref=top).sort("tenth")
    ax.axhline(1, color=INK, linestyle="--", linewidth=1, label="attention spread evenly")
    if others.height:
        ax.fill_between(
            others["tenth"],
            others["low"],
            others["high"],
            color=BAND,
            alpha=0.6,
            linewidth=0,
            label="eight in ten others",
        )
        ax.plot(others["tenth"], others["middle"], color=NULL, label="median of the others")
    ax.plot(own["tenth"], own["times_even"], "o-", color=MEMORIZED, label=f"head {top}")
    ax.set(
        xlabel="tenth of rarity (1 = rarest tokens)",
        ylabel="attention, times the even share",
        ylim=(0, None),
        xticks=range(1, 11),
    )
    legend(ax, 2)


def by_tenth(frame: pl.DataFrame) -> pl.DataFrame:
    """Mean attention over the even share, per head and tenth of rarity rank: head_ref, tenth, times_even."""
    width = (pl.col("prefix_rarity_rank").max() + 1) / 10
    return frame.group_by(
        pl.format("{}.{}", "layer", "head").alias("head_ref"),
        tenth=(pl.col("prefix_rarity_rank") / width).floor().cast(pl.Int32) + 1,
    ).agg(times_even=pl.col("attention_mean").mean() / pl.col("uniform_null").mean())


def rarest_head(tenths: pl.DataFrame) -> str:
    """The head with most attention on the rarest fifth of tokens."""
    rare = tenths.filter(pl.col("tenth") <= 2).group_by("head_ref").agg(pl.col("times_even").mean())
    return str(rare.sort("times_even", "head_ref", descending=[True, False])["head_ref"][0])


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
    ),
    FigureSpec(
        "attention_against_rarity",
        "triggers",
        "Attention against rarity, every head",
        "Spearman correlation of attention and rarity within paragraphs, 95 % interval over clusters (above 0: looks "
        "at rare tokens). Grey band: rarity shuffled within each paragraph.",
        "figure_attention",
        attention_against_rarity,
    ),
    FigureSpec(
        "attention_by_rank",
        "triggers",
        "Attention by rarity rank",
        "Mean attention on the rarest tenth of a prefix's tokens, the next, and so on, divided by what each would get "
        "if attention were spread evenly (dashed). Orange: the head with most on the rarest fifth; grey: the others.",
        "figure_attention_rank",
        attention_by_rank,
    ),
    FigureSpec(
        "attention_summed_by_rank",
        "triggers",
        "Attention summed by rarity rank, as in the paper",
        "The construction of Stoehr et al. 2024 (negative = looks at rare tokens), and what uniform attention gives "
        "under it (dashed): the number alone is no evidence.",
        "figure_attention",
        attention_summed_by_rank,
        is_further=True,
    ),
)
