"""MinHash signatures of many paragraphs at once, equal to datasketch's for the same shingle hashes."""

from __future__ import annotations

import numpy as np

from corpus_stats.errors import CorpusError

PERMUTATION_COUNT = 128
# datasketch 2 permutes MurmurHash3-mixed 32-bit hashes by h -> a·h + b modulo 2^32; signatures here equal its own.
HASHING_SCHEME = "affine32"
_TILE_ROWS = 1024  # a tile of shingle hashes (400 KB) and its permuted copy stay in the cache
_HORNER = np.uint64(0x9E3779B97F4A7C15)
_FINAL = np.uint64(0xBF58476D1CE4E5B9)


def shingles_per_row(token_ids: np.ndarray, shingle_length: int) -> int:
    """Shingles of every row of [paragraph, position].

    Raises:
        CorpusError: paragraphs are shorter than a shingle.
    """
    if token_ids.ndim != 2 or not 1 <= shingle_length <= token_ids.shape[1]:
        raise CorpusError(
            f"Shingles of {shingle_length} tokens do not fit paragraphs of shape {token_ids.shape}; shorten them."
        )
    return token_ids.shape[1] - shingle_length + 1


def shingle_hashes(token_ids: np.ndarray, shingle_length: int) -> np.ndarray:
    """32-bit hash of every run of `shingle_length` tokens, uint32 [paragraph, shingle].

    Raises:
        CorpusError: paragraphs are shorter than a shingle.
    """
    count = shingles_per_row(token_ids, shingle_length)
    out = np.empty((len(token_ids), count), dtype=np.uint32)
    for begin in range(0, len(token_ids), _TILE_ROWS):
        tokens = token_ids[begin : begin + _TILE_ROWS].astype(np.uint64) + np.uint64(1)
        mixed = tokens[:, :count].copy()
        for position in range(1, shingle_length):
            mixed *= _HORNER
            mixed += tokens[:, position : position + count]
        mixed ^= mixed >> np.uint64(32)
        mixed *= _FINAL
        out[begin : begin + _TILE_ROWS] = mixed >> np.uint64(32)
    return out


def minhash_signatures(hashes: np.ndarray, permutation_count: int = PERMUTATION_COUNT, seed: int = 1) -> np.ndarray:
    """MinHash signature of every row of hashes, equal to datasketch's (scheme "affine32") fed with the same hashes.

    One permutation at a time over a tile of paragraphs: three array operations for thousands of hashes, where
    datasketch makes one object and several small arrays per paragraph.

    Args:
        hashes: uint32, [paragraph, shingle]; repeats do no harm, a set is meant.
        permutation_count: values per signature.
        seed: of the permutations, as datasketch's `MinHash(seed=…)`.

    Returns:
        uint32 signatures, [paragraph, permutation].
    """
    from datasketch import MinHash

    multipliers, offsets = MinHash(num_perm=permutation_count, seed=seed, scheme=HASHING_SCHEME).permutations
    out = np.empty((len(hashes), permutation_count), dtype=np.uint32)
    for begin in range(0, len(hashes), _TILE_ROWS):
        mixed = _fmix32(np.ascontiguousarray(hashes[begin : begin + _TILE_ROWS].T))
        permuted = np.empty_like(mixed)
        smallest = np.empty((permutation_count, mixed.shape[1]), dtype=np.uint32)
        for index in range(permutation_count):
            np.multiply(mixed, multipliers[index], out=permuted)
            np.add(permuted, offsets[index], out=permuted)
            np.minimum.reduce(permuted, axis=0, out=smallest[index])
        out[begin : begin + _TILE_ROWS] = smallest.T
    return out


def _fmix32(hashes: np.ndarray) -> np.ndarray:
    """MurmurHash3's 32-bit finalizer, which datasketch applies once before its permutations."""
    mixed = hashes.astype(np.uint32)
    mixed ^= mixed >> np.uint32(16)
    mixed *= np.uint32(0x85EBCA6B)
    mixed ^= mixed >> np.uint32(13)
    mixed *= np.uint32(0xC2B2AE35)
    mixed ^= mixed >> np.uint32(16)
    return mixed
