"""Exact match of large samples: read the prefix, drop rows at their first miss, go on with the survivors.

Most paragraphs of a corpus are not recited and miss within a few tokens. A cascade reads the prefix once, keeps its
keys and values, and feeds true tokens to the rows that have not missed yet, a stage at a time. Exact match is that of
the full pass: both read the same true tokens up to the first miss (P1, arXiv 2403.19851, section 3.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from probes.errors import ProbeError
from probes.forward.batches import in_batches
from probes.forward.beginning import lead, with_beginning
from probes.forward.body import body, keeps_keys
from probes.forward.fused import fused
from probes.forward.inputs import NonFiniteScore, as_paragraphs, refuse_unreadable, require_at_least
from probes.forward.unembedding import greedy_ids, refuse_unusual_head
from probes.scoring.teacher_forced import leading_match

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

STAGES = (1, 4, 12)
SCHEMA: dict[str, Any] = {
    "exact_match": pl.Int32,
    "is_memorized": pl.Boolean,
    "top2_margin": pl.Float64,
    "divergence_position": pl.Int32,
}


def screen_paragraphs(
    model: PreTrainedModel,
    token_ids: Any,
    prefix_length: int = 50,
    *,
    stages: Sequence[int] = STAGES,
    batch_size: int = 32,
    tile: int = 1024,
) -> pl.DataFrame:
    """Exact match alone, without reading rows beyond the stage of their first miss.

    Args:
        model: causal language model in eval mode.
        token_ids: integers, [paragraph, position]; prefix then continuation, no padding.
        prefix_length: tokens of the prefix, at least 1.
        stages: continuation tokens that each stage of the cascade decides; what is left is one last stage.
        batch_size: paragraphs per forward pass; fewer on a processor, and half as many whenever memory runs out.
        tile: tokens to which the output head is applied together.

    Returns:
        One row per paragraph in input order: exact_match, is_memorized, top2_margin (smallest top-1 minus top-2
        logit up to and including the divergence) and divergence_position, as in the table `scores`.

    Raises:
        ProbeError: before any work, when the ids are no paragraphs this model can read.
        NonFiniteScore: a logit is NaN; names the row.
    """
    import torch

    require_at_least(1, prefix_length=prefix_length, batch_size=batch_size, tile=tile)
    require_at_least(1, **{f"stage {index}": size for index, size in enumerate(stages)})
    ids = as_paragraphs(token_ids, longer_than=prefix_length)
    refuse_unreadable(model, ids, read_length=ids.shape[1] - 1)

    def _screen(start: int, stop: int) -> _Cascade:
        return _Cascade(model, ids[start:stop].to(model.device), prefix_length, tile, start, keeps).run(ends)

    with torch.inference_mode():
        if len(ids):
            refuse_unusual_head(model, ids)
        keeps = keeps_keys(model, with_beginning(model, ids))
        ends = stage_ends(prefix_length, ids.shape[1], stages) if keeps else [ids.shape[1] - 1]  # else one whole pass
        with fused(model):
            batches = list(in_batches(len(ids), batch_size, prefix_length, model.device, _screen))
    match = np.concatenate([batch.match.cpu().numpy() for batch in batches] or [np.empty(0, dtype=np.int64)])
    margin = np.concatenate([batch.margin.cpu().numpy() for batch in batches] or [np.empty(0)])
    return _frame(match, margin, prefix_length, ids.shape[1])


def _frame(match: np.ndarray, margin: np.ndarray, prefix_length: int, length: int) -> pl.DataFrame:
    """Columns of the result from exact matches and margins, [paragraph]."""
    whole = match == length - prefix_length
    columns = {
        "exact_match": match,
        "is_memorized": whole,
        "top2_margin": margin,
        "divergence_position": [
            None if done else prefix_length + int(count) for done, count in zip(whole, match, strict=True)
        ],
    }
    return pl.DataFrame(columns, schema=SCHEMA, strict=False)


def stage_ends(prefix_length: int, length: int, stages: Sequence[int]) -> list[int]:
    """Positions up to which each stage reads (exclusive); reading up to e decides the token at position e."""
    ends = prefix_length - 1 + np.cumsum([*stages, length], dtype=np.int64)
    return sorted({min(int(end), length - 1) for end in ends})


@dataclass
class _Cascade:
    """One batch on its way through the stages; ids are [paragraph, position], match and margin [paragraph]."""

    model: PreTrainedModel
    ids: Tensor
    prefix_length: int
    tile: int
    first_row: int
    keeps: bool
    cache: Any = None
    read: int = 0
    match: Tensor = field(init=False)
    margin: Tensor = field(init=False)

    def run(self, ends: Sequence[int]) -> _Cascade:
        """Extend the surviving rows to each of `ends` positions in turn."""
        import torch

        alive = torch.arange(len(self.ids), device=self.ids.device)
        self.match = torch.zeros_like(alive)
        self.margin = torch.full_like(alive, torch.inf, dtype=torch.float32)
        for end in ends:
            alive = self._stage(alive, end)
            if not len(alive):
                break
        self.cache = None  # keys and values are not needed any more, the matches are
        return self

    def _stage(self, alive: Tensor, end: int) -> Tensor:
        """Read up to `end`, note matches of the rows `alive`, return those without a miss."""
        import torch

        ids = self.ids[alive, self.read : end]
        output = body(self.model)(
            input_ids=ids if self.read else with_beginning(self.model, ids), past_key_values=self.cache,
            use_cache=self.keeps,
        )  # fmt: skip
        first = max(self.read + 1, self.prefix_length)  # first position this stage decides
        hidden = output[0][:, first - 1 - self.read + (0 if self.read else lead(self.model)) :]
        truth = self.ids[alive, first : end + 1]
        predicted, margin = (part.view_as(truth) for part in greedy_ids(self.model, hidden.flatten(0, 1), self.tile))
        self._refuse_nan(alive, margin, first)
        count = leading_match(predicted, truth)
        counted = torch.arange(truth.shape[1], device=truth.device) <= count[:, None]
        self.match[alive] += count
        self.margin[alive] = torch.minimum(self.margin[alive], margin.where(counted, torch.inf).amin(dim=1))
        survivors = (count == truth.shape[1]).nonzero()[:, 0]
        if not self.keeps:
            return alive[survivors]
        self.cache, self.read = output.past_key_values, end
        if 0 < len(survivors) < len(alive):
            self.cache.batch_select_indices(survivors)
        return alive[survivors]

    def _refuse_nan(self, alive: Tensor, margin: Tensor, first: int) -> None:
        import torch

        broken = (~torch.isfinite(margin)).nonzero()
        if len(broken):
            row, column = broken[0].tolist()
            raise NonFiniteScore(self.first_row + int(alive[row]), first + column)


def extractable_at(
    model: PreTrainedModel,
    token_ids: Any,
    prefix_length: int = 50,
    context_lengths: Sequence[int] = (5, 10, 20, 30, 40, 50),
    **settings: Any,
) -> pl.DataFrame:
    """k-extractability (Carlini et al. 2023, arXiv 2202.07646): is the continuation recited after k tokens of context?

    Args:
        model: causal language model in eval mode.
        token_ids: integers, [paragraph, position]; prefix then continuation.
        prefix_length: tokens before the continuation that are at hand.
        context_lengths: values of k, each 1..prefix_length; the model is shown the last k tokens of the prefix.
        settings: further settings of `screen_paragraphs`.

    Returns:
        One row per paragraph and context length: row, context_length, exact_match, is_extractable, top2_margin.

    Raises:
        ProbeError: as `screen_paragraphs`, or when a context is longer than the prefix.
    """
    ids = as_paragraphs(token_ids, longer_than=prefix_length)
    wanted = sorted(set(context_lengths))
    if not wanted or wanted[0] < 1 or wanted[-1] > prefix_length:
        raise ProbeError(
            f"context lengths {list(context_lengths)} are not all in 1..{prefix_length}, the prefix at hand."
        )
    frames = [
        screen_paragraphs(model, ids[:, prefix_length - context :], context, **settings)
        .with_row_index("row")
        .select(
            pl.col("row").cast(pl.UInt32),
            pl.lit(context, dtype=pl.Int32).alias("context_length"),
            "exact_match",
            pl.col("is_memorized").alias("is_extractable"),
            "top2_margin",
        )
        for context in wanted
    ]
    return pl.concat(frames).sort("row", "context_length")
