"""Corpus-level token counts: the base of rarity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from corpus_stats.errors import CorpusError

if TYPE_CHECKING:
    from corpus_stats.token_stream import TokenStream

Unseen = Literal["add_one", "null"]
_SUBSET_PIECE_TOKENS = 1 << 20
_PIECE_TOKENS = 1 << 18  # bincount widens ids to 64 bits; pieces keep that copy (2 MiB) in the cache


def count_tokens(ids: np.ndarray, vocabulary_size: int) -> np.ndarray:
    """Occurrences of each token id.

    Args:
        ids: unsigned or non-negative integers, any shape.
        vocabulary_size: ids run from 0 to vocabulary_size − 1.

    Returns:
        int64 counts, [token_id]; counts of shards add up.

    Raises:
        CorpusError: an id lies outside the vocabulary.
    """
    flat = np.asarray(ids).reshape(-1)
    if flat.dtype.kind not in "ui":
        raise CorpusError(f"Token ids are {flat.dtype}; give integers.")
    if flat.dtype.kind == "i" and flat.size and int(flat.min()) < 0:
        raise CorpusError(f"A token id is negative ({int(flat.min())}); the array holds no token ids.")
    if flat.size and int(flat.max()) >= vocabulary_size:
        raise _outside(int(flat.max()), vocabulary_size)
    counts = np.zeros(vocabulary_size, dtype=np.int64)
    for begin in range(0, flat.size, _PIECE_TOKENS):
        counts += np.bincount(flat[begin : begin + _PIECE_TOKENS], minlength=vocabulary_size)
    return counts


def _outside(token_id: int, vocabulary_size: int) -> CorpusError:
    return CorpusError(
        f"Token id {token_id} lies outside the vocabulary of {vocabulary_size}; "
        "use the tokenizer the corpus was tokenized with."
    )


def count_stream(
    stream: TokenStream, vocabulary_size: int, on_progress: Callable[[int], None] | None = None
) -> np.ndarray:
    """Occurrences of each token id in a whole corpus, int64 [token_id]; their sum is the stream's token_count.

    Raises:
        CorpusError: an id lies outside the vocabulary.
    """
    counts = np.zeros(vocabulary_size, dtype=np.int64)
    for _, ids in stream.chunks():
        counts += count_tokens(ids, vocabulary_size)
        if on_progress is not None:
            on_progress(len(ids))
    return counts


def count_by_subset(stream: TokenStream, documents: pl.DataFrame, vocabulary_size: int) -> pl.DataFrame:
    """Occurrences of each token id in each subset.

    Args:
        stream: the corpus.
        documents: all its documents in stream order, with subset, token_offset, token_count.
        vocabulary_size: ids run from 0 to vocabulary_size − 1.

    Returns:
        One row per subset and id that occurs: subset, token_id, token_count. Tokens between documents, such as
        end-of-text, have the subset null, so that the counts sum to the stream's token_count.

    Raises:
        CorpusError: an id lies outside the vocabulary.
    """
    names = documents["subset"].unique(maintain_order=True).to_list()
    codes = documents["subset"].replace_strict(names, list(range(1, len(names) + 1)), return_dtype=pl.Int64).to_numpy()
    starts = documents["token_offset"].to_numpy()
    ends = starts + documents["token_count"].to_numpy()
    counts = np.zeros((len(names) + 1) * vocabulary_size, dtype=np.int64)
    for begin, ids in stream.chunks(_SUBSET_PIECE_TOKENS):
        if not 0 <= int(ids.min()) <= int(ids.max()) < vocabulary_size:
            raise _outside(int(ids.min()) if int(ids.min()) < 0 else int(ids.max()), vocabulary_size)
        labels = _labels(begin, len(ids), starts, ends, codes)
        counts += np.bincount(labels * vocabulary_size + ids, minlength=len(counts))
    return _subset_frame(counts.reshape(-1, vocabulary_size), [None, *names])


def _labels(begin: int, length: int, starts: np.ndarray, ends: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Subset code of every token of a piece, 0 between documents, int64 [token]."""
    first, last = np.searchsorted(ends, begin, side="right"), np.searchsorted(starts, begin + length, side="left")
    inside = slice(int(first), int(last))
    from_, to = np.maximum(starts[inside] - begin, 0), np.minimum(ends[inside] - begin, length)
    labels = np.zeros(length + 1, dtype=np.int64)
    np.add.at(labels, from_, codes[inside])
    np.subtract.at(labels, to, codes[inside])
    return np.cumsum(labels[:-1])


def _subset_frame(counts: np.ndarray, names: list[str | None]) -> pl.DataFrame:
    rows, token_ids = np.nonzero(counts)
    return pl.DataFrame(
        {
            "subset": pl.Series(names, dtype=pl.String)[rows],
            "token_id": token_ids.astype(np.int32),
            "token_count": counts[rows, token_ids],
        }
    )


def unigram_frame(counts: np.ndarray, tokens: Sequence[str], unseen: Unseen = "add_one") -> pl.DataFrame:
    """Probability, surprisal and rarity of every token id.

    Args:
        counts: [token_id].
        tokens: each id decoded alone, [token_id].
        unseen: "add_one" takes −log2((count + 1) / (total + vocabulary)) for all ids, finite for unseen ones;
            "null" takes −log2(count / total), and null surprisal and rank where the count is 0.

    Returns:
        One row per id: token_id, token, token_count, probability, surprisal_bits, rarity_rank (dense by count, 0 =
        rarest; equal counts share a rank).

    Raises:
        CorpusError: tokens and counts differ in number, or nothing was counted.
    """
    total = int(counts.sum())
    if len(tokens) != len(counts) or not total:
        raise CorpusError(f"{len(counts)} counts that sum to {total} and {len(tokens)} tokens make no distribution.")
    if unseen == "add_one":
        surprisal, ranked = -np.log2((counts + 1) / (total + len(counts))), np.ones(len(counts), dtype=bool)
    else:
        ranked = counts > 0
        surprisal = -np.log2(np.where(ranked, counts, 1) / total)
    frame = pl.DataFrame(
        {
            "token_id": np.arange(len(counts), dtype=np.int32),
            "token": tokens,
            "token_count": counts,
            "probability": counts / total,
            "surprisal_bits": surprisal,
            "rarity_rank": np.unique(counts[ranked], return_inverse=True)[1][np.cumsum(ranked) - 1].astype(np.int32),
        }
    )
    is_ranked = pl.Series(ranked)
    return frame.with_columns(pl.when(is_ranked).then(pl.col("surprisal_bits", "rarity_rank")))
