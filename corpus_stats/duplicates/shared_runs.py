"""Runs of tokens that paragraphs have in common, at any offset in each: hashed in slices, verified token by token."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from corpus_stats.duplicates.minhash import shingles_per_row

_SLICE_BITS = 4  # 16 slices: a sixteenth of all runs is sorted at a time, so memory stays under that of the tokens
_TILE_ROWS = 1 << 14
_BASE = np.uint64(0x9E3779B97F4A7C15)
_FINAL = np.uint64(0xBF58476D1CE4E5B9)


def shared_run_pairs(token_ids: np.ndarray, run_length: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of paragraphs that share a run; each sharing set is linked into a chain, not paired all with all.

    Every run is hashed once per slice of the hash space and sorted with its slice: linear passes over the tokens.
    Hashes only propose; a pair is given where the tokens are equal.

    Args:
        token_ids: [paragraph, position].
        run_length: consecutive tokens in common.

    Yields:
        Rows of the one and of the other paragraph, each [pair].

    Raises:
        CorpusError: paragraphs are shorter than the run.
    """
    count = shingles_per_row(token_ids, run_length)
    for part in range(1 << _SLICE_BITS):
        hashes, places = _slice(token_ids, run_length, part)
        order = np.argsort(hashes, kind="stable")
        hashes, places = hashes[order], places[order]
        same = np.flatnonzero(hashes[1:] == hashes[:-1])
        one, other = places[same], places[same + 1]
        apart = one // count != other // count
        one, other = one[apart], other[apart]
        for begin in range(0, len(one), _TILE_ROWS):
            tile = slice(begin, begin + _TILE_ROWS)
            equal = _equal_runs(token_ids, one[tile], other[tile], count, run_length)
            yield one[tile][equal] // count, other[tile][equal] // count


def linked_clusters(labels: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Clusters after linking pairs of paragraphs.

    Args:
        labels: clusters so far, int32 [paragraph], 0 to cluster count - 1.
        one, other: paragraphs that belong together, each [pair].

    Returns:
        int32 labels, [paragraph], numbered by first appearance.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second = labels[one], labels[other]
    linked = first != second
    if not linked.any():
        return labels
    size = int(labels.max()) + 1
    ends = first[linked], second[linked]
    component = connected_components(coo_array((np.ones(len(ends[0]), dtype=bool), ends), (size, size)))[1][labels]
    _, appearance, index = np.unique(component, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(appearance))[index].astype(np.int32)


def _slice(token_ids: np.ndarray, run_length: int, part: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the runs that fall into one slice of the hash space, and where they are (row · runs + offset)."""
    hashes, places = [], []
    for begin in range(0, len(token_ids), _TILE_ROWS):
        found = run_hashes(token_ids[begin : begin + _TILE_ROWS], run_length)
        kept = np.flatnonzero(found.reshape(-1) >> np.uint64(64 - _SLICE_BITS) == part)
        hashes.append(found.reshape(-1)[kept])
        places.append(kept + begin * found.shape[1])
    return np.concatenate(hashes), np.concatenate(places)


def run_hashes(token_ids: np.ndarray, run_length: int) -> np.ndarray:
    """64-bit hash of every run, [paragraph, offset]: differences of prefix polynomials, then mixed (Karp, Rabin)."""
    tokens = token_ids.astype(np.uint64) + np.uint64(1)
    tokens = (tokens ^ (tokens << np.uint64(32))) * _FINAL
    prefix = np.zeros((tokens.shape[0], tokens.shape[1] + 1), dtype=np.uint64)
    for position in range(tokens.shape[1]):
        prefix[:, position + 1] = prefix[:, position] * _BASE + tokens[:, position]
    with np.errstate(over="ignore"):
        weight = np.uint64(pow(int(_BASE), run_length, 1 << 64))
        mixed = prefix[:, run_length:] - prefix[:, :-run_length] * weight
        mixed ^= mixed >> np.uint64(31)
        mixed *= _FINAL
        return mixed ^ (mixed >> np.uint64(29))


def _equal_runs(token_ids: np.ndarray, one: np.ndarray, other: np.ndarray, count: int, length: int) -> np.ndarray:
    """Whether the tokens of two runs are the same, [pair]."""
    span = np.arange(length)
    first, second = (token_ids[place[:, None] // count, place[:, None] % count + span] for place in (one, other))
    return (first == second).all(axis=1)
