"""Scoring and sweeps on a CUDA device beside its own product rate and transformers' generate, in under eight minutes.

    python benchmarks/on_gpu.py                       # writes benchmarks/results/gpu.md; commit it
    python benchmarks/on_gpu.py --device cpu --small  # every step on a small model, to see that it runs; writes nothing

The model has GPT-Neo 125M's shape with random weights. All ways read the same rows in turns, a round at a time, until
the minutes are used up; ratios are medians of ratios within a round. Outputs are compared before anything is timed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from transformers import GPTNeoConfig, PreTrainedModel

sys.path.insert(0, str(Path(__file__).parents[1]))  # one command, from anywhere

from benchmarks.bench_scoring import (
    LENGTH,
    PREFIX,
    build,
    generate,
    gigaflop,
    machine,
    paragraphs,
    shaped_like_125m,
    weight_matmuls,
)
from probes.perturbation.sweep import sweep
from probes.scoring.half_precision import score_with_rescoring
from probes.scoring.screening import screen_paragraphs
from probes.scoring.teacher_forced import score_paragraphs

RESULTS = Path(__file__).parent / "results" / "gpu.md"
DTYPES = ("float32", "bfloat16")
PRODUCTS, SCORES, GENERATE = "products of the weights alone", "scores, all columns", "transformers generate, cached"


@dataclass(frozen=True)
class Size:
    """What is measured: the model's configuration, rows to score and to sweep, rows per pass, most rounds."""

    config: GPTNeoConfig
    rows: int
    swept: int
    batch_size: int
    rounds: int


def size_of(is_small: bool) -> Size:
    """GPT-Neo 125M's shape on 1,024 paragraphs; small: two layers of width 64 on four."""
    if not is_small:
        return Size(shaped_like_125m(), 1024, 8, 256, 7)
    kinds = [[["global", "local"], 1]]
    config = GPTNeoConfig(
        num_layers=2,
        num_heads=2,
        hidden_size=64,
        attention_types=kinds,
        vocab_size=500,
        max_position_embeddings=128,
        bos_token_id=0,
        eos_token_id=0,
    )
    return Size(config, 4, 1, 4, 1)


def seconds(work: Callable[[], object], device: str) -> float:
    """Wall-clock time of one call, the device's queue emptied before and after."""
    wait = torch.cuda.synchronize if device.startswith("cuda") else (lambda: None)
    wait()
    start = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - start


def ways(model: PreTrainedModel, exact: PreTrainedModel, size: Size) -> dict[str, tuple[int, Callable[[], object]]]:
    """Name to paragraphs (of a sweep: edits) and work; `exact` is the model in float32."""
    ids = paragraphs(size.rows, model.config.vocab_size)
    few, positions = ids[: size.swept], range(1, PREFIX)

    def _sweep() -> object:
        return sweep(model, few, few[:, PREFIX:], positions=positions, seed=0, batch_size=size.batch_size)

    return {
        PRODUCTS: (size.rows, weight_matmuls(model, size.rows)),
        SCORES: (size.rows, lambda: score_paragraphs(model, ids, batch_size=size.batch_size)),
        "scores, rows in doubt again in float32": (
            size.rows, lambda: score_with_rescoring(model, exact, ids, batch_size=size.batch_size)
        ),
        "exact match alone, screening": (
            size.rows, lambda: screen_paragraphs(model, ids, batch_size=size.batch_size)
        ),
        "perturbation sweep, an edit": (size.swept * len(positions), _sweep),
        GENERATE: (size.rows, generate(model, ids, size.batch_size, use_cache=True)),
    }  # fmt: skip


def timed(dtype: str, size: Size, device: str, until: float) -> Iterator[str]:
    """Markdown rows of one precision; the first call of each way is not counted."""
    model, exact = build(size.config, device, dtype), build(size.config, device, DTYPES[0])
    work = ways(model, exact, size)
    for name, (_, run) in work.items():
        run()
        print(f"  warm: {name}", flush=True)
    rounds: list[dict[str, float]] = []
    while len(rounds) < size.rounds and (not rounds or time.monotonic() < until):
        rounds.append({name: seconds(run, device) / count for name, (count, run) in work.items()})
        print(f"  round {len(rounds)} done", flush=True)
    yield "| what | ms each | rate, products of a paragraph alone = 1 | of generate's time |"
    yield "|---|---:|---:|---:|"
    for name in work:
        cells = [statistics.median(r[name] for r in rounds) * 1e3]
        cells += [statistics.median(r[PRODUCTS] / r[name] for r in rounds)]
        cells += [statistics.median(r[name] / r[GENERATE] for r in rounds)]
        yield f"| {name} | {cells[0]:.3f} | {cells[1]:.2f} | {cells[2]:.2f} |"
    rate = gigaflop(model) / statistics.median(r[PRODUCTS] for r in rounds) / 1e3
    yield f"\nProducts alone: {rate:.2f} TFLOP/s; {len(rounds)} rounds."


def matches_of_generate(model: PreTrainedModel, ids: torch.Tensor) -> list[int]:
    """Leading tokens of transformers' greedy decoding that are the true ones, for each row."""
    prefix = ids[:, :PREFIX].to(model.device)
    count = LENGTH - PREFIX
    with torch.inference_mode():
        written = model.generate(  # type: ignore[operator]
            prefix, attention_mask=torch.ones_like(prefix), max_new_tokens=count, min_new_tokens=count,
            do_sample=False, pad_token_id=0,
        )[:, PREFIX:].cpu()  # fmt: skip
    return (written == ids[:, PREFIX:]).long().cumprod(1).sum(1).tolist()


def half_recited(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    """Random weights recite nothing, so every other row goes on as the model itself would, for 0 to 49 tokens."""
    prefix, recited = ids[::2, :PREFIX].to(model.device), ids.clone()
    with torch.inference_mode():
        own = model.generate(  # type: ignore[operator]
            prefix, attention_mask=torch.ones_like(prefix), max_new_tokens=LENGTH - PREFIX, do_sample=False,
            min_new_tokens=LENGTH - PREFIX, pad_token_id=0,
        )[:, PREFIX:].cpu()  # fmt: skip
    for row, tokens in enumerate(own):
        kept = (20 + 7 * row) % (LENGTH - PREFIX)
        recited[2 * row, PREFIX : PREFIX + kept] = tokens[:kept]
    return recited


def agreement(size: Size, device: str) -> Iterator[str]:
    """Sentences: exact match beside generate in float32, and what bfloat16 left to float32."""
    exact, rough = (build(size.config, device, dtype) for dtype in DTYPES)
    ids = half_recited(exact, paragraphs(min(size.rows, 256), size.config.vocab_size))
    wanted = matches_of_generate(exact, ids)
    scored = score_paragraphs(exact, ids, batch_size=size.batch_size).paragraphs["exact_match"].to_list()
    differs = sum(ours != theirs for ours, theirs in zip(scored, wanted, strict=True))
    mean = sum(wanted) / len(ids)
    yield f"Exact match in float32 differs from generate's in {differs} of {len(ids)} rows (mean {mean:.1f} tokens)."
    again = score_with_rescoring(rough, exact, ids, batch_size=size.batch_size)
    left = sum(a != b for a, b in zip(again.scores.paragraphs["exact_match"].to_list(), scored, strict=True))
    yield (
        f"In bfloat16 {again.rescored_count} rows lay under the margin bound of {again.margin_bound:.3f} logits and "
        f"were read again in float32, which changed {again.flipped_count}; {left} rows still differ from float32."
    )


def page(options: argparse.Namespace) -> Iterator[str]:
    """The page, a section at a time."""
    size, start = size_of(options.small), time.monotonic()
    is_cuda = options.device.startswith("cuda")
    shape = "a small model" if options.small else "GPT-Neo 125M's shape"
    tf32 = "on" if torch.backends.cuda.matmul.allow_tf32 else "off"
    yield (
        f"# Scoring on a GPU\n\n{machine('cuda' if is_cuda else 'cpu')}, transformers {transformers.__version__}, TF32 "
        f"{tf32}; {shape}, random weights, {size.rows} rows of {PREFIX} + {LENGTH - PREFIX} tokens, passes of "
        f"{size.batch_size}. Written by `benchmarks/on_gpu.py`."
    )
    yield "## The same answers\n\n" + "\n".join(agreement(size, options.device))
    for index, dtype in enumerate(DTYPES):
        print(dtype, flush=True)
        until = start + options.minutes * 60 * (index + 1) / len(DTYPES)
        yield f"## {dtype}\n\n" + "\n".join(timed(dtype, size, options.device, until))
        if is_cuda:
            yield f"Largest memory so far: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB."


def main() -> None:
    """Measure and write the page; without the device say so in one sentence."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="a small model, to see that every step runs")
    parser.add_argument("--minutes", type=float, default=6.0, help="no further round begins after them")
    parser.add_argument("--output", type=Path, help=f"default: {RESULTS.name} beside the other results, unless --small")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        parser.exit(2, "There is no CUDA device here; run this on a machine with one, or try --device cpu --small.\n")
    output = options.output or (None if options.small else RESULTS)
    written: list[str] = []
    for section in page(options):
        written.append(section)
        if output is not None:  # what is measured so far survives an interruption
            output.write_text("\n\n".join(written) + "\n")
    print("\n\n".join(written))


if __name__ == "__main__":
    main()
