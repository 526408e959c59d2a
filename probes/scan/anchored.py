"""The anchored pass: long rows, each of which reads every start in it, with whatever stands before as context.

A row of prefix + continuation - 1 + s tokens predicts the continuations of s neighbouring starts in one forward pass.
Start number i of a row has prefix_length + i tokens of context instead of prefix_length: another condition, so that
what it says is a hint where to look, not a measurement of the windows themselves.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from probes.errors import ProbeError
from probes.forward.batches import in_batches
from probes.forward.fused import fused
from probes.forward.inputs import refuse_unreadable
from probes.forward.unembedding import hidden_states, refuse_unusual_head, token_scores
from probes.scan.plan import ScanPlan

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

TILE = 1024
SCHEMA = pl.Schema(
    {
        "position": pl.Int64,
        "anchored_match": pl.Int32,
        "anchored_logprob_nats": pl.Float64,
        "anchored_entropy_nats": pl.Float64,
        "anchored_context_length": pl.Int32,
    }
)


def fitted(model: PreTrainedModel, plan: ScanPlan) -> ScanPlan:
    """The plan with rows no longer than the model's context."""
    context = getattr(model.config, "max_position_embeddings", None)
    if context is None or context >= plan.length + plan.row_starts - 2:
        return plan
    return replace(plan, row_starts=max(1, context + 2 - plan.length))


def anchored_scores(
    model: PreTrainedModel, ids: np.ndarray, first: int, stop: int, plan: ScanPlan, batch_size: int = 32
) -> pl.DataFrame:
    """What every start in first … stop - 1 gives, stride 1, from rows that hold plan.row_starts starts each.

    Args:
        model: causal language model in eval mode.
        ids: token ids of the whole document, [token]; may be memory mapped.
        first: first start; the first row begins prefix_length tokens before it.
        stop: after the last start.
        plan: lengths; rows that are longer than the model's context become shorter.
        batch_size: rows per forward pass; fewer on a processor.

    Returns:
        One row per start: position, anchored_match (leading greedy tokens, up to the continuation's length),
        anchored_logprob_nats (sum over the continuation), anchored_entropy_nats (mean), anchored_context_length.

    Raises:
        ProbeError: a token is not the model's, or a probability is not finite.
    """
    import torch

    plan = fitted(model, plan)
    begins = np.arange(first, stop, plan.row_starts)
    frames = []
    with torch.inference_mode(), fused(model):
        for group in (begins[begins + plan.row_starts <= stop], begins[begins + plan.row_starts > stop]):
            if len(group):
                held = min(plan.row_starts, stop - int(group[0]))
                frames += list(_rows(model, _matrix(ids, group, held, plan), group, plan, batch_size))
    return pl.concat([SCHEMA.to_frame(), *frames])


def _matrix(ids: np.ndarray, begins: np.ndarray, held: int, plan: ScanPlan) -> Tensor:
    """Rows of tokens, [row, position]: the prefix of the first start to the continuation of the last."""
    import torch

    columns = np.arange(plan.length + held - 1) - plan.prefix_length
    return torch.from_numpy(np.asarray(ids)[begins[:, None] + columns].astype(np.int64))


def _rows(model: PreTrainedModel, rows: Tensor, begins: np.ndarray, plan: ScanPlan, batch_size: int) -> list:
    """Frames of some rows of one length."""
    refuse_unreadable(model, rows, read_length=rows.shape[1] - 1)
    refuse_unusual_head(model, rows[:1])
    prefix = plan.prefix_length

    def _score(start: int, stop: int) -> pl.DataFrame:
        batch = rows[start:stop].to(model.device)
        hidden = hidden_states(model, batch[:, :-1])[:, prefix - 1 :]
        facts = _facts(model, hidden.flatten(0, 1), batch[:, prefix:].flatten(), hidden.shape[:2])
        return _frame(facts, begins[start:stop], plan)

    return list(in_batches(len(rows), batch_size, rows.shape[1] - 1, model.device, _score))


def _facts(model: PreTrainedModel, hidden: Tensor, targets: Tensor, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """NLL, hit and entropy of every prediction, each [row, position]."""
    import torch

    pieces = [token_scores(model, *some) for some in zip(hidden.split(TILE), targets.split(TILE), strict=True)]
    nll, hits, entropy = (torch.cat(column).cpu().numpy().reshape(shape) for column in zip(*pieces, strict=True))
    if not (np.isfinite(nll).all() and np.isfinite(entropy).all()):
        raise ProbeError(
            "the model gives no finite probability to a token; look for NaN in its weights, or use float32."
        )
    return nll, hits, entropy


def _frame(facts: tuple[np.ndarray, ...], begins: np.ndarray, plan: ScanPlan) -> pl.DataFrame:
    """One row per start from predictions [row, position]."""
    nll, hits, entropy = facts
    held = nll.shape[1] - plan.continuation_length + 1
    starts = begins[:, None] + np.arange(held)
    columns = {
        "position": starts,
        "anchored_match": run_lengths(hits, plan.continuation_length)[:, :held],
        "anchored_logprob_nats": -_sums(nll, plan.continuation_length),
        "anchored_entropy_nats": _sums(entropy, plan.continuation_length) / plan.continuation_length,
        "anchored_context_length": np.broadcast_to(plan.prefix_length + np.arange(held), starts.shape),
    }
    return pl.DataFrame({name: values.ravel() for name, values in columns.items()}).cast(SCHEMA)


def run_lengths(hits: np.ndarray, most: int) -> np.ndarray:
    """Hits in a row from each position on, at most `most`; [row, position] to the same shape."""
    width = hits.shape[1]
    misses = np.where(hits, width, np.arange(width))
    following = np.minimum.accumulate(misses[:, ::-1], axis=1)[:, ::-1]
    return np.minimum(following - np.arange(width), most)


def _sums(values: np.ndarray, width: int) -> np.ndarray:
    """Sums over every `width` neighbouring columns, [row, position - width + 1]."""
    total = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    return total[:, width:] - total[:, :-width]
