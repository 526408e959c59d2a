"""Near-duplicate clusters of paragraphs: MinHash signatures, LSH candidates, verified Jaccard, connected components."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from corpus_stats.duplicates.minhash import (
    HASHING_SCHEME,
    PERMUTATION_COUNT,
    minhash_signatures,
    shingle_hashes,
    shingles_per_row,
)
from corpus_stats.duplicates.shared_runs import linked_clusters, shared_run_pairs
from corpus_stats.errors import CorpusError

__all__ = [
    "HASHING_SCHEME",
    "PERMUTATION_COUNT",
    "band_shape",
    "duplicate_clusters",
    "minhash_signatures",
    "near_duplicate_clusters",
    "shared_run_clusters",
    "shingle_hashes",
]

_MISS_PROBABILITY = 1e-3
_KEY_LIMIT = 1 << 63
SMALL_GROUP = 16  # as many are compared pair by pair
_ROUNDING = 1e-9


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
    shingles = ShingleSets(rows, shingle_length, threshold)
    forest = _Forest(len(rows))
    for members in _groups_of_equal(_row_keys(shingles.sets)):
        forest.join(int(members[0]), members[1:])
    signatures = minhash_signatures(shingle_hashes(rows, shingle_length), seed=seed)
    for members in candidate_groups(signatures, *band_shape(threshold)):
        _join_similar(forest, shingles, members)
    return forest.labels()


def shared_run_clusters(token_ids: np.ndarray, run_length: int = 50) -> np.ndarray:
    """Clusters of paragraphs linked by a common run of `run_length` tokens, wherever it lies in each.

    Windows cut from copies of one text at different places share runs although their Jaccard similarity may be low;
    Stoehr et al.'s 442 memorized paragraphs fall into 116 such groups.

    Args:
        token_ids: [paragraph, position].
        run_length: consecutive tokens in common.

    Returns:
        int32 labels, [paragraph], numbered by first appearance.

    Raises:
        CorpusError: paragraphs are shorter than the run.
    """
    rows = np.asarray(token_ids)
    labels = np.arange(len(rows), dtype=np.int32)
    if len(rows):
        for one, other in shared_run_pairs(rows, run_length):
            labels = linked_clusters(labels, one, other)
    return labels


def duplicate_clusters(
    token_ids: np.ndarray, threshold: float = 0.8, run_length: int = 50, shingle_length: int = 5, seed: int = 1
) -> np.ndarray:
    """The unit of every statistic: paragraphs linked by Jaccard similarity or by a shared run, whichever holds.

    Args:
        token_ids: [paragraph, position].
        threshold, shingle_length, seed: as in `near_duplicate_clusters`.
        run_length: as in `shared_run_clusters`.

    Returns:
        int32 labels, [paragraph], numbered by first appearance.

    Raises:
        CorpusError: the lengths or the threshold are impossible for these paragraphs.
    """
    labels = near_duplicate_clusters(token_ids, threshold, shingle_length, seed)
    return linked_clusters(labels, np.arange(len(labels)), _first_members(shared_run_clusters(token_ids, run_length)))


def _first_members(labels: np.ndarray) -> np.ndarray:
    """First paragraph of each paragraph's cluster, [paragraph]."""
    _, first, index = np.unique(labels, return_index=True, return_inverse=True)
    return first[index]


def band_shape(threshold: float, permutation_count: int = PERMUTATION_COUNT) -> tuple[int, int]:
    """Bands and rows per band: the most selective bands that miss a pair at the threshold once in a thousand at most.

    A pair of similarity s shares no band with probability (1 − s^rows)^bands (Leskovec et al., *Mining of Massive
    Datasets*, §3.4). Very low thresholds cannot keep the promise; they get bands of one row.
    """
    for rows in range(permutation_count, 1, -1):
        bands = permutation_count // rows
        if (1 - threshold**rows) ** bands <= _MISS_PROBABILITY:
            return bands, rows
    return permutation_count, 1


def candidate_groups(signatures: np.ndarray, bands: int, rows: int) -> Iterator[np.ndarray]:
    """Groups of paragraphs that agree in a whole band, in a fixed order."""
    for band in range(bands):
        yield from _groups_of_equal(_row_keys(signatures[:, band * rows : (band + 1) * rows]))


def _row_keys(rows: np.ndarray) -> np.ndarray:
    """Rows as single comparable values: equal values, equal bytes."""
    contiguous = np.ascontiguousarray(rows)
    return contiguous.view(np.dtype((np.void, contiguous.shape[1] * contiguous.itemsize))).reshape(-1)


def _groups_of_equal(keys: np.ndarray) -> list[np.ndarray]:
    """Index groups of keys that occur more than once, members ascending."""
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    repeated = np.flatnonzero(counts[inverse] > 1)
    order = repeated[np.argsort(inverse[repeated], kind="stable")]
    return np.split(order, np.cumsum(counts[counts > 1])[:-1]) if len(order) else []


class ShingleSets:
    """The shingles themselves as numbers, so that similarities are exact: equal numbers, equal tokens.

    Numbers are ranks by rarity. A set's few rarest shingles are its mark: of two sets with a Jaccard similarity of at
    least the threshold, the smaller one's short mark and the larger one's long mark have a shingle in common (prefix
    filter: Chaudhuri et al. 2006; Xiao et al. 2008, *PPJoin*). Texts of one template share the template, which is
    common, and differ in what is rare; without marks every pair of them would have to be compared.
    """

    def __init__(self, token_ids: np.ndarray, shingle_length: int, threshold: float) -> None:
        self.threshold = threshold
        self.sets = np.sort(_ranked_by_rarity(_shingle_numbers(token_ids, shingle_length)), axis=1)
        self._is_repeat = np.zeros(self.sets.shape, dtype=bool)
        self._is_repeat[:, 1:] = self.sets[:, 1:] == self.sets[:, :-1]
        self.sizes = (~self._is_repeat).sum(axis=1)
        self.commonness = self.sets.sum(axis=1, dtype=np.int64)
        self._mark = np.zeros(int(self.sets.max()) + 1, dtype=bool)

    def similar(self, pivot: int, others: np.ndarray) -> np.ndarray:
        """Those of the others whose Jaccard similarity with the pivot reaches the threshold."""
        self._mark[self.sets[pivot]] = True
        shared = (self._mark[self.sets[others]] & ~self._is_repeat[others]).sum(axis=1)
        self._mark[self.sets[pivot]] = False
        return others[shared / (self.sizes[pivot] + self.sizes[others] - shared) >= self.threshold]

    def groups_by_mark(self, members: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For every shingle in marks of several members: these, and whether each has it in its short mark."""
        fresh = ~self._is_repeat[members]
        place = np.cumsum(fresh, axis=1) - 1
        short, long = self._mark_lengths(self.sizes[members])
        row, column = np.nonzero(fresh & (place < long[:, None]))
        shingle = self.sets[members][row, column]
        is_short = place[row, column] < short[row]
        order = np.argsort(shingle, kind="stable")
        begins = np.append(0, np.flatnonzero(np.diff(shingle[order])) + 1)
        ends = np.append(begins[1:], len(order))
        matter = (ends - begins > 1) & (np.add.reduceat(is_short[order], begins) > 0)
        for begin, end in zip(begins[matter].tolist(), ends[matter].tolist(), strict=True):
            group = order[begin:end]
            yield members[row[group]], is_short[group]

    def _mark_lengths(self, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Shingles in the short and the long mark of sets among others of these sizes.

        A similar pair of sizes a ≤ b shares at least t/(1+t)·(a+b) shingles: 2t/(1+t)·a or more, as a counts for the
        smaller; for the larger with t·b and the smallest size around as bounds of a. Rounded against us: a mark one
        too long costs a comparison, one too short would cost a pair.
        """
        share = self.threshold / (1 + self.threshold)
        smallest = np.maximum(self.threshold * sizes, sizes.min())
        short, long = (np.ceil(share * (sizes + other) - _ROUNDING).astype(np.int64) for other in (sizes, smallest))
        return sizes - short + 1, sizes - long + 1


def _ranked_by_rarity(shingles: np.ndarray) -> np.ndarray:
    """Shingle numbers renumbered so that rarer shingles have smaller numbers, ties by number."""
    holders = np.bincount(shingles.reshape(-1))
    rank = np.empty(len(holders), dtype=np.int32)
    rank[np.argsort(holders, kind="stable")] = np.arange(len(holders), dtype=np.int32)
    return rank[shingles]


def _shingle_numbers(token_ids: np.ndarray, shingle_length: int) -> np.ndarray:
    """A number per distinct shingle, int32 [paragraph, shingle]; exact, as tokens are packed and never hashed."""
    count = shingles_per_row(token_ids, shingle_length)
    base = int(token_ids.max()) + 1
    numbers = np.zeros((len(token_ids), count), dtype=np.int64)
    limit = 1
    for position in range(shingle_length):
        if limit * base >= _KEY_LIMIT:
            numbers = np.unique(numbers, return_inverse=True)[1].reshape(numbers.shape)
            limit = int(numbers.max()) + 1
        numbers = numbers * base + token_ids[:, position : position + count]
        limit *= base
    return np.unique(numbers, return_inverse=True)[1].reshape(numbers.shape).astype(np.int32)


class _Forest:
    """Connected components by union-find; a component's root is its smallest member."""

    def __init__(self, size: int) -> None:
        self._parent = np.arange(size)

    def roots(self, members: np.ndarray) -> np.ndarray:
        """Root of every member."""
        roots = self._parent[members]
        while not np.array_equal(above := self._parent[roots], roots):
            roots = above
        self._parent[members] = roots
        return roots

    def join(self, pivot: int, others: np.ndarray) -> None:
        """Makes one component of the pivot's and the others'."""
        roots = self.roots(np.append(others, pivot))
        self._parent[roots] = roots.min()

    def labels(self) -> np.ndarray:
        """Components numbered by their first member, int32."""
        roots = self.roots(np.arange(len(self._parent)))
        return np.unique(roots, return_inverse=True)[1].astype(np.int32)


def _join_similar(forest: _Forest, shingles: ShingleSets, members: np.ndarray) -> None:
    """Verifies the pairs of a group that lie in different components; equal paragraphs are represented once."""
    if (roots := forest.roots(members)).min() == roots.max():
        return
    _, first = np.unique(_row_keys(shingles.sets[members]), return_index=True)
    distinct = members[np.sort(first)]
    if len(distinct) <= SMALL_GROUP:
        _join_group(forest, shingles, distinct, np.ones(len(distinct), dtype=bool))
        return
    for group, is_short in shingles.groups_by_mark(distinct):
        _join_group(forest, shingles, group, is_short)


def _join_group(forest: _Forest, shingles: ShingleSets, members: np.ndarray, is_short: np.ndarray) -> None:
    """Joins similar members, of which one has to be short.

    Members outside the largest component are compared with all that lie in other components, the most common ones
    first: a text that everything else was made from joins the whole group at once.
    """
    order = np.argsort(-shingles.commonness[members], kind="stable")
    members, is_short = members[order], is_short[order]
    waiting = np.ones(len(members), dtype=bool)
    roots = forest.roots(members)
    largest = _most_frequent(roots)
    while len(outside := np.flatnonzero(waiting & (roots != largest))):
        index = outside[0]
        waiting[index] = False
        apart = (roots != roots[index]) & (is_short if not is_short[index] else True)
        similar = shingles.similar(int(members[index]), members[apart])
        if len(similar):
            forest.join(int(members[index]), similar)
            roots = forest.roots(members)
            largest = _most_frequent(roots)


def _most_frequent(values: np.ndarray) -> int:
    distinct, counts = np.unique(values, return_counts=True)
    return int(distinct[counts.argmax()])
