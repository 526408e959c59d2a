"""Perturbation sweep and prefix attention against the ways to get the same numbers without them.

Peers run in turns within one process on the same paragraphs; ratios are per edit, medians over rounds. The sweep runs
all 49 positions; decoding, which is many times slower and costs the same at every position, runs every fifth.

    python benchmarks/bench_triggers.py --paragraphs 3 --rounds 2
"""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import torch
import transformers
from transformers import GPTNeoConfig, GPTNeoForCausalLM

from probes.attention.rarity import head_rarity
from probes.attention.weights import prefix_attention
from probes.forward.fused import fused
from probes.perturbation.passes import read_context
from probes.perturbation.sweep import sweep
from probes.scoring.generation import greedy_continuations
from probes.scoring.teacher_forced import score_paragraphs

PREFIX, CONTINUATION = 50, 50
POSITIONS = tuple(range(1, PREFIX))
DECODED = tuple(range(5, 46, 5))  # their mean is that of all positions
RESULTS = Path(__file__).parent / "results" / "triggers.md"


def gpt_neo(layers: int, heads: int, width: int, vocabulary: int) -> GPTNeoForCausalLM:
    """Random weights of a given shape, alternating global and local attention."""
    torch.manual_seed(0)
    config = GPTNeoConfig(
        vocab_size=vocabulary, hidden_size=width, num_layers=layers, num_heads=heads, max_position_embeddings=2048,
        attention_types=[[["global", "local"], layers // 2]], bos_token_id=None, eos_token_id=None,
        initializer_range=0.04,
    )  # fmt: skip
    return GPTNeoForCausalLM(config).eval().requires_grad_(False)


def timed(function: Callable[[], object]) -> tuple[float, object]:
    """CPU seconds and result of one call: with one thread, other work on the machine hardly moves them."""
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def edited_paragraphs(prefix: np.ndarray, reference: np.ndarray, frame: pl.DataFrame) -> np.ndarray:
    """Every edit of a sweep written out as an independent paragraph, in the order of the frame."""
    rows = frame["row"].to_numpy()
    paragraphs = np.concatenate([prefix, reference], axis=1)[rows]
    paragraphs[np.arange(len(rows)), frame["position"].to_numpy()] = frame["replacement_id"].to_numpy()
    return paragraphs


def without_reuse(model: GPTNeoForCausalLM, paragraphs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Teacher forcing over whole paragraphs, output head on the continuation only: the leanest way without a cache."""
    with fused(model):
        matches = [
            read_context(model, rows[:, :PREFIX], rows[:, PREFIX:], tile=1024).match
            for rows in torch.from_numpy(paragraphs).split(16)
        ]
    return (
        torch.cat([match.exact_match for match in matches]).numpy(),
        torch.cat([match.nll_nats for match in matches]).numpy(),
    )


def by_decoding(model: GPTNeoForCausalLM, paragraphs: np.ndarray, positions: int) -> tuple[np.ndarray, np.ndarray]:
    """The papers' way: position after position, decode greedily with cache, then read the loss of the reference."""
    exact_match, nll = np.empty(len(paragraphs), int), np.empty(len(paragraphs))
    for position in range(positions):
        rows = np.arange(position, len(paragraphs), positions)
        ids = torch.from_numpy(paragraphs[rows])
        prefix = ids[:, :PREFIX]
        written = model.generate(
            prefix, attention_mask=torch.ones_like(prefix), max_new_tokens=CONTINUATION, do_sample=False, pad_token_id=0
        )[:, PREFIX:]
        exact_match[rows] = (written == ids[:, PREFIX:]).long().cumprod(dim=1).sum(dim=1).numpy()
        logits = model(ids).logits[:, PREFIX - 1 : -1]
        losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, PREFIX:], reduction="none")
        nll[rows] = losses.mean(dim=1).numpy()
    return exact_match, nll


def same(frame: pl.DataFrame, exact_match: np.ndarray, nll: np.ndarray) -> str:
    """How far two sets of numbers agree."""
    equal = (frame["exact_match"].to_numpy() == exact_match).mean()
    return f"{equal:.1%} of exact matches, NLL within {np.abs(frame['nll_nats'].to_numpy() - nll).max():.1e} nats"


def bench_sweep(paragraphs: int, rounds: int) -> list[str]:
    """Sweep, independent scoring and decoding of the same edits on the shape of GPT-Neo 125M; seconds per edit."""
    model = gpt_neo(12, 12, 768, 50257)
    prefix = np.random.default_rng(0).integers(50257, size=(paragraphs, PREFIX))
    reference = greedy_continuations(model, prefix, CONTINUATION)
    times: dict[str, list[float]] = {"sweep": [], "plain": [], "score": [], "decode": []}
    for _ in range(rounds):
        seconds, frame = timed(lambda: sweep(model, prefix, reference, positions=POSITIONS, seed=0))
        assert isinstance(frame, pl.DataFrame)
        times["sweep"].append(seconds / frame.height)
        edited = edited_paragraphs(prefix, reference, frame)
        seconds, plain = timed(lambda edited=edited: without_reuse(model, edited))
        times["plain"].append(seconds / frame.height)
        seconds, scored = timed(lambda edited=edited: score_paragraphs(model, edited).paragraphs)
        times["score"].append(seconds / frame.height)
    some = frame.filter(pl.col("position").is_in(DECODED))
    fewer = edited_paragraphs(prefix, reference, some)
    seconds, decoded = timed(lambda: by_decoding(model, fewer, len(DECODED)))
    times["decode"] = [seconds / some.height]
    scored_numbers = scored["exact_match"].to_numpy(), scored["continuation_nll_nats"].to_numpy()
    return [
        f"Sweep of {paragraphs} paragraphs × {len(POSITIONS)} positions, shape of GPT-Neo 125M, random weights, "
        f"{rounds} rounds (decoding: one round of {some.height} edits). Each ratio is the median of the rounds' own.",
        "",
        "| way | ms per edit | sweep costs | asked | agrees with the sweep in |",
        "|---|---|---|---|---|",
        f"| sweep, keys and values reused | {_median(times['sweep'])} | 1 | | |",
        f"| the same passes without reuse | {_median(times['plain'])} "
        f"| {_ratio(times['sweep'], times['plain'])} × | | {same(frame, *plain)} |",
        f"| every edit scored as an independent paragraph | {_median(times['score'])} "
        f"| {_ratio(times['sweep'], times['score'])} × | ≤ 0.8 | {same(frame, *scored_numbers)} |",
        f"| one position at a time, greedy decoding and a pass for the NLL | {_median(times['decode'])} "
        f"| {_ratio(times['sweep'], times['decode'])} × | ≤ 0.35 | {same(some, *decoded)} |",
        "",
    ]


def _median(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.0f}"


def _ratio(ours: list[float], theirs: list[float]) -> str:
    if len(theirs) < len(ours):  # the slow peer ran once, at the end
        theirs = theirs * len(ours)
    return f"{statistics.median(a / b for a, b in zip(ours, theirs, strict=True)):.2f}"


def bench_attention(rounds: int) -> list[str]:
    """Attention of all heads of 1,000 paragraphs on the quickstart's shape, and how memory grows with paragraphs."""
    model = gpt_neo(4, 4, 128, 4096)
    ids = np.random.default_rng(1).integers(4096, size=(4000, 100))
    prefix_attention(model, ids[:50])
    seconds, peaks = {}, {}
    for count in (250, 1000, 4000):
        seconds[count] = statistics.median(
            timed(lambda count=count: prefix_attention(model, ids[:count]))[0] for _ in range(rounds)
        )
        peaks[count] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    torch_seconds = statistics.median(timed(lambda: _all_attentions(model, ids[:1000]))[0] for _ in range(rounds))
    return [
        f"Attention of query 50 over the prefix, 4 layers × 4 heads, width 128, batches of 32, {rounds} rounds.",
        "",
        "| paragraphs | seconds | peak memory of the process [MiB] | result [MiB] |",
        "|---|---|---|---|",
        *(
            f"| {count} | {seconds[count]:.2f} | {peaks[count]:.0f} | {count * 16 * 51 * 4 / 2**20:.0f} |"
            for count in seconds
        ),
        "",
        f"`output_attentions` over whole paragraphs, 1,000 of them: {torch_seconds:.2f} s "
        f"({seconds[1000] / torch_seconds:.2f} × with ours). Asked: under 20 s for 1,000.",
        "",
    ]


def bench_head_rarity() -> list[str]:
    """All coefficients, intervals, placebos and tests of all heads."""
    lines = [
        "Head rarity: four coefficients with 2,000 bootstrap draws, 1,000 permutations, prefix of 50.",
        "",
        "| paragraphs | heads | seconds | asked |",
        "|---|---|---|---|",
    ]
    for paragraphs, layers, heads, asked in ((100, 4, 4, 5), (1000, 12, 12, 20)):
        rng = np.random.default_rng(0)
        attention = rng.dirichlet(np.full(PREFIX, 0.3), size=(paragraphs, layers, heads)).astype(np.float32)
        rank = rng.integers(0, 5000, size=(paragraphs, PREFIX))
        arrays = {"attention": attention, "surprisal_bits": 20 - np.log2(rank + 1.0), "rarity_rank": rank}
        arrays["clusters"] = np.arange(paragraphs) // 2
        seconds, _ = timed(lambda arrays=arrays: head_rarity(**arrays, seed=0))
        lines.append(f"| {paragraphs} | {layers * heads} | {seconds:.1f} | < {asked} |")
    return [*lines, ""]


def _all_attentions(model: GPTNeoForCausalLM, ids: np.ndarray) -> np.ndarray:
    """The plain way: all attention tensors of all layers, then the row."""
    rows = []
    with torch.inference_mode():
        for start in range(0, len(ids), 32):
            attentions = model(torch.from_numpy(ids[start : start + 32]), output_attentions=True).attentions
            rows.append(np.stack([layer[:, :, PREFIX, :PREFIX].numpy() for layer in attentions], axis=1))
    return np.concatenate(rows)


def machine() -> str:
    """What the numbers were measured on."""
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    return (
        f"{torch.get_num_threads()} of {torch.multiprocessing.cpu_count()} cores, {model.split(':')[1].strip()}, "
        f"{int(memory.split()[1]) // 2**20} GiB; Python {platform.python_version()}, torch {torch.__version__}, "
        f"transformers {transformers.__version__}. Other work ran on the machine: "
        "times are CPU time of the process; trust ratios more than seconds."
    )


def main() -> None:
    """Run, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paragraphs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    with torch.inference_mode():
        lines = ["# Triggers", "", machine(), "", *bench_attention(options.rounds)]
        lines += bench_head_rarity()
        lines += bench_sweep(options.paragraphs, options.rounds)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
