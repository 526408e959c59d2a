"""Report, paragraph browser and ad hoc queries at the size people have: `python benchmarks/bench_results.py`.

An invented warehouse of 1,000 paragraphs, 5 checkpoints and 40 heads (10 million attention weights) is published; timed
are figures and report together, the report's size, how long headless Chromium takes until the paragraph list can be
used, and questions over the attention. The peer of the queries is the same data stored one row per weight.
Writes benchmarks/results/results.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import duckdb  # noqa: E402

from assets.figures import FIGURES  # noqa: E402
from assets.figures.files import write_figure, write_omissions  # noqa: E402
from assets.figures.style import NothingToShowError  # noqa: E402
from assets.framework.profile import ReportSettings  # noqa: E402
from assets.report import write_report  # noqa: E402
from tests.support.results_world import World  # noqa: E402
from warehouse.catalog.publish import publish_catalog  # noqa: E402
from warehouse.home import Home  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "results.md"
THREADS = 2
LISTS = {
    "mean attention by head": "SELECT layer, head, avg(list_avg(attention)) FROM head_attention GROUP BY ALL",
    "mean attention by head and position": (
        "SELECT layer, head, position, avg(weight) FROM (SELECT layer, head, unnest(attention) AS weight, "
        "generate_subscripts(attention, 1) - 1 AS position FROM head_attention) GROUP BY ALL"
    ),
    "heads by attention on the last prefix token": (
        "SELECT layer, head, avg(attention[50]) AS weight FROM head_attention GROUP BY ALL ORDER BY weight DESC"
    ),
    "one paragraph, all heads and checkpoints": (
        "SELECT checkpoint_id, layer, head, list_max(attention) FROM head_attention "
        "WHERE paragraph_id = (SELECT min(paragraph_id) FROM paragraphs)"
    ),
}
LONG = {
    "mean attention by head": "SELECT layer, head, avg(weight) FROM long GROUP BY ALL",
    "mean attention by head and position": "SELECT layer, head, position, avg(weight) FROM long GROUP BY ALL",
    "heads by attention on the last prefix token": (
        "SELECT layer, head, avg(weight) AS weight FROM long WHERE position = 49 GROUP BY ALL ORDER BY weight DESC"
    ),
    "one paragraph, all heads and checkpoints": (
        "SELECT checkpoint_id, layer, head, max(weight) FROM long "
        "WHERE paragraph_id = (SELECT min(paragraph_id) FROM paragraphs) GROUP BY ALL"
    ),
}


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def say(text: str) -> None:
    """Progress on stderr."""
    print(text, file=sys.stderr, flush=True)


def draw(home: Home, checkpoint_id: str) -> None:
    """All figures, as the asset draws them."""
    omitted = {}
    for spec in FIGURES:
        try:
            write_figure(home, spec, checkpoint_id)
        except NothingToShowError as nothing:
            omitted[spec.name] = str(nothing)
    write_omissions(home, checkpoint_id, omitted)


def time_queries(home: Home, folder: Path, rounds: int) -> list[tuple[str, float, float]]:
    """Median seconds of each question, attention stored as lists and one row per weight."""
    copy = shutil.copy(home.database, folder / "copy.duckdb")
    rows = []
    with duckdb.connect(str(copy), read_only=True, config={"threads": str(THREADS)}) as connection:
        long = folder / "long.parquet"
        connection.execute(
            "COPY (SELECT checkpoint_id, paragraph_id, layer, head, unnest(attention) AS weight, "
            f"generate_subscripts(attention, 1) - 1 AS position FROM head_attention) TO '{long}'"
        )
        connection.execute(f"CREATE TEMP VIEW long AS FROM read_parquet('{long}')")
        for name, text in LISTS.items():
            pair = [
                statistics.median(seconds(lambda q=q: connection.execute(q).fetchall()) for _ in range(rounds))
                for q in (text, LONG[name])
            ]
            rows.append((name, pair[0], pair[1]))
    return rows


def opening_seconds(file: Path) -> float | None:
    """Seconds from asking for the page until the paragraph list is there; None without Chromium."""
    chromium, driver = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
    if not (chromium and driver):
        return None
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = chromium
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(flag)
    browser = Chrome(options=options, service=Service(driver))
    try:
        browser.get("about:blank")
        taken = seconds(lambda: browser.get(file.as_uri()))
        assert browser.find_elements("css selector", "button.open"), "the list is not there"
        return taken
    finally:
        browser.quit()


def measure(home: Home, world: World, folder: Path, rounds: int) -> list[str]:
    """The lines of the two tables."""
    name = world.checkpoints[-1]
    published = seconds(lambda: publish_catalog(home))
    say(f"published in {published:.1f} s")
    drawn = seconds(lambda: draw(home, name))
    say(f"figures in {drawn:.1f} s")
    written = seconds(lambda: write_report(home, name, ReportSettings(), home.report))
    size = home.report.stat().st_size / 1e6
    say(f"report in {written:.1f} s, {size:.1f} MB")
    opened = opening_seconds(home.report)
    shown = f"{opened:.2f} s" if opened else "no Chromium"
    lines = [
        "| what | measured | asked |\n|---|---:|---:|",
        f"| catalog published (views, marts, checks) | {published:.1f} s | |",
        f"| {len(FIGURES)} figures as SVG and PNG | {drawn:.1f} s | |",
        f"| report with its paragraph browser | {written:.1f} s | |",
        f"| figures and report | {drawn + written:.1f} s | < 30 s |",
        f"| size of the report | {size:.1f} MB | ≤ 8 MB |",
        f"| until the list can be used in headless Chromium | {shown} | ≤ 1 s |",
        "\n| question over the attention | stored as lists [s] | one row per weight [s] | lists take | asked |",
        "|---|---:|---:|---:|---:|",
    ]
    for question, ours, theirs in time_queries(home, folder, rounds):
        say(f"{question}: {ours:.3f} s, one row per weight {theirs:.3f} s")
        lines.append(f"| {question} | {ours:.3f} | {theirs:.3f} | {ours / theirs:.2f} × | < 1 s |")
    return lines


def main() -> None:
    """Build, measure, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paragraphs", type=int, default=1000)
    parser.add_argument("--checkpoints", type=int, default=5)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home").prepare()
        world = World(home, given.paragraphs, given.checkpoints, given.layers, given.heads)
        say(f"invented in {seconds(world.write):.1f} s")
        lines = measure(home, world, Path(folder), given.rounds)
    weights = given.paragraphs * given.checkpoints * given.layers * given.heads * 50
    load = os.getloadavg()[0]
    head = (
        f"# Results\n\n{given.paragraphs:,} paragraphs, {given.checkpoints} checkpoints, "
        f"{given.layers} × {given.heads} heads, "
        f"{weights:,} attention weights. {os.cpu_count()} cores, {platform.machine()}, {THREADS} threads, Python "
        f"{platform.python_version()}, duckdb {duckdb.__version__}, load average {load:.1f} at the end. "
        "Written by `benchmarks/bench_results.py`.\n"
    )
    given.output.write_text("\n".join([head, *lines]) + "\n")
    print(given.output)


if __name__ == "__main__":
    main()
