"""Places of the token stream and the documents that hold them. Only places are read, never names or hashes."""

from __future__ import annotations

import numpy as np
import polars as pl

from assets.framework.stage import Scope


def documents_at(scope: Scope, offsets: np.ndarray, lengths: np.ndarray) -> pl.Series:
    """The document that holds each stretch of the stream; null where it lies in none, or across two.

    Args:
        scope: home and profile; the corpus must have been read.
        offsets: first token of each stretch, [stretch].
        lengths: tokens of each, [stretch].

    Returns:
        document_id, Int64 [stretch].
    """
    documents = scope.read("documents", ["document_id", "token_offset", "token_count"])
    if documents.is_empty() or not len(offsets):
        return pl.Series([None] * len(offsets), dtype=pl.Int64)
    starts = documents["token_offset"].to_numpy()
    place = np.searchsorted(starts, offsets, side="right") - 1
    held = np.maximum(place, 0)
    is_inside = (place >= 0) & (offsets + lengths <= starts[held] + documents["token_count"].to_numpy()[held])
    found = documents["document_id"].gather(held.tolist())
    return found.zip_with(pl.Series(is_inside), pl.Series([None], dtype=pl.Int64))
