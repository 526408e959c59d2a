"""Train a small model on a known number of copies of each paragraph, so that recital has a known cause.

Plain next-token training on rows of text (`corpus_stats.paragraphs.packing`). Each thread differentiates its share of a
batch: matrices of this size are too small to be divided within one product. A killed run resumes from the last saved
state to the same weights, on the same machine and with the same number of threads.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from probes.bfloat16 import bfloat16_products, is_native
from probes.forward.fused import fused

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

STATE = "training-state"
LOGIT_ROWS = 128


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
    architecture: str = "gpt-neo"
    bfloat16_products: bool = False

    @property
    def is_short(self) -> bool:
        """Whether products are made in bfloat16: where that was asked for and the processor does so itself."""
        return self.bfloat16_products and is_native()

    def step_count(self, sequence_count: int) -> int:
        """Optimizer steps; sequences that do not fill a last batch make a smaller one."""
        return math.ceil(sequence_count / self.batch_size)

    def save_steps(self, sequence_count: int) -> list[int]:
        """Steps after which a checkpoint is saved, evenly spaced from 0 (untrained) to the last."""
        steps = self.step_count(sequence_count)
        return sorted({round(steps * i / (self.checkpoint_count - 1)) for i in range(self.checkpoint_count)})

    def learning_rate_at(self, step: int, steps: int) -> float:
        """Linear warm-up, then cosine to zero: what is learned last has no time to push out what was learned before."""
        warmup = max(1, round(self.warmup_share * steps))
        cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
        return self.learning_rate * min(1.0, (step + 1) / warmup) * cosine


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
        sequences: token ids, [row, position].
        order: rows of `sequences` in the order they are shown, [presentation].
        folder: gives the checkpoint folder of a step.
        tokenizer: saved beside every checkpoint.
        work: folder for the resumable state; removed at the end.
        on_step: called after every step with its 1-based number and its loss in nats.

    Returns:
        training_step, loss_nats, learning_rate, one row per step.
    """
    import torch

    model = build_model(plan)
    short = bfloat16_products(model) if plan.is_short else nullcontext()
    with reproducible(), fused(model), short, ThreadPoolExecutor(plan.threads) as pool:
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=plan.learning_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True
        )
        losses = _resume(work, model, optimizer)
        save_at = set(plan.save_steps(len(order)))
        if not losses:
            _save(model, tokenizer, folder(0))
        for step in range(len(losses), plan.step_count(len(order))):
            losses.append(take_step(plan, model, optimizer, sequences, order, step, pool))
            on_step(step + 1, losses[-1])
            if step + 1 in save_at:
                _save(model, tokenizer, folder(step + 1))
                _save_state(work, model, optimizer, losses)
    shutil.rmtree(work, ignore_errors=True)
    return _log(plan, losses, len(order))


def build_model(plan: TrainingPlan) -> PreTrainedModel:
    """An untrained model of the plan's shape; its weights come from the plan's seed."""
    import torch
    from transformers import AutoModelForCausalLM

    config = {"gpt-neo": _gpt_neo, "gpt-neox": _gpt_neox}[plan.architecture](plan)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        return AutoModelForCausalLM.from_config(config).float().train()


def _gpt_neo(plan: TrainingPlan) -> PretrainedConfig:
    """GPT-Neo: learned positions, sequential blocks; layers alternate global and local."""
    from transformers import GPTNeoConfig

    kinds = ["global", "local"]
    return GPTNeoConfig(
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


def _gpt_neox(plan: TrainingPlan) -> PretrainedConfig:
    """GPT-NeoX, as Pythia: rotary positions on a quarter of each head, parallel blocks, embeddings of their own."""
    from transformers import GPTNeoXConfig

    return GPTNeoXConfig(
        vocab_size=plan.vocabulary_size,
        max_position_embeddings=plan.context_length,
        hidden_size=plan.hidden_size,
        intermediate_size=4 * plan.hidden_size,
        num_hidden_layers=plan.layer_count,
        num_attention_heads=plan.head_count,
        bos_token_id=0,
        eos_token_id=0,
    )


def take_step(
    plan: TrainingPlan,
    model: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    sequences: np.ndarray,
    order: np.ndarray,
    step: int,
    pool: ThreadPoolExecutor,
) -> float:
    """One optimizer step; returns the mean loss of its tokens in nats."""
    import torch

    rows = order[step * plan.batch_size : (step + 1) * plan.batch_size]
    batch = torch.from_numpy(sequences[rows].astype(np.int64))
    for group in optimizer.param_groups:
        group["lr"] = plan.learning_rate_at(step, plan.step_count(len(order)))
    parts = batch.tensor_split(min(plan.threads, len(batch)))
    shares = list(pool.map(partial(share_of_step, model, batch[:, 1:].numel(), plan.is_short), parts))
    for parameter, *gradients in zip(model.parameters(), *(gradients for _, gradients in shares), strict=True):
        parameter.grad = reduce(torch.Tensor.add_, gradients)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return math.fsum(loss for loss, _ in shares)


def share_of_step(
    model: PreTrainedModel, token_count: int, is_short: bool, part: torch.Tensor
) -> tuple[float, list[torch.Tensor]]:
    """What some sequences [sequence, position] of a batch add to its mean loss over `token_count` tokens, and to the
    gradient of every parameter. Shares are added in a fixed order, so that the sum does not depend on who was first."""
    import torch

    dtype = torch.bfloat16 if is_short else torch.float32
    head, parameters = model.get_output_embeddings().weight, list(model.parameters())
    hidden = model.base_model(part[:, :-1], use_cache=False).last_hidden_state.flatten(0, 1)
    loss, hidden_gradient, head_gradient = output_gradients(
        hidden.detach(), head.detach(), part[:, 1:].flatten(), dtype
    )
    by_trunk = torch.autograd.grad(hidden, parameters, hidden_gradient.div_(token_count), materialize_grads=True)
    gradients, place = list(by_trunk), next(index for index, one in enumerate(parameters) if one is head)
    gradients[place] = gradients[place] + head_gradient.div_(token_count)  # the only one of a head that is not tied
    return loss / token_count, gradients


def output_gradients(
    hidden: torch.Tensor, head: torch.Tensor, truth: torch.Tensor, dtype: torch.dtype | None = None
) -> tuple[float, torch.Tensor, torch.Tensor]:
    """Summed cross-entropy in nats, and its gradients by `hidden` [token, width] and `head` [vocabulary, width].

    Logits are made and used a few rows at a time, while they are in the cache; products are made in `dtype`.
    Probabilities below the smallest normal number count as that number in the loss, not in the gradients.
    """
    import torch

    loss, by_hidden, by_head = 0.0, torch.empty_like(hidden), torch.zeros_like(head)
    smallest = torch.finfo(hidden.dtype).tiny
    short, matrix = hidden.to(dtype or hidden.dtype), head.to(dtype or hidden.dtype)
    for start in range(0, len(hidden), LOGIT_ROWS):
        rows = slice(start, start + LOGIT_ROWS)
        difference, answers = (short[rows] @ matrix.T).to(hidden.dtype).softmax(dim=1), truth[rows, None]
        of_answers = difference.gather(1, answers)
        loss -= of_answers.clamp_min(smallest).log().sum().item()
        difference.scatter_(1, answers, of_answers - 1)  # probability minus truth
        difference = difference.to(matrix.dtype)
        by_hidden[rows] = difference @ matrix
        by_head += difference.T @ short[rows]
    return loss, by_hidden, by_head


def _save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
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
    save_file(
        {name: value.detach().clone() for name, value in tensors.items()}, temporary, {"losses": json.dumps(losses)}
    )
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
def reproducible() -> Iterator[None]:
    """Within the block the same shares give the same bits: one thread for each, deterministic operations."""
    import torch

    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    guard: Any = torch.utils.deterministic
    fills = guard.fill_uninitialized_memory
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    guard.fill_uninitialized_memory = False  # for code that reads what nobody has written; here is none
    try:
        yield
    finally:
        guard.fill_uninitialized_memory = fills
        torch.use_deterministic_algorithms(deterministic)
        torch.set_num_threads(threads)
