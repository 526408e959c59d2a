"""Training on the quickstart's shape: tokens per second beside the plain loop of transformers and its products' rate.

Every way takes the same batches of the same rows on one thread; seconds are CPU seconds, medians over rounds taken in
turns, so that other work on the machine hardly moves the ratios. The limit counts the multiplications of the linear
layers, forwards and twice backwards, at the rate this machine reaches on matrices of these shapes: no loop that makes
these products in that precision can be faster. The cost of a sweep is that of one paragraph of the same model.

    python benchmarks/bench_training.py --steps 10 --rounds 3
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.bench_triggers import machine
from probes.bfloat16 import bfloat16_products, is_native
from probes.forward.fused import fused
from probes.perturbation.sweep import sweep
from probes.training import TrainingPlan, build_model, reproducible, take_step

RESULTS = Path(__file__).parent / "results" / "training.md"
ROW, WIDTH, LAYERS, VOCABULARY, BATCH = 256, 160, 4, 2048, 4
PLAN = TrainingPlan(
    VOCABULARY, ROW, WIDTH, LAYERS, 4, BATCH, 3e-3, 0.04, checkpoint_count=4, threads=1, seed=1, bfloat16_products=True
)
ROWS = np.random.default_rng(0).integers(VOCABULARY, size=(400, ROW))
# In and out of every linear layer of a block, then the output head.
SHAPES = [*[(WIDTH, WIDTH)] * 4 * LAYERS, *[(WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH)] * LAYERS, (WIDTH, VOCABULARY)]


def plain_loop(steps: int) -> float:
    """CPU seconds a token of the loop everybody writes: model(ids, labels=ids), backward, clip, AdamW."""
    model = build_model(PLAN)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def _step(step: int) -> None:
        batch = torch.from_numpy(ROWS[step * BATCH : (step + 1) * BATCH])
        optimizer.zero_grad()
        model(batch, labels=batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return _seconds_a_token(_step, steps)


def own_loop(steps: int, short: bool) -> float:
    """CPU seconds a token of `probes.training`."""
    plan, model = replace(PLAN, bfloat16_products=short), build_model(PLAN)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    order = np.arange(len(ROWS))
    with reproducible(), fused(model), ThreadPoolExecutor(1) as pool:

        def _step(step: int) -> None:
            take_step(plan, model, optimizer, ROWS, order, step, pool)

        if not plan.is_short:
            return _seconds_a_token(_step, steps)
        with bfloat16_products(model):
            return _seconds_a_token(_step, steps)


def limit(steps: int, dtype: torch.dtype) -> float:
    """CPU seconds a token of the products alone."""
    tokens, seconds = BATCH * (ROW - 1), 0.0
    for wide, high in sorted(set(SHAPES)):
        values, weight = torch.randn(tokens, wide, dtype=dtype), torch.randn(high, wide, dtype=dtype)
        seconds += SHAPES.count((wide, high)) * 3 * _seconds(lambda v=values, w=weight: v @ w.T, 5 * steps)
    return seconds / tokens


def sweep_cost(steps: int) -> float:
    """CPU seconds of one paragraph: 49 positions, two draws, 50 tokens of continuation."""
    model = build_model(PLAN).eval()
    with torch.inference_mode():
        return _seconds(lambda: sweep(model, ROWS[:8, :50], ROWS[:8, 50:100], draws=2, seed=0), max(1, steps // 5)) / 8


def _seconds_a_token(step: Callable[[int], None], steps: int) -> float:
    step(0)
    start = time.process_time()
    for number in range(1, steps + 1):
        step(number)
    return (time.process_time() - start) / (steps * BATCH * ROW)


def _seconds(call: Callable[[], object], times: int) -> float:
    call()
    start = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - start) / times


def measured(steps: int, rounds: int) -> dict[str, float]:
    """Median CPU seconds a token of every way, and of a swept paragraph."""
    ways: dict[str, Callable[[], float]] = {
        "plain transformers loop, float32": lambda: plain_loop(steps),
        "rarecall, float32": lambda: own_loop(steps, short=False),
        "limit: its products alone, float32": lambda: limit(steps, torch.float32),
    }
    if is_native():
        ways["rarecall, products in bfloat16 (the quickstart)"] = lambda: own_loop(steps, short=True)
        ways["limit: its products alone, bfloat16"] = lambda: limit(steps, torch.bfloat16)
    ways["sweep"] = lambda: sweep_cost(steps)
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name, way in ways.items():
            found[name].append(way())
            print(f"round {number + 1}/{rounds}: {name} {found[name][-1]:.3g} s", flush=True)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def table(seconds: dict[str, float], steps: int, rounds: int) -> list[str]:
    """The numbers as a page."""
    paragraph, plain = seconds.pop("sweep"), next(iter(seconds.values()))
    return [
        "# Training",
        "",
        machine(),
        "",
        f"Shape of the quickstart: {LAYERS} layers, width {WIDTH}, vocabulary {VOCABULARY}, rows of {ROW}, batches of "
        f"{BATCH}; one thread, {steps} steps, median of {rounds} rounds.",
        "",
        "| way | tokens per CPU second | µs a token | of the plain loop |",
        "|---|---|---|---|",
        *(f"| {name} | {1 / one:,.0f} | {one * 1e6:.0f} | {one / plain:.2f} × |" for name, one in seconds.items()),
        "",
        f"Sweep of one paragraph of this model (49 positions, two draws): {paragraph:.2f} CPU seconds, as much as "
        f"training on {paragraph / plain:,.0f} tokens in the plain loop.",
        "",
    ]


def main() -> None:
    """Run, print and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    text = "\n".join(table(measured(options.steps, options.rounds), options.steps, options.rounds))
    RESULTS.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
