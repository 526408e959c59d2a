"""How much does a scan cost? Ways in units of one plain forward pass over the document, and of each other.

    python benchmarks/bench_scan.py    # the table; writes benchmarks/results/scan.md

The model has the shape of GPT-Neo 125M with random weights, which recite nothing: screening meets windows that fail at
once and the finder has nothing to confirm, the common case of a document. Processor seconds are compared, not those of
the clock, and everything runs in turns, so that ratios survive a busy machine. Exact and screened are measured on some
of the document's windows and projected, because every window costs the same.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from bench_scoring import build, shaped_like_125m

from probes.scan import ScanModels, ScanPlan
from probes.scan.anchored import anchored_scores
from probes.scan.windows import exact_scores, screened_scores

RESULTS = Path(__file__).parent / "results" / "scan.md"
BOOK_TOKENS = 65_000


def processor_seconds(work: Callable[[], object]) -> float:
    """Processor time of one call, all threads."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def plain_pass(model: torch.nn.Module, ids: np.ndarray, row: int = 299) -> Callable[[], None]:
    """transformers' own forward over the document in rows side by side, logits of every token included."""

    def _run() -> None:
        with torch.inference_mode():
            for begin in range(0, len(ids) - row + 1, row):
                model(input_ids=torch.from_numpy(ids[None, begin : begin + row]), use_cache=False)

    return _run


def measure(tokens: int, windows: int, turns: int) -> dict[str, float]:
    """Median processor seconds per token of the document, by way."""
    model, plan = build(shaped_like_125m(), "cpu", "float32"), ScanPlan()
    models = ScanModels(model, lambda: model)
    ids = np.random.default_rng(0).integers(0, 50257, tokens)
    read = tokens // 299 * 299
    some = np.arange(50, 50 + windows)
    stop = tokens - plan.continuation_length + 1
    ways: dict[str, tuple[Callable[[], object], int]] = {
        "plain": (plain_pass(model, ids), read),
        "anchored": (lambda: anchored_scores(model, ids, 50, stop, plan), stop - 50),
        "screened": (lambda: screened_scores(models, ids, some, plan), windows),
        "exact": (lambda: exact_scores(models, ids, some, plan), windows),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, (work, count) in ways.items():
            found[name].append(processor_seconds(work) / count)
    return {name: statistics.median(values) for name, values in found.items()}


def sample_cost(plan: ScanPlan, found: dict[str, float]) -> float:
    """Processor seconds of the random sample and of the null of a book, which are screened windows."""
    return 2 * len(plan.sampled(BOOK_TOKENS)) * found["screened"]


def table(found: dict[str, float], tokens: int, windows: int) -> str:
    """The results as markdown."""
    book = {name: value * BOOK_TOKENS for name, value in found.items()}
    whole = book["anchored"] + sample_cost(ScanPlan(), found)
    rows = [
        ("one plain forward pass", found["plain"], book["plain"]),
        ("anchored, rows of 299 tokens", found["anchored"], book["anchored"]),
        ("anchored with random sample and null", whole / BOOK_TOKENS, whole),
        ("screened, stride 1", found["screened"], book["screened"]),
        ("exact, stride 1", found["exact"], book["exact"]),
    ]
    lines = [
        f"# Scan\n\nGPT-Neo 125M shape, random weights, float32, {torch.get_num_threads()} threads; {tokens:,} tokens "
        f"for the passes, {windows} windows for exact and screened. Processor time, medians.\n",
        "| way | ms per token | in plain passes | 65,000 tokens, processor minutes |\n|---|---:|---:|---:|",
        *(f"| {n} | {1e3 * t:.2f} | {t / found['plain']:.2f} | {b / 60:.1f} |" for n, t, b in rows),
        f"\nAnchored costs {found['anchored'] / found['plain']:.2f} plain passes (limit 1.7); screened "
        f"{found['screened'] / found['exact']:.2f} of exact (limit 0.5); exact costs "
        f"{book['exact'] / whole:.0f} times as much as anchored with sample and null, before candidates are confirmed.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=2_990)
    parser.add_argument("--windows", type=int, default=64)
    parser.add_argument("--turns", type=int, default=3)
    chosen = parser.parse_args()
    text = table(measure(chosen.tokens, chosen.windows, chosen.turns), chosen.tokens, chosen.windows)
    print(text)
    RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
