"""Facts of the checkpoint's own corpus about passages: how often they occur there, how rare their prefixes are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from assets.scan.work import ScanWork
from warehouse.record.parts import TableStore

if TYPE_CHECKING:
    from assets.scan.results import ScanExtras


def corpus_facts(work: ScanWork, windows: np.ndarray, extras: ScanExtras) -> pl.DataFrame:
    """occurrence_count of each continuation and prefix_rarity_bits; null where the corpus is not in the home.

    Args:
        work: the scan.
        windows: best window of each passage, [passage, position].
        extras: home and corpus of the checkpoint.
    """
    prefix = work.subject.plan.prefix_length
    return pl.DataFrame(
        {
            "occurrence_count": _occurrences(work, windows[:, prefix:], extras),
            "prefix_rarity_bits": _rarity(windows[:, :prefix], extras) if _is_same_tokenizer(work, extras) else None,
        },
        schema={"occurrence_count": pl.Int64, "prefix_rarity_bits": pl.Float64},
    ) if len(windows) else pl.DataFrame()  # fmt: skip


def _is_same_tokenizer(work: ScanWork, extras: ScanExtras) -> bool:
    """Whether the corpus is in the home and was tokenized as the checkpoint does it."""
    from corpus_stats.tokens.tokenizer import tokenizer_sha256

    if extras.home is None or extras.corpus_id is None:
        return False
    store = TableStore.of(extras.home, "tokenizers")
    if store.manifest(extras.corpus_id) is None:
        return False
    return store.read(extras.corpus_id)["tokenizer_sha256"][0] == tokenizer_sha256(work.tokenizer)


def _occurrences(work: ScanWork, continuations: np.ndarray, extras: ScanExtras) -> list[int] | list[None]:
    from corpus_stats.counts.occurrences import count_occurrences
    from corpus_stats.errors import CorpusError
    from corpus_stats.tokens.stream import TokenStream

    unknown: list[None] = [None] * len(continuations)
    if not _is_same_tokenizer(work, extras):
        return unknown
    try:
        stream = TokenStream(extras.home.corpus_folder(extras.corpus_id) / "tokens")
    except CorpusError:  # the ids were removed to make room; what they were counted for stays
        return unknown
    return [int(count) for count in count_occurrences(stream, continuations)]


def _rarity(prefixes: np.ndarray, extras: ScanExtras) -> list[float] | None:
    store = TableStore.of(extras.home, "unigrams")
    if extras.corpus_id is None or store.manifest(extras.corpus_id) is None:
        return None
    known = store.read(extras.corpus_id, ["token_id", "surprisal_bits"])
    bits = np.full(max(int(prefixes.max()), int(known["token_id"].max())) + 1, np.nan)  # type: ignore[arg-type]
    bits[known["token_id"].to_numpy()] = known["surprisal_bits"].to_numpy()
    return [None if np.isnan(row).all() else float(np.nanmean(row)) for row in bits[prefixes]]  # type: ignore[misc]
