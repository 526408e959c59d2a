"""Corpus-level token counts: the base of rarity."""

from __future__ import annotations

import numpy as np

from corpus_stats.errors import CorpusError

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
        raise CorpusError(
            f"Token id {int(flat.max())} lies outside the vocabulary of {vocabulary_size}; "
            "use the tokenizer the corpus was tokenized with."
        )
    counts = np.zeros(vocabulary_size, dtype=np.int64)
    for begin in range(0, flat.size, _PIECE_TOKENS):
        counts += np.bincount(flat[begin : begin + _PIECE_TOKENS], minlength=vocabulary_size)
    return counts
