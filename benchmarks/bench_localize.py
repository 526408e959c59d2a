"""What sweeps and gradient norms cost beside plain transformers (and TransformerLens, where installed).

    python benchmarks/bench_localize.py            # GPT-Neo 125M's shape, random weights, one thread
    python benchmarks/bench_localize.py --rounds 9 --rows 8 --sweep-rows 2

Times are CPU seconds of one thread; every ratio is a median of ratios taken within one round of one process.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import GPTNeoConfig, GPTNeoForCausalLM

from probes.architectures import adapter_for
from probes.forward.trunk import score_tokens
from probes.gradients.parameters import gradient_norms, parameter_gradients
from probes.interventions.sweep import Intervention, block_sweep, head_sweep, outcomes

PREFIX, LENGTH = 50, 100
NOTES = (
    "Sweeps include the clean forward, and NLL, argmax and entropy of every continuation token; the head sweep takes "
    "all heads of all layers. They run on fused kernels, reuse what lies below the block, and leave out queries and "
    "keys of attention that is replaced; for this they keep the input of every block, in the head sweep its values, "
    "what the heads wrote and the attention's output too: four times layers × paragraphs × positions × width floats. "
    "One whole forward computes the logits of all positions, as transformers does, and scores nothing. "
    "Gradient norms are of the blocks' weights; the one backward per paragraph also forms the gradients of the "
    "embeddings, which plain autograd cannot leave out while they are trainable."
)
RESULTS = Path(__file__).parent / "results" / "localize.md"


def model_of_125m() -> GPTNeoForCausalLM:
    """GPT-Neo 125M's configuration (transformers' sizes, 12 layers × 12 heads, width 768) with random weights."""
    torch.manual_seed(0)
    config = GPTNeoConfig(attention_types=[[["global", "local"], 6]], num_layers=12, num_heads=12, hidden_size=768)
    return GPTNeoForCausalLM(config).eval()


def seconds(work: Callable[[], Any]) -> float:
    """CPU seconds of one call, user and system: one thread works, and what other processes do counts less."""
    start = time.process_time()
    work()
    return time.process_time() - start


def full_forward(model: Any, ids: torch.Tensor) -> None:
    """The whole model with all logits, as transformers runs it."""
    with torch.no_grad():
        model(ids[:, :-1], use_cache=False)


def forward_and_scores(model: Any, ids: torch.Tensor) -> None:
    """What each block costs without reuse: the whole model and the same scores of the continuation."""
    adapter = adapter_for(model)
    with torch.no_grad():
        hidden = adapter.model.base_model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
        model.lm_head(hidden[:, : PREFIX - 1])  # the logits that transformers computes and nobody reads
        score_tokens(adapter, hidden[:, PREFIX - 1 :], ids[:, PREFIX:])


def sweep(model: Any, ids: torch.Tensor, interventions: list[Intervention]) -> None:
    """One clean forward, then each intervention from its own block, scored."""
    adapter = adapter_for(model)
    bundles = [(intervention,) for intervention in interventions]
    outcomes(adapter, ids, PREFIX, bundles, None, batch_size=32)


def lens_sweep(bridge: Any, ids: torch.Tensor, layers: int) -> None:
    """The same short-circuits as hooks of TransformerLens, one whole forward each."""
    for layer in range(layers):
        kept: list[torch.Tensor] = []

        def _keep(values: torch.Tensor, hook: Any, kept: list[torch.Tensor] = kept) -> None:
            kept[:] = [values]

        def _replace(z: torch.Tensor, hook: Any, kept: list[torch.Tensor] = kept) -> torch.Tensor:
            return kept[0].reshape(z.shape)

        hooks = [(f"blocks.{layer}.attn.hook_v", _keep), (f"blocks.{layer}.attn.hook_z", _replace)]
        with torch.no_grad():
            bridge.run_with_hooks(ids[:, :-1], fwd_hooks=hooks)


def one_backward_each(model: Any, ids: torch.Tensor, summarise: Callable[[torch.Tensor], Any]) -> None:
    """Plain autograd, one paragraph at a time, then a summary of each head's gradient."""
    adapter = adapter_for(model)
    for row in ids:
        model.zero_grad()
        logits = model(row[None, :-1], use_cache=False).logits[0, PREFIX - 1 :]
        torch.nn.functional.cross_entropy(logits, row[PREFIX:]).backward()
        for layer in range(adapter.layer_count):
            for projection in adapter.projections(layer):
                summarise(projection.split_weight(projection.module.weight.grad).flatten(1))
    model.zero_grad()


def norm(entries: torch.Tensor) -> torch.Tensor:
    """Euclidean norm of each head."""
    return entries.norm(dim=1)


def three(entries: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Largest, mean and Euclidean size of each head."""
    size = entries.abs()
    return size.amax(1), size.mean(1), entries.norm(dim=1)


def lens(model: Any) -> Any:
    """TransformerBridge around the model, or None where TransformerLens is not installed."""
    try:
        from transformer_lens.model_bridge import TransformerBridge
    except ImportError:
        return None
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    with tempfile.TemporaryDirectory() as folder:
        model.config.save_pretrained(folder)
        words = Tokenizer(models.WordLevel({"0": 0}, unk_token="0"))
        names = dict.fromkeys(("unk_token", "eos_token", "bos_token", "pad_token"), "0")
        PreTrainedTokenizerFast(tokenizer_object=words, **names).save_pretrained(folder)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        return TransformerBridge.boot_transformers(folder, hf_model=model, tokenizer=tokenizer)


def rounds(model: Any, ids: torch.Tensor, count: int, sweep_rows: int) -> Iterator[dict[str, float]]:
    """Seconds of every contender, once per round."""
    few, blocks = ids[:sweep_rows], block_sweep(model)
    heads = head_sweep(model)
    bridge = lens(model_of_125m())

    def _forward() -> float:
        return statistics.median(seconds(lambda: full_forward(model, few)) for _ in range(3))

    for _ in range(count):
        taken = {
            "forward": _forward(),
            "blocks": seconds(lambda: sweep(model, few, blocks)) / len(blocks),
            "forward between": _forward(),
            "heads": seconds(lambda: sweep(model, few, heads)) / len(heads),
        }
        if bridge is not None:
            taken["lens blocks"] = seconds(lambda: lens_sweep(bridge, few, len(blocks))) / len(blocks)
        taken["forward"] = statistics.mean((taken["forward"], taken.pop("forward between"), _forward()))
        taken["forward and scores"] = seconds(lambda: forward_and_scores(model, few))
        taken |= {
            "norms": seconds(lambda: gradient_norms(model, ids, PREFIX)) / len(ids),
            "backward": seconds(lambda: one_backward_each(model, ids[:4], norm)) / 4,
            "gradients": seconds(lambda: parameter_gradients(model, ids[:4], PREFIX)) / 4,
            "backward and summary": seconds(lambda: one_backward_each(model, ids[:4], three)) / 4,
        }
        print({name: round(value, 3) for name, value in taken.items()}, flush=True)
        yield taken


def table(results: list[dict[str, float]], memory: dict[str, int]) -> str:
    """The markdown table."""
    comparisons = [
        ("block sweep, per block", "blocks", "forward", "one whole forward", "≤ 0.6"),
        ("block sweep, per block", "blocks", "forward and scores", "one whole forward and scores", ""),
        ("head sweep, per head", "heads", "forward", "one whole forward", "≤ 0.6"),
        ("head sweep, per head", "heads", "forward and scores", "one whole forward and scores", ""),
        ("block sweep of TransformerLens, per block", "lens blocks", "forward", "one whole forward", ""),
        ("gradient norms, per paragraph", "norms", "backward", "one backward per paragraph", "≤ 0.33"),
        ("max, mean and norm, per paragraph", "gradients", "backward and summary", "one backward per paragraph", ""),
    ]
    lines = [
        "| work | CPU seconds (median) | ratio to | ratio (median) | range | wanted |",
        "|---|---|---|---|---|---|",
    ]
    for label, ours, theirs, against, wanted in comparisons:
        if ours not in results[0]:
            lines.append(f"| {label} | not installed | | | | |")
            continue
        ratios = [r[ours] / r[theirs] for r in results]
        span = f"{min(ratios):.2f} to {max(ratios):.2f}"
        median = statistics.median(r[ours] for r in results)
        lines.append(f"| {label} | {median:.3f} | {against} | {statistics.median(ratios):.2f} | {span} | {wanted} |")
    peaks = ", ".join(f"{name} {megabytes:,} MB" for name, megabytes in memory.items())
    return "\n".join(lines) + f"\n\nPeak resident memory of a process that does nothing else: {peaks}.\n\n{NOTES}"


def peak_megabytes(work: str) -> int:
    """Peak resident memory of a fresh process that does one kind of work."""
    output = subprocess.run(  # our own script, our own argument
        [sys.executable, __file__, "--memory-of", work], capture_output=True, text=True, check=True
    ).stdout
    return int(output.split()[-1])


def do_one(work: str, rows: int) -> None:
    """The child process of `peak_megabytes`."""
    model, ids = model_of_125m(), torch.randint(50257, (rows, LENGTH))
    works: dict[str, Callable[[], Any]] = {
        "model alone": lambda: None,
        "block sweep, 4 paragraphs": lambda: sweep(model, ids[:4], block_sweep(model)),
        "gradient norms": lambda: gradient_norms(model, ids, PREFIX),
        "one backward per paragraph": lambda: one_backward_each(model, ids[:2], norm),
    }
    works[work]()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def machine() -> str:
    """Cores, processor, memory and versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in lines if "model name" in line), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "transformers"))
    return f"{os.cpu_count()} cores, {cpu}, {memory:.0f} GiB, one thread; Python {sys.version.split()[0]}, {versions}"


def main() -> None:
    """Run, print, write the results file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--sweep-rows", type=int, default=4)
    parser.add_argument("--memory-of")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.memory_of:
        return do_one(options.memory_of, options.rows)
    kinds = ("model alone", "block sweep, 4 paragraphs", "gradient norms", "one backward per paragraph")
    memory = {kind: peak_megabytes(kind) for kind in kinds}
    ids = torch.randint(50257, (options.rows, LENGTH), generator=torch.Generator().manual_seed(0))
    results = list(rounds(model_of_125m(), ids, options.rounds, options.sweep_rows))
    text = (
        f"# Localization\n\nGPT-Neo 125M's shape, paragraphs of 100 tokens. {machine()}.\n\n{table(results, memory)}\n"
    )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
