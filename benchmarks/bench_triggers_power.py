"""How large an effect of rarity is found with how many clusters? The power curve of the trigger regression.

    python benchmarks/bench_triggers_power.py                            # simulated paragraphs
    python benchmarks/bench_triggers_power.py --frame triggers.parquet   # memorized paragraphs of a checkpoint

`rarecall query "FROM triggers WHERE is_memorized AND checkpoint_id = chosen_checkpoint()" --format parquet -o
triggers.parquet` writes such a frame; studies of as many clusters as it has are drawn from it. The table goes to
benchmarks/results, the picture to docs/images; docs/power.md says how to read them.
No time is measured.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from probes.triggers.power import power_curve

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PICTURE = ROOT / "benchmarks" / "results" / "triggers_power.md", ROOT / "docs" / "images" / "trigger_power.png"
EFFECTS, CLUSTERS = (0.0, 0.25, 0.5, 0.75, 1.0, 2.0), (10, 30, 100)


def simulated(clusters: int = 60, positions: int = 49, seed: int = 0) -> pl.DataFrame:
    """Memorized paragraphs with skewed EM drops: most changes cost nothing, some nearly everything."""
    rng = np.random.default_rng(seed)
    row, position = (axis.ravel() for axis in np.indices((clusters, positions)))
    fragile = rng.beta(1.2, 4, size=(clusters, 1)) + 0.3 * np.arange(positions) / positions
    drop = np.where(
        rng.random((clusters, positions)) < fragile.clip(max=0.95), rng.integers(5, 51, (clusters, positions)), 0
    )
    return pl.DataFrame(
        {
            "paragraph_id": row,
            "position": position + 1,
            "em_drop": drop.ravel().astype(float),
            "delta_nll_nats": drop.ravel() / 20,
            "surprisal_bits": rng.gamma(6, 2, size=row.size),
            "token_nll_nats": rng.exponential(2, size=row.size),
            "duplication_count": 64,
            "is_memorized": True,
            "near_duplicate_cluster": row,
        }
    )


def curve_of(frame: pl.DataFrame, clusters: Sequence[int], repetitions: int) -> pl.DataFrame:
    """The power curve, one cluster count after the other, saying how far it is."""
    parts = []
    for count in clusters:
        start = time.perf_counter()
        parts.append(power_curve(frame, EFFECTS, [count], seed=0, repetitions=repetitions))
        print(
            f"{count} clusters: {len(EFFECTS) * repetitions} studies in {time.perf_counter() - start:.0f} s", flush=True
        )
    return pl.concat(parts)


def as_table(curve: pl.DataFrame, title: str) -> str:
    """Effects down, cluster counts across."""
    clusters = curve["cluster_count"].unique().sort().to_list()
    lines = [
        title,
        "",
        "| effect | " + " | ".join(f"{count} clusters" for count in clusters) + " |",
        "|---" * (len(clusters) + 1) + "|",
    ]
    for effect in EFFECTS:
        cells = [
            f"{row['detected_share']:.2f} ({row['lower']:.2f}–{row['upper']:.2f})"
            for row in curve.filter(effect=effect).sort("cluster_count").iter_rows(named=True)
        ]
        lines.append(f"| {effect:g} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def draw(curve: pl.DataFrame, path: Path) -> None:
    """Power against effect, one line per number of clusters, with Wilson bands and the level of the test."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    ax = figure.subplots()
    ax.spines[["top", "right"]].set_visible(False)
    styles = zip(
        curve["cluster_count"].unique().sort(), (":", "--", "-"), ("#8fb3d9", "#3b6ea5", "#1b3a5b"), strict=True
    )
    for count, line, color in styles:
        rows = curve.filter(cluster_count=count).sort("effect")
        ax.plot(rows["effect"], rows["detected_share"], line, marker="o", color=color, label=f"{count} clusters")
        ax.fill_between(rows["effect"], rows["lower"], rows["upper"], color=color, alpha=0.15, linewidth=0)
    ax.axhline(0.05, color="#888888", linewidth=0.8)
    ax.annotate("level of the test, 5 %", (2, 0.05), ha="right", va="bottom", fontsize=8, color="#555555")
    ax.set(
        xlabel="planted effect [tokens of EM drop per standard deviation of rarity]",
        ylabel="share of studies that find it",
        ylim=(0, 1.02),
    )
    ax.legend(frameon=False, loc="lower right", bbox_to_anchor=(0.98, 0.12))
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    """Simulate, print, write the table and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frame", type=Path, help="Parquet with rows of the view triggers of one checkpoint")
    parser.add_argument("--repetitions", type=int, default=100)
    options = parser.parse_args()
    measured = pl.read_parquet(options.frame) if options.frame else simulated()
    count = measured["near_duplicate_cluster"].n_unique() if options.frame else CLUSTERS[-1]
    source = f"memorized paragraphs of {measured['checkpoint_id'][0]}" if options.frame else "simulated paragraphs"
    title = (
        f"Share of {options.repetitions} studies that find an effect of rarity on EM drop at the 5 % level (95 % "
        f"Wilson interval), fully adjusted, on {source}: {measured['position'].n_unique()} positions, EM drop "
        f"{measured['em_drop'].mean():.1f} ± {measured['em_drop'].std():.1f} tokens. Effect: tokens of exact match per "
        "standard deviation of rarity within the paragraph. Row 0 is the rate of false findings."
    )
    curve = curve_of(measured, [*CLUSTERS[:-1], count], options.repetitions)
    text = "# Power of the trigger regression\n\n" + as_table(curve, title)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(text)
    draw(curve, PICTURE)
    print(text)


if __name__ == "__main__":
    main()
