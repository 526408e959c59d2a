"""Near-duplicate clusters of paragraphs: MinHash signatures, LSH candidates, verified Jaccard, connected components."""

from __future__ import annotations

import numpy as np

from corpus_stats.errors import CorpusError

PERMUTATION_COUNT = 128
# datasketch 2 permutes MurmurHash3-mixed 32-bit hashes by h -> a·h + b modulo 2^32; signatures here equal its own.
HASHING_SCHEME = "affine32"
_MISS_PROBABILITY = 1e-3
_TILE_ROWS = 512


def near_duplicate_clusters(
    token_ids: np.ndarray, threshold: float = 0.8, shingle_length: int = 5, seed: int = 1
) -> np.ndarray:
    """Clusters of paragraphs linked by a Jaccard similarity of at least `threshold` between their shingle sets.

    Candidates share a band of their MinHash signatures; every candidate pair that could join two clusters is verified
    on the shingles themselves, so clusters never rest on an estimate. Connected components (single linkage).

    Args:
        token_ids: [paragraph, position].
        threshold: Jaccard similarity of the sets of `shingle_length` consecutive tokens, above 0 up to 1.
        shingle_length: tokens of a shingle.
        seed: of the MinHash permutations.

    Returns:
        int32 labels, [paragraph], numbered by first appearance.

    Raises:
        CorpusError: the threshold or the shingle length is impossible for these paragraphs.
    """
    rows = np.asarray(token_ids)
    if not 0 < threshold <= 1:
        raise CorpusError(f"A Jaccard threshold of {threshold} is impossible; choose one above 0 and at most 1.")
    if not len(rows):
        return np.zeros(0, dtype=np.int32)
    hashes = shingle_hashes(rows, shingle_length)
    signatures = minhash_signatures(hashes, seed=seed)
    shingles = _ShingleSets(rows, shingle_length)
    forest = _Forest(len(rows))
    _join_equal(forest, shingles)
    for members in _candidate_groups(signatures, *band_shape(threshold)):
        _join_similar(forest, shingles, members, threshold)
    return forest.labels()


def shingle_hashes(token_ids: np.ndarray, shingle_length: int) -> np.ndarray:
    """32-bit hash of every run of `shingle_length` tokens, uint32 [paragraph, shingle].

    Raises:
        CorpusError: paragraphs are shorter than a shingle.
    """
    count = _windowed(token_ids, shingle_length).shape[1]
    mixed = np.zeros((len(token_ids), count), dtype=np.uint64)
    for position in range(shingle_length):
        column = token_ids[:, position : position + count].astype(np.uint64)
        mixed = (mixed ^ (column + np.uint64(1))) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return (mixed >> np.uint64(32)).astype(np.uint32)


def _windowed(token_ids: np.ndarray, shingle_length: int) -> np.ndarray:
    """View [paragraph, shingle, position]."""
    if token_ids.ndim != 2 or not 1 <= shingle_length <= token_ids.shape[1]:
        raise CorpusError(
            f"Shingles of {shingle_length} tokens do not fit paragraphs of shape {token_ids.shape}; shorten them."
        )
    return np.lib.stride_tricks.sliding_window_view(token_ids, shingle_length, axis=1)


def minhash_signatures(hashes: np.ndarray, permutation_count: int = PERMUTATION_COUNT, seed: int = 1) -> np.ndarray:
    """MinHash signature of every row of hashes, equal to datasketch's (scheme "affine32") fed with the same hashes.

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
        mixed = np.ascontiguousarray(_fmix32(hashes[begin : begin + _TILE_ROWS]).T)
        smallest = np.full((permutation_count, mixed.shape[1]), 0xFFFFFFFF, dtype=np.uint32)
        permuted = np.empty_like(smallest)
        for shingle in mixed:
            np.multiply(multipliers[:, None], shingle, out=permuted)
            np.add(permuted, offsets[:, None], out=permuted)
            np.minimum(smallest, permuted, out=smallest)
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


def band_shape(threshold: float, permutation_count: int = PERMUTATION_COUNT) -> tuple[int, int]:
    """Bands and rows per band: the most selective bands that miss a pair at the threshold once in a thousand at most.

    A pair of similarity s shares no band with probability (1 − s^rows)^bands (Leskovec et al., *Mining of Massive
    Datasets*, §3.4).
    """
    for rows in range(permutation_count, 1, -1):
        bands = permutation_count // rows
        if (1 - threshold**rows) ** bands <= _MISS_PROBABILITY:
            return bands, rows
    return permutation_count, 1


def _candidate_groups(signatures: np.ndarray, bands: int, rows: int) -> list[np.ndarray]:
    """Groups of paragraphs that agree in a whole band, in a fixed order."""
    groups = []
    for band in range(bands):
        keys = np.ascontiguousarray(signatures[:, band * rows : (band + 1) * rows])
        groups += _groups_of_equal(keys.view(np.dtype((np.void, keys.shape[1] * keys.itemsize))).reshape(-1))
    return groups


def _groups_of_equal(keys: np.ndarray) -> list[np.ndarray]:
    """Index groups of keys that occur more than once, members ascending."""
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    order = np.argsort(inverse, kind="stable")
    ends = np.cumsum(counts)
    return [order[end - count : end] for end, count in zip(ends, counts, strict=True) if count > 1]


class _ShingleSets:
    """The shingles themselves as numbers, so that similarities are exact: equal numbers, equal tokens."""

    def __init__(self, token_ids: np.ndarray, shingle_length: int) -> None:
        windows = np.ascontiguousarray(_windowed(token_ids.astype("<u4"), shingle_length))
        keys = windows.view(np.dtype((np.void, 4 * shingle_length))).reshape(-1)
        _, inverse = np.unique(keys, return_inverse=True)
        self.sets = np.sort(inverse.reshape(windows.shape[:2]), axis=1)
        self._is_repeat = np.zeros(self.sets.shape, dtype=bool)
        self._is_repeat[:, 1:] = self.sets[:, 1:] == self.sets[:, :-1]
        self.sizes = (~self._is_repeat).sum(axis=1)
        self._mark = np.zeros(int(self.sets.max()) + 1, dtype=bool)

    def similarities(self, pivot: int, others: np.ndarray) -> np.ndarray:
        """Jaccard similarity of one paragraph with others, [other]."""
        self._mark[self.sets[pivot]] = True
        shared = (self._mark[self.sets[others]] & ~self._is_repeat[others]).sum(axis=1)
        self._mark[self.sets[pivot]] = False
        return shared / (self.sizes[pivot] + self.sizes[others] - shared)


class _Forest:
    """Connected components by union-find; a component's root is its smallest member."""

    def __init__(self, size: int) -> None:
        self._parent = np.arange(size)

    def roots(self, members: np.ndarray) -> np.ndarray:
        roots = self._parent[members]
        while (above := self._parent[roots]).tolist() != roots.tolist():
            roots = above
        self._parent[members] = roots
        return roots

    def join(self, pivot: int, others: np.ndarray) -> None:
        roots = self.roots(np.append(others, pivot))
        self._parent[roots] = roots.min()

    def labels(self) -> np.ndarray:
        roots = self.roots(np.arange(len(self._parent)))
        return np.unique(roots, return_inverse=True)[1].astype(np.int32)


def _join_equal(forest: _Forest, shingles: _ShingleSets) -> None:
    """Joins paragraphs with the same shingles the same number of times, which need no verification."""
    rows = np.ascontiguousarray(shingles.sets)
    for members in _groups_of_equal(rows.view(np.dtype((np.void, rows.shape[1] * rows.itemsize))).reshape(-1)):
        forest.join(int(members[0]), members[1:])


def _join_similar(forest: _Forest, shingles: _ShingleSets, members: np.ndarray, threshold: float) -> None:
    """Verifies the pairs of a group that lie in different components; equal paragraphs are represented once."""
    _, first = np.unique(shingles.sets[members], axis=0, return_index=True)
    rest = members[np.sort(first)]
    while len(rest) > 1:
        pivot, rest = int(rest[0]), rest[1:]
        roots = forest.roots(np.append(rest, pivot))
        others = rest[roots[:-1] != roots[-1]]
        if len(others):
            similar = others[shingles.similarities(pivot, others) >= threshold]
            if len(similar):
                forest.join(pivot, similar)
