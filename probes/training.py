"""Train a small GPT-Neo on a known number of copies of each paragraph, so that recital has a known cause.

Plain next-token training, one paragraph per sequence. A killed run resumes from the last saved state to the same
weights, on the same machine and with the same number of threads.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from transformers import GPTNeoForCausalLM, PreTrainedTokenizerFast

STATE = "training-state"


@dataclass(frozen=True)
class TrainingPlan:
    """Shape of the model, optimizer and save points of one run."""

    vocabulary_size: int
    context_length: int
    hidden_size: int
    layer_count: int
    head_count: int
    batch_size: int
    learning_rate: float
    warmup_share: float
    checkpoint_count: int
    threads: int
    seed: int

    def step_count(self, sequence_count: int) -> int:
        """Optimizer steps; sequences that do not fill a last batch make a smaller one."""
        return math.ceil(sequence_count / self.batch_size)

    def save_steps(self, sequence_count: int) -> list[int]:
        """Steps after which a checkpoint is saved, evenly spaced from 0 (untrained) to the last."""
        steps = self.step_count(sequence_count)
        return sorted({round(steps * i / (self.checkpoint_count - 1)) for i in range(self.checkpoint_count)})

    def learning_rate_at(self, step: int, steps: int) -> float:
        """Linear warm-up, then cosine to a tenth."""
        warmup = max(1, round(self.warmup_share * steps))
        cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
        return self.learning_rate * min(1.0, (step + 1) / warmup) * (0.1 + 0.9 * cosine)


def presentation_order(copies: np.ndarray, background_count: int, seed: int) -> np.ndarray:
    """Row indices in training order: paragraph i appears copies[i] times, each background row (after them) once.

    Args:
        copies: times each paragraph is shown, [paragraph]; zero or negative means never.
        background_count: rows that follow the paragraphs and are shown once.
        seed: of the shuffle.

    Returns:
        int64 indices into the concatenation of paragraphs and background, [presentation].
    """
    repeated = np.repeat(np.arange(len(copies)), np.maximum(copies, 0))
    order = np.concatenate([repeated, len(copies) + np.arange(background_count)])
    np.random.default_rng(seed).shuffle(order)
    return order


def train(
    plan: TrainingPlan,
    sequences: np.ndarray,
    order: np.ndarray,
    folder: Callable[[int], Path],
    tokenizer: PreTrainedTokenizerFast,
    work: Path,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> pl.DataFrame:
    """Train and save the checkpoint series.

    Args:
        plan: model and optimizer.
        sequences: token ids, [sequence, position].
        order: rows of `sequences` in the order they are shown, [presentation].
        folder: gives the checkpoint folder of a step.
        tokenizer: saved beside every checkpoint.
        work: folder for the resumable state; removed at the end.
        on_step: called after every step with its 1-based number and its loss in nats.

    Returns:
        training_step, loss_nats, learning_rate, one row per step.
    """
    import torch

    with _threads(plan.threads):
        model = build_model(plan)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=plan.learning_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True
        )
        losses = _resume(work, model, optimizer)
        save_at = set(plan.save_steps(len(order)))
        if not losses:
            _save(model, tokenizer, folder(0))
        for step in range(len(losses), plan.step_count(len(order))):
            losses.append(_step(plan, model, optimizer, sequences, order, step))
            on_step(step + 1, losses[-1])
            if step + 1 in save_at:
                _save(model, tokenizer, folder(step + 1))
                _save_state(work, model, optimizer, losses)
    shutil.rmtree(work, ignore_errors=True)
    return _log(plan, losses, len(order))


def build_model(plan: TrainingPlan) -> GPTNeoForCausalLM:
    """An untrained GPT-Neo of the plan's shape, weights drawn from the plan's seed; layers alternate global and local."""
    import torch
    from transformers import GPTNeoConfig, GPTNeoForCausalLM

    kinds = ["global", "local"]
    config = GPTNeoConfig(
        vocab_size=plan.vocabulary_size,
        max_position_embeddings=plan.context_length,
        hidden_size=plan.hidden_size,
        num_layers=plan.layer_count,
        attention_types=[[[kinds[i % 2]], 1] for i in range(plan.layer_count)],
        num_heads=plan.head_count,
        window_size=256,
        resid_dropout=0.0,
        embed_dropout=0.0,
        attention_dropout=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        return GPTNeoForCausalLM(config).train()


def _step(
    plan: TrainingPlan,
    model: GPTNeoForCausalLM,
    optimizer: torch.optim.Optimizer,
    sequences: np.ndarray,
    order: np.ndarray,
    step: int,
) -> float:
    import torch

    rows = order[step * plan.batch_size : (step + 1) * plan.batch_size]
    batch = torch.from_numpy(sequences[rows].astype(np.int64))
    for group in optimizer.param_groups:
        group["lr"] = plan.learning_rate_at(step, plan.step_count(len(order)))
    logits = model(batch[:, :-1]).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


def _save(model: GPTNeoForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Save in the ordinary transformers format; the folder appears only when it is whole."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # one line per checkpoint is ours to write
    staging = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(staging, ignore_errors=True)
    model.save_pretrained(staging)
    tokenizer.save_pretrained(staging)
    shutil.rmtree(folder, ignore_errors=True)
    staging.replace(folder)


def _save_state(work: Path, model: Any, optimizer: torch.optim.Optimizer, losses: list[float]) -> None:
    from safetensors.torch import save_file

    tensors = {f"model.{name}": value for name, value in model.named_parameters()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    work.mkdir(parents=True, exist_ok=True)
    temporary = work / f".{STATE}.tmp"
    save_file({name: value.detach().clone() for name, value in tensors.items()}, temporary, {"losses": json.dumps(losses)})
    temporary.replace(work / f"{STATE}.safetensors")


def _resume(work: Path, model: Any, optimizer: torch.optim.Optimizer) -> list[float]:
    import torch
    from safetensors import safe_open

    path = work / f"{STATE}.safetensors"
    if not path.exists():
        return []
    state: dict[int, dict[str, torch.Tensor]] = {}
    with safe_open(path, "pt") as file, torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(file.get_tensor(f"model.{name}"))
        for key in file.keys():  # noqa: SIM118  not a dict
            if key.startswith("optimizer."):
                _, index, name = key.split(".", 2)
                state.setdefault(int(index), {})[name] = file.get_tensor(key)
        losses = json.loads(file.metadata()["losses"])
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return losses


def _log(plan: TrainingPlan, losses: list[float], sequence_count: int) -> pl.DataFrame:
    steps = plan.step_count(sequence_count)
    rates = [plan.learning_rate_at(step, steps) for step in range(len(losses))]
    return pl.DataFrame({"training_step": range(1, len(losses) + 1), "loss_nats": losses, "learning_rate": rates})


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Sums depend on how they are split over threads, so their number is fixed while training."""
    import torch

    before, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(count)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        torch.set_num_threads(before)
