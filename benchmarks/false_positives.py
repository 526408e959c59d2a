"""How often does each test that can award "supported" find something where there is nothing?

    python -m benchmarks.false_positives                                      # half an hour of one core
    python -m benchmarks.false_positives --clusters 8 --repetitions 20        # a look

Writes docs/false_positives.md. The worlds are those of tests/support/worlds/null_worlds.py; tests/validity holds CI to
the same numbers with fewer samples.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

from tests.support.worlds.null_findings import FOOLED_BY_TASTE, PARTS, VERDICTS, findings
from tests.support.worlds.null_worlds import WORLDS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "false_positives.md"
CLUSTERS = (8, 30, 100)
Shares = dict[tuple[str, str, int], tuple[int, int]]

HEAD = """# What tests find where there is nothing

Share of samples, in per cent, in which a test at the 5 % level finds something, on either side, in worlds where rarity
(and being memorized) does nothing. Written by `python -m benchmarks.false_positives`. Samples a cell:
{repetitions}; a true 5 % is shown as 2 to 8 % by 200 samples, as 0 to 12 % by 50.

* **plain**: spiky attention, skewed costs, Zipf's tokens. **position profile**: rare tokens, attention and costs all
  grow along the prefix. **token tastes**: every head, and every cost, likes some token types for no reason of rarity.
  **unlike clusters**: some are three times as loud as others, with one to three near duplicates.
* Clusters are those of each group (MP, NMP). One minus the share of a cell is not the power: docs/power.md.
* A verdict on rarity needs two tests, over clusters and over token types, and the best of all heads pays for having
  been picked. Where neither has much to guard against both must err at once, so such verdicts are cautious: 0 to 6 %.
* Below 12 clusters nothing is said of the best head within paragraphs: with tastes its test over token types finds
  something in some 15 % of samples (the verdict, one side of both tests, in 8 %).
* –: no null in that world (costs that grow along the prefix are what the claim says; heads that like the same types do
  look at the same tokens), or nothing testable.
"""
VERDICT_HEAD = "\n## Verdicts, {clusters} clusters\n\n"
PART_HEAD = (
    "\n## The tests behind them, {clusters} clusters\n\n"
    "Tests over clusters marked * are fooled by tastes, which is why none of them decides alone.\n\n"
)


def counted(totals: Shares, repetitions: int, clusters: int, name: str) -> None:
    """Add the findings and tests of one world and number of clusters, by test."""
    for seed in range(repetitions):
        for test, found in findings(WORLDS[name], clusters, seed).items():
            if found is not None:
                of, tests = totals.get((test, name, clusters), (0, 0))
                totals[test, name, clusters] = of + found, tests + 1
    print(f"{clusters} clusters, {name}: {repetitions} samples", flush=True)


def page(shares: Shares, repetitions: dict[int, int]) -> str:
    """The page, in Markdown."""
    said = ", ".join(f"{samples} at {count} clusters" for count, samples in repetitions.items())
    lines = [HEAD.format(repetitions=said)]
    for head, tests in ((VERDICT_HEAD, VERDICTS), (PART_HEAD, PARTS)):
        for count in repetitions:
            lines += [head.format(clusters=count), *table(shares, tests, count)]
    return "".join(lines)


def table(shares: Shares, tests: tuple[str, ...], clusters: int) -> Iterator[str]:
    """One row per test, one column per world."""
    yield f"| test | {' | '.join(WORLDS)} |\n|---|{'---|' * len(WORLDS)}\n"
    for test in tests:
        star = " *" if test in FOOLED_BY_TASTE else ""
        cells = [_cell(shares.get((test, world, clusters))) for world in WORLDS]
        yield f"| {test}{star} | {' | '.join(cells)} |\n"


def _cell(found: tuple[int, int] | None) -> str:
    return "–" if found is None or not found[1] else f"{100 * found[0] / found[1]:.1f}"


def main() -> None:
    """Count and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clusters", type=int, nargs="+", default=CLUSTERS)
    parser.add_argument("--repetitions", type=int, nargs="+", default=[200], help="one, or one per number of clusters")
    parser.add_argument("--page", type=Path, default=PAGE)
    asked = parser.parse_args()
    repetitions = dict(zip(asked.clusters, itertools.cycle(asked.repetitions), strict=False))
    shares: Shares = {}
    for count, samples in repetitions.items():
        for name in WORLDS:
            counted(shares, samples, count, name)
            asked.page.write_text(page(shares, repetitions), encoding="utf-8")


if __name__ == "__main__":
    main()
