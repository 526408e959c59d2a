"""Figures about where recital lives in the network."""

from typing import Any

import polars as pl

from assets.figures.spec import FigureSpec
from assets.figures.style import ALL, GROUPS, LABELS, NULL, NothingToShowError, bars, legend

COMPONENTS = ("W_Q", "W_K", "W_V", "W_O", "W_in", "W_out")


def gradient_by_layer(frame: pl.DataFrame, ax: Any) -> None:
    """Share of the gradient by layer, memorized and not, with labels dealt at random and the even share."""
    shares = pl.col("share_mean", "placebo_share", "even_share").sum()
    by_layer = frame.group_by("paragraph_group", "layer").agg(shares).sort("layer")
    for group, marker in (("MP", "o"), ("NMP", "s")):
        rows = by_layer.filter(pl.col("paragraph_group") == group)
        ax.plot(rows["layer"], rows["share_mean"], f"{marker}-", color=GROUPS[group], label=LABELS[group])
        ax.plot(rows["layer"], rows["placebo_share"], ":", color=GROUPS[group], label="labels dealt at random")
    ax.plot(rows["layer"], rows["even_share"], "--", color=NULL, label="even over layers")
    ax.set(xlabel="layer", ylabel="share of max |gradient|", ylim=(0, None), xticks=by_layer["layer"].unique())
    legend(ax, 2)


def gradient_by_component(frame: pl.DataFrame, *panels: Any) -> None:
    """Share per layer and component of memorized and other paragraphs, and their difference."""
    wide = frame.pivot(on="paragraph_group", index=["layer", "component"], values="share_mean").sort("layer")
    if not {"MP", "NMP"} <= set(wide.columns):
        raise NothingToShowError("it needs memorized and other paragraphs, and this checkpoint has only one kind.")
    wide = wide.with_columns(difference=pl.col("MP") - pl.col("NMP"))
    for ax, column, title in zip(panels, ("MP", "NMP", "difference"), (*_NAMES, "difference"), strict=True):
        _heat_map(ax, wide.pivot(on="component", index="layer", values=column), title, column == "difference")
    panels[-1].set_xticklabels(COMPONENTS)


_NAMES = ("highest bin of exact match: memorized", "lowest bin: not memorized")


def _heat_map(ax: Any, table: pl.DataFrame, title: str, is_signed: bool) -> None:
    values = table.select(COMPONENTS).to_numpy()
    limit = max(1e-9, float(abs(values).max()))
    image = ax.pcolormesh(values, cmap="PuOr_r" if is_signed else "Blues", vmin=-limit if is_signed else 0, vmax=limit)
    ax.set_xticks([i + 0.5 for i in range(len(COMPONENTS))], [])
    every = range(0, table.height, -(-table.height // 6))
    ax.set_yticks([i + 0.5 for i in every], [str(table["layer"][i]) for i in every])
    ax.set(title=title, ylabel="layer")
    ax.figure.colorbar(image, ax=ax, label="share", aspect=10)


def short_circuit(frame: pl.DataFrame, ax: Any) -> None:
    """Relative drops and selectivity by short-circuited block."""
    draw_short_circuit(ax, frame)


def draw_short_circuit(ax: Any, rows: pl.DataFrame) -> None:
    """Drops by layer, and selectivity with its interval; hollow points: the model collapsed.

    Args:
        ax: where to draw.
        rows: rows of table interventions of one checkpoint.

    Raises:
        NothingToShowError: nothing is memorized, so nothing can be forgotten.
    """
    group = pl.col("paragraph_group") == "MP"
    blocks = rows.filter((pl.col("kind") == "identity") & pl.col("head").is_null() & group)
    blocks = blocks.filter(pl.col("layer") == pl.col("last_layer")).sort("layer")
    if blocks.is_empty():
        raise NothingToShowError("no paragraph is memorized, so there is nothing to forget.")
    ax.plot(blocks["layer"], blocks["recital_loss_share"], "o-", color=GROUPS["MP"], label="recital lost")
    ax.plot(blocks["layer"], blocks["null_value"], "--", color=NULL, label="null of selectivity")
    ax.plot(blocks["layer"], blocks["utility_drop_share"], "s-", color=GROUPS["NMP"], label="utility lost")
    bars(ax, blocks["layer"], blocks, NULL, bounds=(-1, 1))
    for collapsed, face, note in ((True, "none", " (collapsed)"), (False, ALL, "")):
        some = blocks.filter(pl.col("is_collapsed") == collapsed)
        if some.height:
            ax.scatter(
                some["layer"],
                some["selectivity"],
                marker="D",
                facecolors=face,
                edgecolors=ALL,
                label=f"selectivity{note}",
            )
    ax.axhline(0, color=NULL, linewidth=0.8)
    ax.set(xlabel="layer whose attention is the identity", ylabel="share", xticks=blocks["layer"])
    legend(ax, 2)


FIGURES = (
    FigureSpec(
        "gradient_by_layer",
        "localization",
        "Gradient by layer",
        "Where the largest gradient entries of the continuation loss lie, as a share of each paragraph's sum. Dotted: "
        "labels dealt at random; dashed: even over layers.",
        "figure_gradient",
        gradient_by_layer,
        is_further=True,
    ),
    FigureSpec(
        "short_circuit",
        "localization",
        "Attention short-circuited, block by block",
        "Share of right tokens that recital and held-out text lose when a block's attention is the identity. Diamonds: "
        "selectivity, the difference, with 95 % interval; dashed: what random heads or noise of the same cost reach.",
        "figure_short_circuit",
        short_circuit,
    ),
    FigureSpec(
        "gradient_by_component",
        "localization",
        "Gradient by layer and component",
        "Share of the largest gradient entries per layer and component, by bin of exact match: the highest (50 of 50 "
        "tokens), the lowest (at most 10 of 50), and the difference (orange: more in memorized).",
        "figure_gradient",
        gradient_by_component,
        panels=3,
        height=1.7,
        is_beside=False,
        is_further=True,
    ),
)
