"""Two-phase samples: windows drawn from strata to be screened, then what the screening singles out, with others.

Every weight is the number of windows of the corpus that a drawn window stands for, the inverse of the probability with
which it was drawn (Särndal, Swensson and Wretman 1992, *Model Assisted Survey Sampling*, chapter 9). So shares of the
corpus can be estimated without bias from a sample that holds far more recited text than the corpus does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from corpus_stats.paragraphs.strata import occurrence_strata

RECITED, NEARLY, FURTHEST, OTHER = "recited", "nearly recited", "furthest recited", "other"
NEARLY_SHARE = 0.8
HARDLY_SHARE = 0.2
"""Of the continuation: from the first on a window is nearly recited, up to the second it is hardly recited at all."""
LEAST_OF_STRATUM = 2
_THIRDS = ("common", "middling", "rare")


def screening_strata(occurrence_count: np.ndarray, kinds: Sequence[str], rarity_bits: np.ndarray) -> list[str]:
    """Occurrences in bins of doubling width, kind of text, and third of rarity, as one name for each window.

    Args:
        occurrence_count: times each window occurs in the corpus, [window].
        kinds: kind of text of each, [window].
        rarity_bits: mean surprisal of the prefix's tokens, [window]; thirds are of these windows.
    """
    bits = np.asarray(rarity_bits, dtype=np.float64)
    bounds = np.quantile(bits, [1 / 3, 2 / 3]) if len(bits) else np.zeros(2)
    thirds = np.searchsorted(bounds, bits, side="left")
    found = zip(occurrence_strata(occurrence_count), kinds, thirds, strict=True)
    return [f"×{occurs} {kind}, {_THIRDS[third]}" for occurs, kind, third in found]


def allocated(sizes: np.ndarray, total: int, power: float = 0.5) -> np.ndarray:
    """How many to draw from each stratum: in proportion to a power of its size, at least two, at most all.

    The square root keeps small strata, those of text that occurs often, from being drowned (Bankier 1988, *Power
    allocations*).

    Args:
        sizes: members of each stratum, [stratum].
        total: members to draw; more are drawn where two of each stratum are more.
        power: 0 draws as many from each, 1 in proportion.

    Returns:
        int64, [stratum].
    """
    sizes = np.asarray(sizes, dtype=np.int64)
    given = np.minimum(sizes, LEAST_OF_STRATUM)
    while (left := min(total, int(sizes.sum())) - int(given.sum())) > 0:
        room = sizes - given
        share = np.where(room > 0, sizes.astype(np.float64) ** power, 0.0)
        wanted = left * share / share.sum()
        more = np.minimum(np.floor(wanted).astype(np.int64), room)
        if not more.any():  # the last few go to those that miss most
            more[np.argsort(-wanted, kind="stable")[:left]] = 1
            more = np.minimum(more, room)
        given += more
    return given


def drawn_from_strata(strata: Sequence[str], total: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows drawn from each stratum without replacement, ascending, and how many of its rows each stands for."""
    labels = np.asarray(strata, dtype=object)
    names, sizes = np.unique(labels.astype(str), return_counts=True)
    rows, weights = [], []
    for name, size, count in zip(names, sizes, allocated(sizes, total), strict=True):
        rows.append(_permuted(np.flatnonzero(labels == name), seed, str(name))[:count])
        weights.append(np.full(count, size / max(count, 1)))
    if not rows:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    order = np.argsort(np.concatenate(rows), kind="stable")
    return np.concatenate(rows)[order], np.concatenate(weights)[order]


def kept_of_screened(screened: pl.DataFrame, continuation_length: int, count: int, seed: int) -> pl.DataFrame:
    """Everything recited or nearly so, the furthest recited where that is little, and others of the same strata.

    Others are drawn at random within their stratum, as many as were singled out there and at least two, so that every
    window of the corpus had a chance and every estimate stays unbiased; then further ones up to `count` in all.

    Args:
        screened: paragraph_id, stratum, exact_match, weight; one row per distinct window.
        continuation_length: tokens that can be recited.
        count: windows to keep; more where more is recited or nearly so. Half of them are filled with the furthest
            recited, if they are recited beyond a fifth.
        seed: decides which others.

    Returns:
        The rows that are kept, in order, with sampling_group, inclusion_probability (given that it was screened) and
        weight (screening included).
    """
    ranked = screened.with_row_index("row").sort("exact_match", "paragraph_id", descending=[True, False])
    match = ranked["exact_match"].to_numpy()
    sure = int(np.count_nonzero(match >= NEARLY_SHARE * continuation_length))
    reaching = int(np.count_nonzero(match > HARDLY_SHARE * continuation_length))
    singled = max(sure, min(reaching, count // 2))
    group = np.full(len(match), OTHER, dtype=object)
    group[:singled], group[:sure] = FURTHEST, NEARLY
    group[:singled][match[:singled] == continuation_length] = RECITED
    ranked = ranked.with_columns(sampling_group=pl.Series(group.tolist(), dtype=pl.String)).sort("row")
    return _with_others(ranked, count, seed).drop("row")


def _with_others(rows: pl.DataFrame, count: int, seed: int) -> pl.DataFrame:
    """What was singled out, and others drawn from every stratum, with their probabilities."""
    is_other = (rows["sampling_group"] == OTHER).to_numpy()
    labels = rows["stratum"].to_numpy().astype(str)
    names = np.unique(labels)
    free = np.array([np.count_nonzero(is_other & (labels == name)) for name in names])
    sought = np.array([np.count_nonzero(~is_other & (labels == name)) for name in names])
    given = np.minimum(free, np.maximum(sought, LEAST_OF_STRATUM))
    further = count - int((~is_other).sum()) - int(given.sum())
    if further > 0:
        given = given + _in_proportion(free - given, further)
    probability = np.ones(len(rows))
    kept = ~is_other
    for name, available, taken in zip(names, free, given, strict=True):
        members = np.flatnonzero(is_other & (labels == name))
        kept[_permuted(members, seed, f"others {name}")[:taken]] = True
        probability[members] = taken / max(available, 1)
    shown = rows.with_columns(inclusion_probability=pl.Series(probability)).filter(pl.Series(kept))
    return shown.with_columns(weight=pl.col("weight") / pl.col("inclusion_probability"))


def _in_proportion(free: np.ndarray, total: int) -> np.ndarray:
    """`total` divided among strata in proportion to what is free in each, at most all of it, [stratum]."""
    if total >= free.sum():
        return free
    exact = total * free / max(int(free.sum()), 1)
    given = np.floor(exact).astype(np.int64)
    given[np.argsort(given - exact, kind="stable")[: total - int(given.sum())]] += 1
    return np.minimum(given, free)


def _permuted(members: np.ndarray, seed: int, name: str) -> np.ndarray:
    """Members in an order that depends on the seed and the stratum alone."""
    return np.random.default_rng([seed, *name.encode("utf-8")]).permutation(members)
