"""Exposures: every time a paragraph was read in training, in which sequence, at which step, at which place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from corpus_stats.counts.occurrences import find_occurrences
from corpus_stats.tokens.stream import TokenStream
from corpus_stats.training_order.orders import TrainingOrder

EXPOSURE_SCHEMA: dict[str, Any] = {
    "row": pl.UInt32,
    "exposure": pl.Int32,
    "training_sequence": pl.Int64,
    "training_step": pl.Int64,
    "sequence_offset": pl.Int32,
    "paragraph_offset": pl.Int32,
    "held_count": pl.Int32,
    "is_whole": pl.Boolean,
    "token_offset": pl.Int64,
}


def exposures(
    stream: TokenStream,
    order: TrainingOrder,
    paragraphs: np.ndarray,
    batch_size: int,
    on_progress: Callable[[int], None] | None = None,
) -> pl.DataFrame:
    """Every training sequence that holds a paragraph or a part of one, wherever in the corpus the paragraph occurs.

    Args:
        stream: the corpus; scanned once.
        order: its training order.
        paragraphs: token ids, [paragraph, position].
        batch_size: sequences that one optimizer step reads.
        on_progress: called with the tokens of each scanned piece.

    Returns:
        Rows of EXPOSURE_SCHEMA by paragraph and time: row (index of the paragraph), exposure (number, from 0),
        training_sequence (from 0), training_step (the step that reads it, from 1: a checkpoint of step t has read all
        of step t), sequence_offset (first held token in the sequence), paragraph_offset (the same in the paragraph),
        held_count, is_whole, token_offset (of this occurrence in the corpus).
    """
    rows, offsets = find_occurrences(stream, paragraphs, on_progress)
    return exposures_of_places(rows, offsets, paragraphs.shape[1], order, batch_size)


def exposures_of_places(
    rows: np.ndarray, offsets: np.ndarray, length: int, order: TrainingOrder, batch_size: int
) -> pl.DataFrame:
    """`exposures` of places that are known.

    Args:
        rows: paragraph of each place, [place].
        offsets: stream position of each, [place].
        length: tokens of a paragraph.
        order: training order of the stream.
        batch_size: sequences of a step.
    """
    found = order.pieces(offsets, length)
    frame = pl.DataFrame(
        {
            "row": rows[found.stretch],
            "training_sequence": found.sequence,
            "training_step": found.sequence // batch_size + 1,
            "sequence_offset": found.sequence_offset,
            "paragraph_offset": found.stretch_offset,
            "held_count": found.token_count,
            "is_whole": found.token_count == length,
            "token_offset": offsets[found.stretch],
        },
        schema={name: kind for name, kind in EXPOSURE_SCHEMA.items() if name != "exposure"},
        strict=False,
    )
    ordered = frame.sort("row", "training_sequence", "sequence_offset", "token_offset")
    number = pl.int_range(pl.len(), dtype=pl.Int32).over("row").alias("exposure")
    return ordered.with_columns(number).select(list(EXPOSURE_SCHEMA))
