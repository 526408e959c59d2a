"""Longest verbatim stretches of texts in a corpus, beside tokengrams on the same corpus in the same run.

    OMP_NUM_THREADS=1 python benchmarks/bench_trace.py [--tokens 100000000] [--texts 200] [--repeats 3]

Prints a markdown table and writes benchmarks/results/trace.md. The peer needs `pip install tokengrams`.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from corpus_stats.counts.trace import longest_stretches
from corpus_stats.tokens.stream import TokenStream

RESULTS = Path(__file__).parent / "results"
MINIMUM = 8
Stretches = list[tuple[int, int, int, int]]


def planted(count: int, texts: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Token ids with Zipf's frequencies, uint16 [token], and windows of 50 of them with one token changed."""
    generator = np.random.default_rng(0)
    ids = np.minimum(generator.zipf(1.3, count), 50_000).astype("<u2")
    queries = []
    for at in generator.integers(0, count - 60, texts).tolist():
        query = ids[at : at + 50].copy()
        query[int(generator.integers(5, 45))] = generator.integers(0, 50_000)
        queries.append(query)
    return ids, queries


def by_index(index: Any, queries: list[np.ndarray]) -> Stretches:
    """The same stretches from an index that answers whether and how often a sequence occurs."""
    found: Stretches = []
    for row, query in enumerate(query.tolist() for query in queries):
        furthest = 0
        for begin in range(len(query)):
            end = max(furthest, begin)
            while end < len(query) and index.contains(query[begin : end + 1]):
                end += 1
            if end > furthest and end - begin >= MINIMUM:
                found.append((row, begin, end - begin, index.count(query[begin:end])))
            furthest = max(furthest, end)
    return found


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and result."""
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def measured(count: int, texts: int, repeats: int) -> tuple[dict[str, list[float]], int]:
    """Seconds of each step and repeat; refuses to go on where the two disagree."""
    import tokengrams

    ids, queries = planted(count, texts)
    seconds: dict[str, list[float]] = {"ours, two passes": [], "tokengrams, its index": [], "tokengrams, asked": []}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "ids.bin")
        ids.tofile(file)
        stream = TokenStream(Path(folder), {"dtype": "<u2", "shards": [{"file": file.name, "token_count": count}]})
        for _ in range(repeats):
            ours, frame = timed(lambda: longest_stretches(stream, queries, MINIMUM))
            built, index = timed(lambda: tokengrams.MemmapIndex.build(str(file), str(Path(folder, "ids.idx"))))
            asked, theirs = timed(partial(by_index, index, queries))
            columns = ("row", "query_offset", "token_count", "occurrence_count")
            assert frame.select(columns).rows() == theirs, "the two find different stretches"
            for name, taken in zip(seconds, (ours, built, asked), strict=True):
                seconds[name].append(taken)
    return seconds, len(theirs)


def report(seconds: dict[str, list[float]], count: int, texts: int, found: int, repeats: int) -> str:
    """The table as markdown."""
    ours, built, asked = (statistics.median(values) for values in seconds.values())
    rows = [
        f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} to {max(values):.2f} |"
        for name, values in seconds.items()
    ]
    return "\n".join(
        [
            "# Trace",
            "",
            f"{found} stretches of at least {MINIMUM} tokens from {texts} texts of 50 in {count:,} tokens; both found",
            f"the same, with the same counts. {repeats} repeats in turn, one thread for ours; tokengrams "
            f"{version('tokengrams')} uses all cores to build. Python {platform.python_version()}, "
            f"{platform.machine()}.",
            "",
            "| step | seconds (median) | range |",
            "|---|---|---|",
            *rows,
            "",
            f"From nothing ours takes {ours / (built + asked):.2f} of the peer's time ({2 * count / ours / 1e6:.0f} "
            f"million tokens a second over both passes). With an index in place the peer answers in {asked:.2f} s.",
            "",
        ]
    )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=100_000_000)
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    seconds, found = measured(asked.tokens, asked.texts, asked.repeats)
    page = report(seconds, asked.tokens, asked.texts, found, asked.repeats)
    print(page)
    (RESULTS / "trace.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
