"""Plots: one small function each, drawn the same way for the Dagster UI (PNG in markdown) and the report."""

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from assets.figures.edits import draw_selections
from assets.figures.localization import draw_short_circuit
from assets.figures.style import GROUPS, NothingToShowError
from assets.figures.triggers import draw_head_ranking
from assets.framework.stage import Scope


def small_figure(width: float = 6.4, height: float = 3.4, columns: int = 1) -> tuple[Any, Any]:
    """A figure without a window, with quiet axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, columns)
    for ax in figure.axes:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def png(figure: Any, dpi: int = 90) -> bytes:
    """The figure as PNG; no date inside, so that equal data gives equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def as_markdown(figure: Any) -> str:
    """The figure as an image the Dagster UI shows."""
    return f"![plot](data:image/png;base64,{base64.b64encode(png(figure, 70)).decode()})"


def _plot(draw: Callable[[Any, Scope, pl.DataFrame], None]) -> Callable[[Scope, pl.DataFrame], str]:
    def _drawn(scope: Scope, frame: pl.DataFrame) -> str:
        figure, ax = small_figure()
        try:
            draw(ax, scope, frame)
        except NothingToShowError as nothing:
            ax.text(0.5, 0.5, str(nothing), ha="center", transform=ax.transAxes)
        return as_markdown(figure)

    _drawn.__name__, _drawn.__doc__ = draw.__name__, draw.__doc__
    return _drawn


@_plot
def tokens_by_subset(ax: Any, _: Scope, documents: pl.DataFrame) -> None:
    """Largest subsets by tokens."""
    top = documents.group_by("subset").agg(pl.col("token_count").sum()).sort("token_count", descending=True).head(15)
    ax.barh(top["subset"].to_list()[::-1], (top["token_count"] / 1e6).to_list()[::-1], color=GROUPS["NMP"])
    ax.set_xlabel("million tokens")


@_plot
def rank_frequency(ax: Any, _: Scope, unigrams: pl.DataFrame) -> None:
    """Count against rank, both logarithmic."""
    counts = unigrams.filter(pl.col("token_count") > 0)["token_count"].sort(descending=True)
    ax.loglog(range(1, len(counts) + 1), counts, color=GROUPS["all"])
    ax.set(xlabel="rank (1 = most common)", ylabel="occurrences")


@_plot
def paragraphs_by_duplication(ax: Any, _: Scope, paragraphs: pl.DataFrame) -> None:
    """Paragraphs per number of copies."""
    known = paragraphs.drop_nulls("duplication_count")
    groups = known.group_by("duplication_count").len().sort("duplication_count").head(40)
    bars = ax.bar([f"×{n}" for n in groups["duplication_count"]], groups["len"], color=GROUPS["all"])
    ax.bar_label(bars)
    ax.set(xlabel="copies in training", ylabel="paragraphs")


@_plot
def training_loss(ax: Any, _: Scope, steps: pl.DataFrame) -> None:
    """Loss by step."""
    ax.plot(steps["training_step"], steps["loss_nats"], linewidth=0.6, color=GROUPS["NMP"])
    for step in steps.filter(pl.col("checkpoint_id").is_not_null())["training_step"]:
        ax.axvline(step, color="#aaaaaa", linewidth=0.6, linestyle=":")
    ax.set(xlabel="training step (dotted: checkpoint saved)", ylabel="loss [nats]")


@_plot
def exact_match_histogram(ax: Any, scope: Scope, scores: pl.DataFrame) -> None:
    """How many paragraphs match how far."""
    longest = scope.profile.paragraphs.continuation_length
    ax.hist(scores["exact_match"], bins=range(longest + 2), color=GROUPS["NMP"], align="left")
    ax.set(xlabel="exact match [tokens]", ylabel="paragraphs", yscale="log")


@_plot
def em_drop_by_position(ax: Any, _: Scope, rows: pl.DataFrame) -> None:
    """Mean EM drop of the main policy by position, with 95 % interval; paragraphs are of different clusters."""
    from probes.statistics.clusters import t_half_width

    paragraph = rows.filter("is_main_policy").group_by("reference", "position", "paragraph_id").agg(pl.mean("em_drop"))
    drop = pl.col("em_drop")
    errors = drop.std().fill_null(float("nan")) / pl.len().sqrt()
    means = paragraph.group_by("reference", "position").agg(mean=drop.mean(), error=errors, n=pl.len())
    means = means.with_columns(margin=t_half_width(means["error"].to_numpy(), means["n"].to_numpy().astype(int)))
    for reference, name in (("corpus", "MP"), ("model", "NMP")):
        one = means.filter(pl.col("reference") == reference).sort("position")
        if one.is_empty():
            continue
        ax.plot(one["position"], one["mean"], label=f"{name} (n={one['n'].max()!s})", color=GROUPS[name])
        lower, upper = one["mean"] - one["margin"], one["mean"] + one["margin"]
        ax.fill_between(one["position"], lower, upper, color=GROUPS[name], alpha=0.15, linewidth=0)
        ax.axhline(one["mean"].mean(), color=GROUPS[name], linestyle="--", linewidth=0.8)
    ax.set(xlabel="changed prefix position (dashed: null, position does not matter)", ylabel="EM drop [tokens]")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False)


@_plot
def head_rarity_ranking(ax: Any, _: Scope, rows: pl.DataFrame) -> None:
    """Spearman correlation of attention and rarity, every head, with its placebo band."""
    draw_head_ranking(ax, rows.filter((pl.col("coefficient") == "spearman") & (pl.col("paragraph_group") == "all")))


@_plot
def gradient_by_layer(ax: Any, _: Scope, rows: pl.DataFrame) -> None:
    """Mean largest gradient entry by layer."""
    single = rows.filter(pl.col("paragraph_id").is_not_null())
    means = single.group_by("paragraph_group", "layer").agg(pl.col("max_abs").mean()).sort("layer")
    for name in ("MP", "NMP"):
        one = means.filter(pl.col("paragraph_group") == name)
        ax.plot(one["layer"], one["max_abs"], "o-", label=name, color=GROUPS[name])
    ax.set(xlabel="layer", ylabel="max |gradient|")
    ax.legend(frameon=False)


@_plot
def short_circuit_by_layer(ax: Any, _: Scope, rows: pl.DataFrame) -> None:
    """Relative drops of recital and utility when a block's attention is short-circuited."""
    draw_short_circuit(ax, rows)


@_plot
def edits_by_selection(ax: Any, _: Scope, rows: pl.DataFrame) -> None:
    """Exact match of the targets after each run, by selection; the unedited model recites all of them."""
    last = pl.col("step") == pl.col("step").max()
    draw_selections(ax, rows.filter((pl.col("evaluation_set") == "targets") & last).sort("selection"))
    ax.set(xlabel="weights that may move", ylabel="exact match of targets [tokens]")


QUANTITIES = {"surprisal_bits": "rarity", "em_drop": "EM drop", "strongest_attention": "attention"}


def trigger_strip(frame: pl.DataFrame) -> Any:
    """A figure of the tokens of one prefix, each shaded by rarity, EM drop and the strongest attention of any head.

    Args:
        frame: rows of the query `trigger_strip`, one per position; without any the figure says so.
    """
    figure, ax = small_figure(10.5, 2.2)
    if frame.is_empty():
        ax.text(0.5, 0.5, "no paragraph was perturbed", ha="center", transform=ax.transAxes)
        return figure
    shades = np.stack([_strength(frame[column]) for column in QUANTITIES])
    ax.imshow(np.ma.masked_invalid(shades), cmap="Oranges", vmin=0, vmax=1, aspect="auto")
    highest = frame.select(pl.col(name).cast(pl.Float64).max().fill_null(0.0) for name in QUANTITIES).row(0)
    labels = [f"{name} (darkest {value:.3g})" for name, value in zip(QUANTITIES.values(), highest, strict=True)]
    ax.set_yticks(range(len(QUANTITIES)), labels, fontsize=8)
    ax.set_xticks(range(frame.height), [_shown(token) for token in frame["token"]], rotation=90, fontsize=7)
    for label in ax.get_xticklabels():
        label.set_parse_math(False)  # a token may be a dollar sign
    kind = "memorized" if frame["is_memorized"][0] else "not memorized"
    ax.set_title(f"paragraph {frame['paragraph_id'][0][:12]}, {kind}", fontsize=9)
    return figure


def _strength(values: pl.Series) -> np.ndarray:
    """Values from 0 (lowest) to 1 (highest), [position]; NaN where nothing was measured."""
    numbers = values.cast(pl.Float64).fill_null(np.nan).to_numpy()
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    return (numbers - low) / max(high - low, 1e-9)


def _shown(token: str, width: int = 10) -> str:
    """A token as a label: white space made visible, cut where long, nothing a font may lack."""
    text = token.replace("\n", "↵").replace("\t", "→").replace(" ", "·")
    text = "".join(letter if letter.isprintable() and ord(letter) < 0x2600 else "?" for letter in text)
    return text if len(text) <= width else text[: width - 1] + "…"
