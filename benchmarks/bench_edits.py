"""P1's unlearning protocol beside the same loop written with the plain optimizer and two copies of the model.

    python benchmarks/bench_edits.py                 # 20 paragraphs, 10 steps, 3 selections, the quickstart's shape
    python benchmarks/bench_edits.py --paragraphs 4 --no-memory

Ours does the whole protocol; the plain loop does some of the paragraphs in between, and the ratio is taken per
paragraph. Both edit the same weights of the same model and end with the same reading of the same paragraphs.
"""

from __future__ import annotations

import argparse
import copy
import importlib.metadata
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from transformers import GPTNeoConfig, GPTNeoForCausalLM

from probes.architectures import adapter_for
from probes.editing.optimizer import AdamSettings
from probes.editing.runs_of_target import Program, measure_subject
from probes.editing.score_card import Passages, Ruler, Subject
from probes.editing.selections import Selection, editable_weights, select

PREFIX, LENGTH, CONTROLS, OTHERS = 50, 100, 10, 10
SELECTIONS = ("all", "top:0.001", "random:0.001")
RESULTS = Path(__file__).parent / "results" / "edits.md"


def quickstart_model() -> GPTNeoForCausalLM:
    """The quickstart's shape (4 layers × 4 heads, width 128, vocabulary 4,096) with random weights."""
    torch.manual_seed(0)
    config = GPTNeoConfig(
        vocab_size=4096, max_position_embeddings=128, hidden_size=128, num_layers=4, num_heads=4, window_size=64,
        attention_types=[[["global", "local"], 2]], resid_dropout=0.0, embed_dropout=0.0, attention_dropout=0.0,
    )  # fmt: skip
    return GPTNeoForCausalLM(config).eval().requires_grad_(False)


def model_of_125m() -> GPTNeoForCausalLM:
    """The shape of GPT-Neo 125M with random weights."""
    torch.manual_seed(0)
    config = GPTNeoConfig(attention_types=[[["global", "local"], 6]], num_layers=12, num_heads=12, hidden_size=768)
    return GPTNeoForCausalLM(config).eval().requires_grad_(False)


def paragraphs(vocabulary: int, count: int, seed: int) -> torch.Tensor:
    """Random ids, [paragraph, position]; time does not depend on what they say."""
    return torch.randint(vocabulary, (count, LENGTH), generator=torch.Generator().manual_seed(seed))


def program(steps: int, selections: tuple[str, ...]) -> Program:
    """P1: unlearn, Adam at 1e-5, 0.1 on the NLL; relearning and other prompts are not part of the protocol."""
    ruler = Ruler(PREFIX, (1.0,), 0, 0, 0)
    adam = AdamSettings(1e-5)
    return Program(("unlearn",), selections, adam=adam, step_count=steps, relearning_limit=0, ruler=ruler)


def ours(model: Any, target: torch.Tensor, controls: torch.Tensor, others: torch.Tensor, plan: Program) -> None:
    """All selections on one paragraph."""
    sets = {"controls": Passages(tuple(map(str, range(len(others)))), others)}
    subject = Subject("t", "single", Passages(("t",), target[None]), target[None][:0], sets)
    measure_subject(model, subject, controls, plan)


def plain(model: Any, target: torch.Tensor, controls: torch.Tensor, others: torch.Tensor, plan: Program) -> None:
    """The loop as one would write it: a frozen copy read in every step, all weights in torch.optim.Adam, a mask."""
    frozen = copy.deepcopy(model)
    for text in plan.selections:
        edited = copy.deepcopy(model).requires_grad_(True)
        masks = plain_masks(edited, target, text)
        optimizer = torch.optim.Adam(edited.parameters(), lr=plan.adam.learning_rate)
        for _ in range(plan.step_count):
            optimizer.zero_grad()
            plain_loss(edited, frozen, target, controls).backward()
            for name, parameter in edited.named_parameters():
                parameter.grad *= masks.get(name, 0.0)
            optimizer.step()
        with torch.no_grad():
            logits = edited(torch.cat([target[None], others])[:, :-1], use_cache=False).logits
            torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.cat([target[None], others])[:, 1:].flatten())
            logits.argmax(-1)


def plain_loss(edited: Any, frozen: Any, target: torch.Tensor, controls: torch.Tensor) -> torch.Tensor:
    """−0.1 NLL of the target + KL to the frozen copy on the controls, summed over continuation and vocabulary."""
    logits = edited(target[None, :-1], use_cache=False).logits[0, PREFIX - 1 :]
    loss = -0.1 * torch.nn.functional.cross_entropy(logits, target[PREFIX:])
    with torch.no_grad():
        before = frozen(controls[:, :-1], use_cache=False).logits[:, PREFIX - 1 :].log_softmax(-1)
    after = edited(controls[:, :-1], use_cache=False).logits[:, PREFIX - 1 :].log_softmax(-1)
    return loss + torch.nn.functional.kl_div(after, before, log_target=True, reduction="sum") / len(controls)


def plain_masks(edited: Any, target: torch.Tensor, text: str) -> dict[str, torch.Tensor]:
    """Masks shaped like the weights, from one more forward and backward where the selection needs a gradient."""
    adapter = adapter_for(edited)
    weights = editable_weights(adapter)
    gradients = None
    if Selection.parse(text).needs_gradient:
        logits = edited(target[None, :-1], use_cache=False).logits[0, PREFIX - 1 :]
        torch.nn.functional.cross_entropy(logits, target[PREFIX:]).backward()
        gradients = {name: weight.grad for name, weight in weights.items()}
    masks = {}
    for name, places in select(adapter, Selection.parse(text), gradients, 0).items():
        mask = torch.zeros(weights[name].numel())
        mask[slice(None) if places is None else places] = 1.0
        masks[name] = mask.view(weights[name].shape)
    return masks


def seconds(work: Any, *arguments: Any) -> tuple[float, float]:
    """Wall seconds and CPU seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work(*arguments)
    return time.perf_counter() - wall, time.process_time() - cpu


def protocol(count: int, steps: int, every: int) -> tuple[list[tuple[float, float]], list[float]]:
    """Seconds of ours for each paragraph, and ratios of CPU time to the plain loop on every `every`-th."""
    model, plan = quickstart_model(), program(steps, SELECTIONS)
    targets, controls, others = (paragraphs(4096, n, s) for s, n in enumerate((count, CONTROLS, OTHERS)))
    taken, ratios = [], []
    for index, target in enumerate(targets):
        taken.append(seconds(ours, model, target, controls, others, plan))
        if index % every == 0:
            ratios.append(taken[-1][1] / seconds(plain, model, target, controls, others, plan)[1])
        left = (count - index - 1) * statistics.mean(wall for wall, _ in taken)
        print(f"{index + 1}/{count} paragraphs, {sum(w for w, _ in taken):.0f} s, {left:.0f} s left", flush=True)
    return taken, ratios


def memory_of(work: str) -> tuple[float, float]:
    """Peak resident megabytes above the loaded model, and megabytes of the weights, in a fresh process."""
    said = subprocess.run([sys.executable, __file__, "--memory-of", work], capture_output=True, text=True, check=True)
    above, weights = said.stdout.split()[-2:]
    return float(above), float(weights)


def do_one(work: str) -> None:
    """The child process of `memory_of`: two steps at the shape of GPT-Neo 125M with two controls."""
    model = model_of_125m()
    weights = sum(p.numel() * p.element_size() for p in model.parameters()) / 1e6
    rows = paragraphs(50257, 4, 0)
    with torch.no_grad():
        model(rows[:1, :-1], use_cache=False)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    kind, _, selection = work.partition(" ")
    plan = program(2, (selection or "all",))
    {"ours": ours, "plain": plain, "activations": activations}[kind](model, rows[0], rows[1:3], rows[3:], plan)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3 - before, weights)


def activations(model: Any, target: torch.Tensor, controls: torch.Tensor, others: torch.Tensor, plan: Program) -> None:
    """What any loop needs: one forward and backward over target and controls that reaches the first layer."""
    model.transformer.h[0].attn.attention.q_proj.weight.requires_grad_(True)
    plain_loss(model, copy.copy(model), target, controls).backward()


def report(taken: list[tuple[float, float]], ratios: list[float], memory: dict[str, tuple[float, float]]) -> str:
    """The results page."""
    wall, cpu = (sum(part) for part in zip(*taken, strict=True))
    names = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "transformers"))
    lines = [
        "# Unlearning",
        "",
        f"P1's protocol on the quickstart's shape: {len(taken)} paragraphs, 3 selections, {CONTROLS} controls, each "
        f"run from the unedited weights. {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"{platform.processor() or platform.machine()}; Python {platform.python_version()}, {names}.",
        "",
        "| what | here | wanted |",
        "|---|---|---|",
        f"| whole protocol, wall seconds | {wall:.0f} | < 120 |",
        f"| whole protocol, CPU seconds | {cpu:.0f} | |",
        f"| CPU time in multiples of the plain loop, median of {len(ratios)} | {statistics.median(ratios):.2f} | |",
        f"| range | {min(ratios):.2f} to {max(ratios):.2f} | |",
    ]
    lines += [
        f"| peak memory at the shape of GPT-Neo 125M, {name}: weights and what is above the loaded model, "
        f"in multiples of the weights | {1 + above / weights:.2f} | {'≤ 3 + activations' if 'ours' in name else ''} |"
        for name, (above, weights) in memory.items()
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--paragraphs", type=int, default=20)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--plain-every", type=int, default=7, help="the plain loop runs on every n-th paragraph")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.memory_of:
        return do_one(chosen.memory_of)
    works = [] if chosen.no_memory else ["activations", "ours top:0.001", "ours all", "plain all"]
    memory = {work: memory_of(work) for work in works}
    text = report(*protocol(chosen.paragraphs, chosen.steps, chosen.plain_every), memory)
    print(text)
    RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
