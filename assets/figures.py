"""The report's figures, each drawn from one mart, saved as PNG beside the report and shown in the Dagster UI."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

import sql
from assets import plots_series, progress
from assets.automation import WHEN_TABLES_CHANGE
from assets.findings import latest_checkpoint
from assets.plots import COLORS, LABELS, as_markdown, draw_head_ranking, draw_short_circuit, new_figure, png
from assets.resources import Workspace
from warehouse.atomic import replace_file
from warehouse.home import Home
from warehouse.queries import query

Draw = Callable[[pl.DataFrame], Any]


@dataclass(frozen=True)
class FigureSpec:
    """A figure: its query in sql/adhoc, what it shows, what to compare it with, how to draw it."""

    name: str
    title: str
    caption: str
    draw: Draw


def memorization_over_checkpoints(frame: pl.DataFrame) -> Any:
    """Memorized share by duplication, one line per checkpoint, last one bold with its interval."""
    figure, ax = new_figure()
    names = frame["checkpoint_id"].unique(maintain_order=True).to_list()
    for index, name in enumerate(names):
        rows = frame.filter(pl.col("checkpoint_id") == name).sort("duplication_count")
        x, last = list(range(rows.height)), index == len(names) - 1
        shade = str(0.75 - 0.5 * index / max(1, len(names) - 1))
        ax.plot(
            x,
            rows["memorized_share"],
            "o-" if last else "-",
            color=COLORS["MP"] if last else shade,
            label=name,
            linewidth=2 if last else 1,
        )
        if last:
            ax.fill_between(x, rows["lower"], rows["upper"], color=COLORS["MP"], alpha=0.15)
            ax.plot(x, rows["null_share"], "--", color="#888888", label="null: copies do not matter")
            ax.set_xticks(x, [f"×{n}" for n in rows["duplication_count"]])
    ax.set(xlabel="copies in training", ylabel="share recited in full", ylim=(-0.03, 1.03))
    ax.legend(frameon=False, fontsize=7)
    return figure


def rarity_by_bin(frame: pl.DataFrame) -> Any:
    """Mean surprisal by exact-match bin, prefix and continuation, with the placebo."""
    figure, axes = new_figure(columns=2)
    for ax, part in zip(axes, ("prefix", "continuation"), strict=True):
        rows = frame.filter(pl.col("part") == part)
        x = list(range(rows.height))
        ax.vlines(
            x, rows["lower"].fill_null(strategy="zero"), rows["upper"].fill_null(strategy="zero"), color=COLORS["NMP"]
        )
        ax.plot(x, rows["surprisal_bits_mean"], "o", color=COLORS["NMP"], label="measured")
        ax.plot(x, rows["placebo_bits"], "x", color="#888888", label="bins dealt at random")
        ax.set_xticks(
            x, [f"{r[0]!s}\n(n={r[1]})" for r in rows.select("em_bin", "cluster_count").iter_rows()], fontsize=8
        )
        bounds = [
            v for name in ("surprisal_bits_mean", "placebo_bits", "lower", "upper") for v in rows[name].drop_nulls()
        ]
        if bounds:
            ax.set_ylim(min(bounds) - 0.3, max(bounds) + 0.3)
        ax.set(title=part, xlabel="exact match [tokens]", ylabel="mean surprisal [bits]" if part == "prefix" else None)
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def em_drop_by_position(frame: pl.DataFrame) -> Any:
    """Mean EM drop by changed position with interval and the flat null."""
    figure, ax = new_figure()
    for memorized in (True, False):
        rows = frame.filter(pl.col("is_memorized") == memorized)
        if rows.is_empty():
            continue
        ax.plot(
            rows["position"],
            rows["em_drop_mean"],
            color=COLORS[memorized],
            label=f"{LABELS[memorized]} (n={rows['cluster_count'].max()!s})",
        )
        ax.fill_between(
            rows["position"],
            rows["lower"].fill_null(0),
            rows["upper"].fill_null(0),
            color=COLORS[memorized],
            alpha=0.15,
        )
        ax.plot(rows["position"], rows["flat_null"], "--", color=COLORS[memorized], linewidth=0.8)
    ax.set(xlabel="changed prefix position (dashed: null, position does not matter)", ylabel="EM drop [tokens]")
    ax.legend(frameon=False, fontsize=8)
    return figure


def em_drop_by_rarity(frame: pl.DataFrame) -> Any:
    """Mean EM drop by fifth of rarity, beside placebo and what position alone predicts."""
    figure, axes = new_figure(columns=2)
    for ax, memorized in zip(axes, (True, False), strict=True):
        rows = frame.filter(pl.col("is_memorized") == memorized)
        x = rows["rarity_fifth"] + 1
        ax.vlines(x, rows["lower"].fill_null(0), rows["upper"].fill_null(0), color=COLORS[memorized])
        ax.plot(x, rows["em_drop_mean"], "o", color=COLORS[memorized], label="measured")
        ax.plot(x, rows["position_matched_em_drop"], "_", markersize=14, color="#333333", label="position alone")
        ax.plot(x, rows["placebo_em_drop"], "x", color="#888888", label="shuffled rarity")
        ax.set(title=LABELS[memorized], xlabel="rarity within the prefix (5 = rarest fifth)", ylabel="EM drop [tokens]")
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def attention_against_rarity(frame: pl.DataFrame) -> Any:
    """All heads sorted by their correlation with rarity; the placebo band; the paper's construction beside it."""
    figure, axes = new_figure(7.4, 3.4, columns=2)
    renamed = frame.select(
        "layer", "head", estimate="spearman", lower="spearman_lower", upper="spearman_upper",
        placebo_lower="spearman_placebo_lower", placebo_upper="spearman_placebo_upper",
    )  # fmt: skip
    draw_head_ranking(axes[0], renamed)
    axes[0].set_title("within paragraphs (grey: shuffled rarity)", fontsize=9)
    rows = frame.filter(pl.col("summed_by_rank").is_not_null()).sort("summed_by_rank", descending=True)
    x = list(range(rows.height))
    axes[1].plot(x, rows["summed_by_rank"], "o", color=COLORS["NMP"], markersize=4, label="measured")
    axes[1].plot(x, rows["summed_uniform_null"], "--", color="#888888", label="uniform attention")
    axes[1].set_xticks(x, rows["head_ref"].to_list(), rotation=90 if rows.height > 12 else 0, fontsize=7)
    axes[1].set(xlabel="head", ylabel="Pearson(summed attention, rank)", ylim=(-1.05, 1.05))
    axes[1].set_title("summed by rank, as in the paper", fontsize=9)
    axes[1].legend(frameon=False, fontsize=8)
    return figure


def attention_by_rank(frame: pl.DataFrame) -> Any:
    """Mean attention by rarity rank, one line per head, with the uniform null."""
    figure, ax = new_figure()
    for (layer, _), rows in frame.group_by("layer", "head", maintain_order=True):
        ax.plot(
            rows["prefix_rarity_rank"],
            rows["attention_mean"],
            color=_layer_color(layer, frame["layer"].max()),
            linewidth=0.9,
            alpha=0.8,
        )
    null = frame.group_by("prefix_rarity_rank").agg(pl.col("uniform_null").mean()).sort("prefix_rarity_rank")
    ax.plot(null["prefix_rarity_rank"], null["uniform_null"], "--", color="#333333", label="uniform attention")
    ax.set(xlabel="rarity rank within the prefix (0 = rarest); dark: low layers", ylabel="mean attention", yscale="log")
    ax.legend(frameon=False, fontsize=8)
    return figure


def _layer_color(layer: Any, last: Any) -> Any:
    from matplotlib import colormaps

    return colormaps["viridis"](0.85 * layer / max(1, last))


def gradient_by_layer(frame: pl.DataFrame) -> Any:
    """Share of the gradient by layer, MP against NMP, with labels dealt at random and the even share."""
    figure, ax = new_figure()
    by_layer = (
        frame.group_by("paragraph_group", "layer")
        .agg(pl.col("share_mean", "placebo_share", "even_share").sum())
        .sort("layer")
    )
    for group in ("MP", "NMP"):
        rows = by_layer.filter(pl.col("paragraph_group") == group)
        ax.plot(rows["layer"], rows["share_mean"], "o-", color=COLORS[group], label=group)
        ax.plot(
            rows["layer"], rows["placebo_share"], ":", color=COLORS[group], label=f"{group}, labels dealt at random"
        )
    ax.plot(rows["layer"], rows["even_share"], "--", color="#888888", label="even over layers")
    ax.set(xlabel="layer", ylabel="share of max |gradient|", ylim=(0, None), xticks=by_layer["layer"].unique())
    ax.legend(frameon=False, fontsize=8)
    return figure


def gradient_by_component(frame: pl.DataFrame) -> Any:
    """Difference of shares between MP and NMP per layer and component."""
    figure, ax = new_figure(5.4, 3.2)
    wide = frame.pivot(
        on="paragraph_group", index=["layer", "component"], values="share_mean", aggregate_function="mean"
    )
    if not {"MP", "NMP"} <= set(wide.columns):
        ax.text(0.5, 0.5, "needs memorized and other paragraphs", ha="center", transform=ax.transAxes)
        return figure
    components = ["W_Q", "W_K", "W_V", "W_O", "W_in", "W_out"]
    table = (
        wide.with_columns(d=pl.col("MP") - pl.col("NMP")).pivot(on="component", index="layer", values="d").sort("layer")
    )
    values = table.select(components).to_numpy()
    limit = max(1e-9, float(abs(values).max()))
    image = ax.imshow(values, cmap="PuOr_r", vmin=-limit, vmax=limit, aspect="auto")
    ax.set_xticks(range(len(components)), components)
    ax.set(yticks=range(table.height), ylabel="layer")
    figure.colorbar(image, label="share of gradient, MP minus NMP")
    return figure


def short_circuit(frame: pl.DataFrame) -> Any:
    """Relative drops and selectivity by short-circuited block."""
    figure, ax = new_figure()
    draw_short_circuit(ax, frame)
    return figure


FIGURES = (
    FigureSpec(
        "memorization_over_checkpoints",
        "Memorization by duplication",
        "Share of paragraphs recited in full by copies in training; band: 95 % Wilson interval of the last checkpoint.",
        memorization_over_checkpoints,
    ),
    FigureSpec(
        "figure_memorization_flow",
        "Gained and forgotten over the checkpoints",
        "Clusters recited for the first time, kept and forgotten at each checkpoint of the series.",
        plots_series.memorization_flow,
    ),
    FigureSpec(
        "figure_early_predicts_late",
        "Early checkpoints predict the last",
        "Precision and recall of 'recited here' for 'recited at the end'; crosses: as many clusters drawn at random.",
        plots_series.early_predicts_late,
    ),
    FigureSpec(
        "figure_duplication_effect",
        "Difference in differences by copies",
        "Gain of exact match since the first checkpoint over the least shown paragraphs; bands: Welch's t, 95 %.",
        plots_series.duplication_effect,
    ),
    FigureSpec(
        "figure_rarity",
        "Rarity by exact match",
        "Mean surprisal of the tokens of each bin, 95 % interval over clusters; crosses: bins dealt at random.",
        rarity_by_bin,
    ),
    FigureSpec(
        "figure_em_drop_position",
        "EM drop by position",
        "Tokens of the continuation lost when one prefix token is replaced.",
        em_drop_by_position,
    ),
    FigureSpec(
        "figure_em_drop_rarity",
        "EM drop by rarity",
        "The same by how rare the replaced token is; position alone already predicts the black bars.",
        em_drop_by_rarity,
    ),
    FigureSpec(
        "figure_attention",
        "Attention against rarity, every head",
        "Left: Spearman correlation within paragraphs. Right: the construction of Stoehr et al. 2024, "
        "and what uniform attention gives under it.",
        attention_against_rarity,
    ),
    FigureSpec(
        "figure_attention_rank",
        "Attention by rarity rank",
        "Mean attention of each head on the tokens of each rarity rank.",
        attention_by_rank,
    ),
    FigureSpec(
        "figure_gradient",
        "Gradient by layer",
        "Where the largest gradient entries of the continuation loss lie.",
        gradient_by_layer,
    ),
    FigureSpec(
        "figure_gradient",
        "Gradient by layer and component",
        "Share of memorized minus share of other paragraphs.",
        gradient_by_component,
    ),
    FigureSpec(
        "figure_short_circuit",
        "Attention short-circuited, block by block",
        "What recital and held-out text lose when a block's attention is the identity; bars: 95 % interval.",
        short_circuit,
    ),
)


def file_name(spec: FigureSpec) -> str:
    """PNG name of a figure."""
    return f"{spec.draw.__name__}.png"


def frame_of(home: Home, spec: FigureSpec, checkpoint_id: str) -> pl.DataFrame:
    """Data of a figure."""
    text = sql.load_one("adhoc", spec.name).text
    return query(home, text, {"checkpoint_id": checkpoint_id} if "$checkpoint_id" in text else None)


@dg.asset(group_name="report", kinds={"matplotlib"}, deps=["catalog"], automation_condition=WHEN_TABLES_CHANGE)
def figures(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
    """Figures of the latest checkpoint of the profile's corpus, each beside its null."""
    home = workspace.open_home()
    checkpoint_id = latest_checkpoint(home, workspace.open_profile().corpus_id) or ""
    shown: dict[str, Any] = {"checkpoint": checkpoint_id}
    for spec in progress.track(context, FIGURES, "figures", len(FIGURES), "figures"):
        figure = spec.draw(frame_of(home, spec, checkpoint_id))
        replace_file(home.report.parent / "figures" / file_name(spec), partial(_write, png(figure, 110)))
        shown[spec.draw.__name__] = dg.MetadataValue.md(as_markdown(figure))
    return dg.MaterializeResult(metadata=shown)


def _write(data: bytes, path: Path) -> None:
    path.write_bytes(data)
