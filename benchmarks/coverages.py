"""What do our 95 % intervals cover with 4, 8, 16 and 30 clusters?

    python -m benchmarks.coverages    # writes docs/coverage.md, about two minutes of one core

Worlds are chosen to be hard: values at a bound, skewed values, unlike clusters. tests/validity/probes/test_coverage.py
holds the intervals of means to what stands there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from probes.claims.rules import cluster_mean, mean_difference
from probes.interventions.selectivity import bootstrap_interval, bootstrap_weights, relative_drop
from probes.statistics.bounded import bounded_test
from probes.statistics.cluster_robust import ClusterRobust
from probes.statistics.clusters import bootstrap_means, cluster_t_test, percentile_interval

PAGE = Path(__file__).resolve().parents[1] / "docs" / "coverage.md"
CLUSTERS, SAMPLES = (4, 8, 16, 30), 600
Interval = Callable[[np.random.Generator, int], tuple[float, float]]

HEAD = """# What the intervals cover

Share of samples, in per cent, whose 95 % interval holds the truth, by the number of clusters ({samples} samples a
cell: a true 95 % is shown as 93 to 97 %). Written by `python -m benchmarks.coverages`. Bold: below 93 % at 8 clusters
or more, which is what skewed values do to any interval without a model of their skew. A cluster counts as one, whatever
its size; where one holds most of the paragraphs, their number says less than it seems to.

| number | world | {clusters} |
|---|---|{rule}
"""


def of_bounded(world: Callable[[np.random.Generator, int], np.ndarray]) -> Interval:
    """Mean of a quantity between 0 and 50 (exact match): Gaffke's interval."""

    def interval(rng: np.random.Generator, count: int) -> tuple[float, float]:
        test = bounded_test(world(rng, count), np.arange(count), 0.0, 50.0)
        return float(test.lower), float(test.upper)

    return interval


def of_t(world: Callable[[np.random.Generator, int], np.ndarray]) -> Interval:
    """Mean without bounds (NLL, effects): t over clusters."""

    def interval(rng: np.random.Generator, count: int) -> tuple[float, float]:
        test = cluster_t_test(world(rng, count), np.arange(count))
        return float(test.lower), float(test.upper)

    return interval


def of_claim(world: Callable[[np.random.Generator, int], np.ndarray]) -> Interval:
    """The same in a claim: Student's interval joined with Hall's."""

    def interval(rng: np.random.Generator, count: int) -> tuple[float, float]:
        found = cluster_mean(world(rng, count), np.arange(count), None)
        return float(found.lower or 0.0), float(found.upper or 0.0)

    return interval


def of_bootstrap(world: Callable[[np.random.Generator, int], np.ndarray]) -> Interval:
    """Mean of correlations: bootstrap read off at expanded quantiles."""

    def interval(rng: np.random.Generator, count: int) -> tuple[float, float]:
        drawn = bootstrap_means(world(rng, count)[:, None], 400, seed=int(rng.integers(2**31)))
        lower, upper = percentile_interval(drawn, cluster_count=count)
        return float(lower[0]), float(upper[0])

    return interval


def welch(rng: np.random.Generator, count: int) -> tuple[float, float]:
    """Difference of a skewed group and a normal one, `count` clusters each; truth 0."""
    one, other = rng.exponential(1, count), rng.normal(1, 0.3, count)
    found = mean_difference((one, np.arange(count)), (other, np.arange(count)))
    return float(found.lower or 0.0), float(found.upper or 0.0)


def slope(rng: np.random.Generator, count: int) -> tuple[float, float]:
    """Effect of rarity within paragraphs of unlike clusters, loud ones varying most: CR2; truth 0."""
    loud = np.exp(0.8 * rng.normal(size=count))
    x = rng.normal(size=(count, 12)) * loud[:, None]
    y = rng.normal(size=(count, 12)) * loud[:, None] + rng.normal(size=(count, 1)) * x
    cluster = np.repeat(np.arange(count), 12)
    return (
        ClusterRobust(y.ravel(), x.reshape(-1, 1), np.empty((count * 12, 0)), cluster).contrast(np.ones(1)).interval()
    )


def drop(rng: np.random.Generator, count: int) -> tuple[float, float]:
    """Relative loss of token accuracy under an intervention: bootstrap of a ratio; truth 0.4."""
    before = rng.beta(8, 2, count)
    after = before * rng.beta(3, 2, count)
    draws = bootstrap_weights(np.arange(count), int(rng.integers(2**31)), 400)
    _, lower, upper = bootstrap_interval(relative_drop(draws @ after, draws @ before), count)
    return float(lower or 0.0), float(upper or 0.0)


def ranks(rng: np.random.Generator, count: int) -> tuple[float, float]:
    """Rank correlation over clusters: Fisher's interval with Bonett and Wright's variance; truth 0.48."""
    one = rng.normal(size=count)
    rho = float(spearmanr(one, 0.5 * one + np.sqrt(0.75) * rng.normal(size=count)).statistic)
    half = 1.96 * np.sqrt((1 + rho**2 / 2) / (count - 3))
    z = np.arctanh(np.clip(rho, -0.999999, 0.999999))
    return float(np.tanh(z - half)), float(np.tanh(z + half))


def truth_of(world: Callable[[np.random.Generator, int], np.ndarray]) -> float:
    """Mean of a world, to a thousandth of its spread."""
    return float(np.mean(world(np.random.default_rng(99), 999_999)))


def stuck(rng: np.random.Generator, count: int) -> np.ndarray:
    """Four targets in five forget nothing."""
    return np.where(rng.random(count) < 0.8, 50.0, rng.uniform(0, 50, count))


def split(rng: np.random.Generator, count: int) -> np.ndarray:
    """All or nothing."""
    return 50.0 * (rng.random(count) < 0.3)


def normal(rng: np.random.Generator, count: int) -> np.ndarray:
    """Bell-shaped."""
    return rng.normal(0.1, 0.15, count)


def skewed(rng: np.random.Generator, count: int) -> np.ndarray:
    """A long tail to one side."""
    return np.tanh(rng.exponential(0.2, count))


def uneven(rng: np.random.Generator, count: int) -> np.ndarray:
    """A third of the clusters varies three times as much."""
    return np.tanh(rng.normal(0.1, 0.1 + 0.2 * (np.arange(count) % 3 == 0), count))


KINDS: tuple[tuple[str, str, Interval, float], ...] = (
    ("mean exact match (bounded)", "four in five at the bound", of_bounded(stuck), truth_of(stuck)),
    ("mean exact match (bounded)", "all or nothing", of_bounded(split), truth_of(split)),
    ("mean over clusters (t)", "normal", of_t(normal), truth_of(normal)),
    ("mean over clusters (t)", "skewed", of_t(skewed), truth_of(skewed)),
    ("mean of a claim (t joined with Hall's)", "normal", of_claim(normal), truth_of(normal)),
    ("mean of a claim (t joined with Hall's)", "skewed", of_claim(skewed), truth_of(skewed)),
    ("mean of a claim (t joined with Hall's)", "uneven", of_claim(uneven), truth_of(uneven)),
    ("mean correlation of a head (bootstrap)", "normal", of_bootstrap(normal), truth_of(normal)),
    ("mean correlation of a head (bootstrap)", "uneven", of_bootstrap(uneven), truth_of(uneven)),
    ("mean correlation of a head (bootstrap)", "skewed", of_bootstrap(skewed), truth_of(skewed)),
    ("difference of two groups in a claim", "one skewed, one not", welch, 0.0),
    ("effect of rarity (CR2)", "unlike clusters", slope, 0.0),
    ("relative loss under an intervention (bootstrap)", "losses spread wide", drop, 0.4),
    ("rank correlation over clusters (Fisher)", "normal", ranks, 6 / np.pi * np.arcsin(0.25)),
)


def covered(interval: Interval, truth: float, count: int) -> float:
    """Share of samples whose interval holds the truth."""
    rng = np.random.default_rng(count)
    ends = np.array([interval(rng, count) for _ in range(SAMPLES)])
    return float(((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean())


def main() -> None:
    """Count and write the page."""
    lines = [HEAD.format(samples=SAMPLES, clusters=" | ".join(map(str, CLUSTERS)), rule="---|" * len(CLUSTERS))]
    for number, world, interval, truth in KINDS:
        shares = [covered(interval, truth, count) for count in CLUSTERS]
        cells = [
            f"**{100 * s:.1f}**" if s < 0.93 and n >= 8 else f"{100 * s:.1f}"
            for s, n in zip(shares, CLUSTERS, strict=True)
        ]
        lines.append(f"| {number} | {world} | {' | '.join(cells)} |\n")
        print(lines[-1], end="", flush=True)
    PAGE.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
