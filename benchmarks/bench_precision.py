"""What would bfloat16 products bring to scoring and to sweeps, if exact match must stay that of float32?

    python benchmarks/bench_precision.py                                        # GPT-Neo 125M's shape, random weights
    python benchmarks/bench_precision.py --checkpoint FOLDER --text FILE FILE   # a real model on real text

Linear layers below the output head (and with --head the head) multiply in bfloat16, all else stays in float32. Rows
whose margin up to the divergence lies below twice the largest change of a margin would be read again in float32.
Written to benchmarks/results/precision.md, a section for each model. CPU time of one thread, in turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.bench_scoring import LENGTH, PREFIX, build, machine, paragraphs, shaped_like_125m, weight_matmuls
from probes.bfloat16 import bfloat16_products
from probes.forward import fused, logits, unembedding
from probes.scoring.generation import greedy_continuations
from probes.scoring.half_precision import SAFETY, margin_error
from probes.scoring.screening import screen_paragraphs
from probes.scoring.teacher_forced import Scores, score_paragraphs

RESULTS = Path(__file__).parent / "results" / "precision.md"


@contextmanager
def in_bfloat16(model: torch.nn.Module, with_head: bool) -> Iterator[None]:
    """Products in bfloat16 on fused kernels; weights are rounded once a call, as a shard would do it."""

    def _linear(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        found = torch.nn.functional.linear(hidden.bfloat16(), weight.bfloat16()).float()
        return found if bias is None else found.add_(bias)

    with (
        mock.patch.object(unembedding, "LOGIT_TOLERANCE", 100.0),
        mock.patch.object(fused, "prefers_onednn", lambda: False),
        fused.fused(model),  # type: ignore[arg-type]
        bfloat16_products(model),  # type: ignore[arg-type]
        mock.patch.object(logits, "linear", _linear if with_head else logits.linear),
    ):
        yield


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def in_doubt(exact: Scores, rough: Scores) -> list[str]:
    """Cells: largest change of a margin, of a token's NLL, its root mean square, rows in doubt, rows that flipped."""
    after = exact.tokens["position"] >= PREFIX  # only these decide
    error = margin_error(rough.tokens.filter(after), exact.tokens.filter(after))
    change = (exact.tokens["nll_nats"] - rough.tokens["nll_nats"]).abs().to_numpy()
    doubt = (rough.paragraphs["top2_margin"] < SAFETY * error).mean()
    flips = (rough.paragraphs["exact_match"] != exact.paragraphs["exact_match"]).sum()
    rms = float(np.sqrt(np.square(change).mean()))
    return [
        f"{error:.2f}",
        f"{change.max():.2f}",
        f"{rms:.3f}",
        f"{doubt:.0%}",
        f"{flips} of {exact.paragraphs.height}",
    ]


def doubt_table(model, kinds: dict[str, torch.Tensor], with_head: bool) -> Iterator[str]:
    """Markdown rows: what float32 would have to decide again."""
    yield "| paragraphs | margin, largest change | NLL, largest | NLL, rms | rows in doubt | exact match differs |"
    yield "|---|---:|---:|---:|---:|---:|"
    for name, ids in kinds.items():
        exact = score_paragraphs(model, ids, PREFIX)
        with in_bfloat16(model, with_head):
            rough = score_paragraphs(model, ids, PREFIX)
        yield f"| {name} | " + " | ".join(in_doubt(exact, rough)) + " |"
        print(name, flush=True)


def rough_scores(model, ids: torch.Tensor, with_head: bool) -> Callable[[], object]:
    """Scoring in bfloat16 products as a call."""

    def _run() -> None:
        with in_bfloat16(model, with_head):
            score_paragraphs(model, ids, PREFIX)

    return _run


def speed_table(model, ids: torch.Tensor, rounds: int) -> Iterator[str]:
    """Markdown rows: rates as multiples of the float32 products alone, medians of ratios within a round."""
    products = weight_matmuls(model, len(ids))
    ways: dict[str, Callable[[], object]] = {
        "scores, float32": lambda: score_paragraphs(model, ids, PREFIX),
        "scores, bfloat16 below the head": rough_scores(model, ids, False),
        "scores, bfloat16 and the head as well": rough_scores(model, ids, True),
        "exact match alone by screening, float32": lambda: screen_paragraphs(model, ids, PREFIX),
    }
    ratios: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        alone = cpu_seconds(products)
        for name, work in ways.items():
            ratios[name].append(alone / cpu_seconds(work))
    yield "| way, nothing read again | rate, float32 products alone = 1 (least to most) |"
    yield "|---|---:|"
    for name, found in ratios.items():
        yield f"| {name} | {statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f}) |"


def real_paragraphs(tokenizer, files: list[Path], rows: int) -> torch.Tensor:
    """Windows of the files, evenly spaced, [paragraph, position]."""
    ids = [token for path in files for token in tokenizer(path.read_text(errors="ignore")).input_ids]
    starts = np.linspace(0, len(ids) - LENGTH, rows).astype(int)
    return torch.tensor([ids[start : start + LENGTH] for start in starts])


def with_own_continuations(model, ids: torch.Tensor, seed: int) -> dict[str, torch.Tensor]:
    """What sweeps read: the model's own greedy continuation, after the prefix as it is and with one token replaced."""
    own = torch.tensor(greedy_continuations(model, ids[:, :PREFIX].tolist(), LENGTH - PREFIX, 32).tolist())
    kept = torch.cat([ids[:, :PREFIX], own], dim=1)
    changed, generator = kept.clone(), torch.Generator().manual_seed(seed)
    places = torch.randint(1, PREFIX, (len(ids),), generator=generator)
    changed[torch.arange(len(ids)), places] = torch.randint(
        0, model.config.vocab_size, (len(ids),), generator=generator
    )
    return {"own continuation": kept, "own continuation, one token of the prefix replaced": changed}


def main() -> None:
    """Measure one model and put its section on the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", help="folder; random weights of GPT-Neo 125M's shape without it")
    parser.add_argument("--text", nargs="+", type=Path)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--head", action="store_true")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.checkpoint:
        name = Path(options.checkpoint).name
        model = AutoModelForCausalLM.from_pretrained(options.checkpoint, dtype="float32").eval().requires_grad_(False)
        ids = real_paragraphs(AutoTokenizer.from_pretrained(options.checkpoint), options.text, options.rows)
        kinds = {"text": ids, **with_own_continuations(model, ids[: options.rows // 2], 0)}
    else:
        name, model = "random weights of GPT-Neo 125M's shape", build(shaped_like_125m(), "cpu", "float32")
        ids = paragraphs(options.rows, 50257)
        kinds = {"random tokens": ids}
    head = "and the head " if options.head else ""
    lines = [f"## {name}", "", f"Bfloat16 below the head {head}beside float32.", ""]
    lines += [*doubt_table(model, kinds, options.head), "", *speed_table(model, ids[:16], options.rounds), ""]
    load = f"load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores at the end"
    lines.append(f"{machine('cpu')}, one thread, {load}; {len(ids)} rows of {PREFIX} + {LENGTH - PREFIX} tokens.")
    known = options.output.read_text() if options.output.exists() else "# Would bfloat16 products pay?\n"
    options.output.write_text(known.rstrip() + "\n\n" + "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
