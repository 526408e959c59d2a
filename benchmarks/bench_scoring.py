"""How fast and how lean is scoring? Peers run in the same process, in turns: ratios survive a busy machine.

    python benchmarks/bench_scoring.py                # the table; writes benchmarks/results/scoring.md
    python benchmarks/bench_scoring.py --device cuda  # the same on an accelerator

The model has the shape of GPT-Neo 125M with random weights. Random weights recite nothing, so screening meets rows
that fail at once, the common case of a large sample. TransformerLens joins in when it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from transformers import GPTNeoConfig, GPTNeoForCausalLM, PreTrainedModel

from probes.scoring.screening import screen_paragraphs
from probes.scoring.teacher_forced import score_paragraphs

RESULTS = Path(__file__).parent / "results" / "scoring.md"
PREFIX, LENGTH = 50, 100
OURS = "score_paragraphs (all columns)"
PRODUCTS = "matrix products of the weights alone"
LINEARITY_COUNTS = (100, 300, 1000, 3000, 10_000)


def shaped_like_125m(vocabulary: int = 50257) -> GPTNeoConfig:
    """Configuration of GPT-Neo 125M, or of the same with another vocabulary."""
    kinds = [[["global", "local"], 6]]
    return GPTNeoConfig(num_layers=12, num_heads=12, hidden_size=768, attention_types=kinds, vocab_size=vocabulary)


def build(config: GPTNeoConfig, device: str, dtype: str) -> PreTrainedModel:
    """A model with random weights."""
    torch.manual_seed(0)
    return GPTNeoForCausalLM(config).to(device=device, dtype=getattr(torch, dtype)).eval().requires_grad_(False)


def paragraphs(rows: int, vocabulary: int) -> torch.Tensor:
    """Random token ids, [paragraph, position]."""
    return torch.randint(0, vocabulary, (rows, LENGTH), generator=torch.Generator().manual_seed(1))


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    synchronize = torch.cuda.synchronize if torch.cuda.is_available() else (lambda: None)
    synchronize()
    begin = time.perf_counter()
    work()
    synchronize()
    return time.perf_counter() - begin


def weight_matmuls(model: PreTrainedModel, rows: int) -> Callable[[], None]:
    """Nothing but the products of activations and weights that `rows` paragraphs need, in one go per matrix."""
    stacks: dict[int, torch.Tensor] = {}
    weights = [module.weight for module in model.modules() if isinstance(module, torch.nn.Linear)]
    for weight in weights:
        stacks[weight.shape[1]] = torch.randn(
            rows * (LENGTH - 1), weight.shape[1], dtype=model.dtype, device=model.device
        )

    def _run() -> None:
        with torch.inference_mode():
            for weight in weights:
                for part in weight.split(3072):  # the head in pieces: its logits are never held as a whole
                    torch.nn.functional.linear(stacks[weight.shape[1]], part)

    return _run


def gigaflop(model: PreTrainedModel) -> float:
    """Floating-point operations of the weight products of one paragraph, in 1e9."""
    entries = sum(module.weight.numel() for module in model.modules() if isinstance(module, torch.nn.Linear))
    return 2 * entries * (LENGTH - 1) / 1e9


def generate(model: PreTrainedModel, ids: torch.Tensor, batch: int, use_cache: bool) -> Callable[[], None]:
    """transformers' greedy decoding of the continuation, `batch` rows at a time."""

    def _run() -> None:
        with torch.inference_mode():
            for part in ids[:, :PREFIX].to(model.device).split(batch):
                model.generate(
                    part,
                    attention_mask=torch.ones_like(part),
                    max_new_tokens=LENGTH - PREFIX,
                    min_new_tokens=LENGTH - PREFIX,
                    do_sample=False,
                    use_cache=use_cache,
                    pad_token_id=0,
                )

    return _run


def transformer_lens(ids: torch.Tensor, device: str, dtype: str) -> Callable[[], object] | None:
    """TransformerLens' cached greedy decoding of all rows at once, on the same shape; None where it is missing."""
    if importlib.util.find_spec("transformer_lens") is None:
        return None
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    config = HookedTransformerConfig(
        n_layers=12, n_heads=12, d_model=768, d_head=64, d_mlp=3072, n_ctx=2048, d_vocab=50257, act_fn="gelu_new",
        normalization_type="LN", use_attn_scale=False, device=device, dtype=getattr(torch, dtype),
    )  # fmt: skip
    model = HookedTransformer(config)
    settings = {"max_new_tokens": LENGTH - PREFIX, "do_sample": False, "stop_at_eos": False, "verbose": False}

    def _run() -> object:
        with torch.inference_mode():
            return model.generate(ids[:, :PREFIX].to(device), return_type="tokens", **settings)

    return _run


def peers(model: PreTrainedModel, options: argparse.Namespace) -> dict[str, tuple[int, Callable[[], object]]]:
    """What is timed: name to rows and work. The first is ours; the others are compared with it per row."""
    ids = paragraphs(options.rows, model.config.vocab_size)
    few = ids[:2]
    found: dict[str, tuple[int, Callable[[], object]]] = {
        OURS: (
            len(ids),
            lambda: score_paragraphs(model, ids, batch_size=options.batch_size),
        ),
        PRODUCTS: (len(ids), weight_matmuls(model, len(ids))),
        "transformers generate, cached, batch 32": (len(ids), generate(model, ids, 32, use_cache=True)),
        "transformers generate, cached, batch 1": (len(few), generate(model, few, 1, use_cache=True)),
        "transformers generate, not cached, batch 2": (len(few), generate(model, few, 32, use_cache=False)),
        "screen_paragraphs (EM only, early misses)": (
            len(ids),
            lambda: screen_paragraphs(model, ids, batch_size=options.batch_size),
        ),
    }
    lens = transformer_lens(ids, options.device, options.dtype)
    if lens is not None:
        found["TransformerLens generate, cached, batch 32"] = (len(ids), lens)
    return found


def time_table(options: argparse.Namespace) -> list[str]:
    """Markdown rows: milliseconds per paragraph and the ratio to scoring, each peer right after a scoring run."""
    model = build(shaped_like_125m(), options.device, options.dtype)
    work = peers(model, options)
    count, score = work.pop(OURS)
    score()  # warm-up
    lines = [
        "| what | ms / paragraph | scoring beside it | ratio, paired: median (least to most) |",
        "|---|---:|---:|---:|",
    ]
    for name, (rows, run) in work.items():
        rounds = options.rounds if rows == count and "Lens" not in name else 1  # slow ones are far off anyway
        pairs = [(seconds(score) / count * 1e3, seconds(run) / rows * 1e3) for _ in range(rounds)]
        ratios = [theirs / ours for ours, theirs in pairs]
        ours, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
        spread = f" ({min(ratios):.2f} to {max(ratios):.2f})" if rounds > 1 else ""
        lines.append(f"| {name} | {theirs:.1f} | {ours:.1f} | {statistics.median(ratios):.2f}{spread} |")
        if name == PRODUCTS:
            flop, alone, within = gigaflop(model), gigaflop(model) / theirs * 1e3, gigaflop(model) / ours * 1e3
            rate = f"A paragraph needs {flop:.1f} GFLOP in products with weights: "
            rate += f"{alone:.0f} GFLOP/s alone, {within:.0f} within scoring."
        print(lines[-1], flush=True)
    return [*lines, "", rate]


def resident_mib(field: str) -> float:
    """Memory of this process in MiB: VmRSS now, or VmHWM at its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def peak_memory(batch_size: int, vocabulary: int) -> dict[str, float]:
    """MiB above the loaded model while scoring a batch; run in a process of its own."""
    model = build(shaped_like_125m(vocabulary), "cpu", "float32")
    ids = paragraphs(batch_size, vocabulary)
    score_paragraphs(model, ids[:1])  # libraries load on first use; they belong to the model's side of the account
    Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the peak so far
    before = resident_mib("VmRSS")
    score_paragraphs(model, ids, batch_size=batch_size)
    return {"batch_size": batch_size, "vocabulary": vocabulary, "mib": resident_mib("VmHWM") - before}


def memory_table() -> list[str]:
    """Markdown rows of peak memory by batch size and vocabulary."""
    lines = ["| batch size | vocabulary | peak above the weights, MiB |", "|---:|---:|---:|"]
    for batch_size, vocabulary in ((8, 50257), (64, 50257), (64, 5000)):
        command = [sys.executable, __file__, "--memory", str(batch_size), str(vocabulary)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        lines.append(f"| {batch_size} | {vocabulary:,} | {found['mib']:.0f} |")
    return lines


def linearity_table(options: argparse.Namespace) -> list[str]:
    """Markdown rows of the time per paragraph by the number of paragraphs, on a small model."""
    kinds = [[["global", "local"], 1]]
    config = GPTNeoConfig(
        num_layers=2, num_heads=4, hidden_size=64, attention_types=kinds, vocab_size=2048, intermediate_size=256
    )
    model = build(config, options.device, options.dtype)
    ids = paragraphs(max(LINEARITY_COUNTS), 2048)
    score_paragraphs(model, ids[:100])
    lines = ["| paragraphs | ms / paragraph |", "|---:|---:|"]
    for count in LINEARITY_COUNTS:
        part = ids[:count]
        best = min(seconds(lambda part=part: score_paragraphs(model, part)) for _ in range(3 if count < 2000 else 1))
        lines.append(f"| {count:,} | {best / count * 1e3:.3f} |")
    return lines


def machine(device: str) -> str:
    """The machine in words: cores, memory, versions."""
    if device == "cuda":
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    named = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    name = named[0].split(":")[1].strip() if named else platform.processor()
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{os.cpu_count()} cores of {name}, {memory:.0f} GiB, {versions}"


def sections(options: argparse.Namespace) -> Iterator[str]:
    """The page, a section at a time."""
    yield (
        f"# Scoring: speed and memory\n\n{machine(options.device)}; {options.dtype}, {options.threads} threads, "
        f"GPT-Neo 125M's shape, {PREFIX} + {LENGTH - PREFIX} tokens. Written by `benchmarks/bench_scoring.py`."
    )
    yield "## Time beside its peers\n\n" + "\n".join(time_table(options))
    if options.device == "cpu" and Path("/proc/self/clear_refs").exists():
        yield "## Memory does not grow with batch x vocabulary\n\n" + "\n".join(memory_table())
    yield "## Time is linear in paragraphs (2 layers, width 64)\n\n" + "\n".join(linearity_table(options))


def main() -> None:
    """Run everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--memory", type=int, nargs=2, metavar=("BATCH", "VOCABULARY"), help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.memory:
        print(json.dumps(peak_memory(*options.memory)))
        return
    torch.set_num_threads(options.threads)
    options.output.parent.mkdir(exist_ok=True)
    written = []
    for section in sections(options):
        written.append(section)
        options.output.write_text("\n\n".join(written) + "\n")
    print(options.output.read_text())


if __name__ == "__main__":
    main()
