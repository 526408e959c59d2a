"""Recital after other text: is a paragraph recited wherever it stands, or only where the context window begins?

Published models lose recital as the paragraph moves away from the start of the window ("positional fragility",
arXiv 2505.13171); a model whose training rows begin with the paragraph loses it after a single token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from probes.scoring.half_precision import extractable_with_rescoring

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def recall_after(
    model: PreTrainedModel,
    exact_model: Callable[[], PreTrainedModel],
    token_ids: np.ndarray,
    preceding: np.ndarray,
    prefix_length: int,
    context_lengths: Sequence[int],
    margin_bound: float,
    **settings: Any,
) -> pl.DataFrame:
    """Exact match of the continuation when `preceding` stands before the last k tokens of the prefix.

    Args:
        model: the checkpoint in any precision, in eval mode.
        exact_model: loads the same checkpoint in float32; called when a row is doubtful.
        token_ids: integers, [paragraph, position]; prefix then continuation.
        preceding: token ids before each of them, [paragraph, token]; may have no column.
        prefix_length: tokens of the prefix.
        context_lengths: values of k, each 1..prefix_length.
        margin_bound: logits, from `measure_margin_bound`.
        settings: further settings of `screen_paragraphs`.

    Returns:
        row, preceding_length, context_length, exact_match, is_recited, top2_margin: one row per paragraph and k.

    Raises:
        ProbeError: the rows are longer than the model can read.
    """
    length = preceding.shape[1]
    frames = []
    for context in context_lengths:
        rows = np.concatenate([preceding, token_ids[:, prefix_length - context :]], axis=1)
        shown = length + context
        found = extractable_with_rescoring(model, exact_model, rows, shown, [shown], margin_bound, **settings)
        frames.append(found.with_columns(context_length=pl.lit(context, dtype=pl.Int32)))
    return pl.concat(frames).select(
        "row",
        pl.lit(length, dtype=pl.Int32).alias("preceding_length"),
        "context_length",
        "exact_match",
        pl.col("is_extractable").alias("is_recited"),
        "top2_margin",
    )


def unrelated_text(texts: np.ndarray, groups: np.ndarray, wanted: np.ndarray, length: int, seed: int) -> np.ndarray:
    """Text of other paragraphs of the corpus to stand before each of them, int64 [wanted, length].

    Args:
        texts: token ids of paragraphs to draw from, [paragraph, position].
        groups: near-duplicate cluster of each, [paragraph]; nobody gets text of its own cluster.
        wanted: clusters of the paragraphs that need text, [wanted]; there must be text of another cluster.
        length: tokens before each.
        seed: of the draw.
    """
    generator, pieces = np.random.default_rng(seed), -(-length // texts.shape[1])
    out = np.empty((len(wanted), length), dtype=np.int64)
    for row, group in enumerate(wanted.tolist()):
        chosen = generator.choice(np.flatnonzero(groups != group), size=pieces)
        out[row] = texts[chosen].ravel()[pieces * texts.shape[1] - length :]
    return out
