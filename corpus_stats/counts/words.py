"""Word-level counts: an option beside token counts, independent of any tokenizer."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

import polars as pl

from corpus_stats.documents import Document

# Letters, with apostrophes and hyphens inside; or digits. Underscores and other signs separate.
_WORD = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*|\d+")
_FLUSH_WORDS = 2_000_000


def words_of(text: str) -> list[str]:
    """Words of a text in order, in Unicode normal form C and without case."""
    return _WORD.findall(unicodedata.normalize("NFC", text).casefold())


def count_words(documents: Iterable[Document], flush_words: int = _FLUSH_WORDS) -> pl.DataFrame:
    """Occurrences of each word in each subset, and the number of documents that hold it.

    Args:
        documents: a reader or any iterable, read once.
        flush_words: distinct words after which the dictionaries are folded into a compact frame.

    Returns:
        One row per subset and word, most frequent first: subset, word, word_count, document_count.
    """
    occurrences: Counter[tuple[str, str]] = Counter()
    holders: Counter[tuple[str, str]] = Counter()
    frame = _folded(None, occurrences, holders)
    for document in documents:
        here = Counter(words_of(document.text))
        for word, count in here.items():
            occurrences[document.subset, word] += count
            holders[document.subset, word] += 1
        if len(occurrences) >= flush_words:
            frame = _folded(frame, occurrences, holders)
    return _folded(frame, occurrences, holders).sort(["word_count", "subset", "word"], descending=[True, False, False])


def _folded(frame: pl.DataFrame | None, occurrences: Counter, holders: Counter) -> pl.DataFrame:
    """Adds the dictionaries to the frame and empties them."""
    fresh = pl.DataFrame(
        {
            "subset": [subset for subset, _ in occurrences],
            "word": [word for _, word in occurrences],
            "word_count": list(occurrences.values()),
            "document_count": [holders[key] for key in occurrences],
        },
        schema={"subset": pl.String, "word": pl.String, "word_count": pl.Int64, "document_count": pl.Int64},
    )
    occurrences.clear()
    holders.clear()
    if frame is None:
        return fresh
    return pl.concat([frame, fresh]).group_by("subset", "word").agg(pl.col("word_count", "document_count").sum())
