"""The part of a release that is text of the corpus, as documents to count."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl


def corpus_text_documents(released: pl.DataFrame, separator: int | None) -> Iterator[tuple[str, str, np.ndarray]]:
    """Name, subset and ids of the corpus' text in every released row: what precedes, the prefix, the continuation.

    A continuation that a model wrote is left out, unless it is known to equal the corpus'. End-of-text ids in front are
    padding and are left out, too.

    Args:
        released: rows of `import_release`.
        separator: end-of-text id; None when there is none.
    """
    for row in released.iter_rows(named=True):
        end = len(row["token_ids"]) if row["is_corpus_text"] else row["prefix_length"]
        ids = np.array([*_unpadded(row["preceding_token_ids"], separator), *row["token_ids"][:end]], dtype=np.int64)
        yield f"{row['source_file']}:{row['source_row']}", row["split"] or row["source_file"], ids


def preceding_counts(released: pl.DataFrame, separator: int | None) -> np.ndarray:
    """Tokens in front of each row's prefix in `corpus_text_documents`, int64 [row]."""
    lists = released["preceding_token_ids"].to_list()
    return np.array([len(_unpadded(ids, separator)) for ids in lists], dtype=np.int64)


def _unpadded(ids: list[int] | None, separator: int | None) -> list[int]:
    if not ids or separator is None:
        return ids or []
    first = next((place for place, token in enumerate(ids) if token != separator), len(ids))
    return ids[first:]
