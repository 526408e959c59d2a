"""Results of a scan from its positions: passages, how much is recited, what the finder finds, the null beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from assets.framework.stage import Frames
from assets.scan.documents import ScanText, placed
from assets.scan.passages import described, trigger_rows
from assets.scan.work import ScanWork, no_scan_rows

if TYPE_CHECKING:
    from probes.scan import ScanPlan

RESULT_TABLES = ("scans", "scan_passages", "scan_reach", "scan_triggers")
NULL_CHARACTERS = 400_000
_PIECES = 100
_KEPT = ("document", "position", "exact_match", "is_memorized", "continuation_logprob_nats", "way", "is_sampled")


@dataclass(frozen=True)
class ScanExtras:
    """What is asked of the passages beyond the scan itself.

    Attributes:
        triggers: sweep the prefixes of the longest passages.
        null: a text to measure the null on; None shuffles the sentences of the document.
        home, corpus_id: where the corpus of the checkpoint is registered, if it is.
    """

    triggers: bool = False
    null: ScanText | None = None
    home: Any = None
    corpus_id: str | None = None


def results(work: ScanWork, positions: Iterable[pl.DataFrame], extras: ScanExtras) -> Frames:
    """Rows of every table but `scan_positions`.

    Args:
        work: the scan.
        positions: rows of `scan_positions`, a part at a time; only recited and sampled ones are held.
        extras: what else is wanted.
    """
    kept, counts = _kept(work, positions)
    frames: dict[str, list[pl.DataFrame]] = {name: [no_scan_rows(name)] for name in RESULT_TABLES}
    for index in range(len(work.documents)):
        for name, frame in _of_document(work, index, kept, counts, extras).items():
            frames[name].append(frame.select(no_scan_rows(name).columns).cast(no_scan_rows(name).schema))
    return {name: pl.concat(found) for name, found in frames.items()}


def _kept(work: ScanWork, positions: Iterable[pl.DataFrame]) -> tuple[pl.DataFrame, dict[str, np.ndarray]]:
    """Recited and sampled rows, and per document the number of starts, of exact ones and of those recited in full."""
    plan, held, counts = work.subject.plan, [], {d.name: np.zeros(3, dtype=np.int64) for d in work.subject.documents}
    every = plan.method != "anchored"  # the share over all positions needs them all
    for frame in positions:
        for (name,), some in frame.group_by("document"):
            exact, memorized = some.height - some["exact_match"].null_count(), int(some["is_memorized"].sum())
            counts[str(name)] += np.array([some.height, exact, memorized])
        wanted = pl.lit(every) | (pl.col("exact_match") >= plan.least) | pl.col("is_sampled")
        held.append(frame.filter(wanted).select(_KEPT))
    return pl.concat(held), counts


def _of_document(
    work: ScanWork, index: int, kept: pl.DataFrame, counts: dict[str, np.ndarray], extras: ScanExtras
) -> Frames:
    from probes.scan.null import reach
    from probes.scan.passages import merged, recited_starts

    plan, name = work.subject.plan, work.name(index)
    rows = kept.filter(document=name)
    recited = recited_starts(rows, plan)
    null_rows, null_tokens = null_positions(work, index, extras)
    found = merged(recited)
    passages = described(work, index, found, null_rows["exact_match"].to_numpy(), extras)
    same = {"document": name, "checkpoint_id": work.subject.checkpoint_id}
    measured = rows.filter("is_sampled") if plan.method == "anchored" else rows
    reached = [
        reach(measured, len(work.documents[index]), plan).with_columns(reach_text=pl.lit("document")),
        reach(null_rows, null_tokens, plan).with_columns(reach_text=pl.lit("null")),
    ]
    return {
        "scans": pl.DataFrame([same | _summary(work, index, rows, found, counts[name], extras)], infer_schema_length=1),
        "scan_passages": passages.with_columns(**{key: pl.lit(value) for key, value in same.items()}),
        "scan_reach": pl.concat(reached).with_columns(**{key: pl.lit(value) for key, value in same.items()}),
        "scan_triggers": trigger_rows(work, index, found if extras.triggers else found.clear()),
    }


def _summary(
    work: ScanWork, index: int, rows: pl.DataFrame, found: pl.DataFrame, counts: np.ndarray, extras: ScanExtras
) -> dict[str, Any]:
    from probes.scan.confirming import united
    from probes.scan.passages import finder_recall

    plan, document = work.subject.plan, work.documents[index]
    full = rows.filter("is_memorized").sort("position")["position"].to_numpy()
    firsts, stops = united(full, full + plan.continuation_length)
    lengths = {name: getattr(plan, name) for name in ("prefix_length", "continuation_length", "stride", "method")}
    return lengths | finder_recall(rows, plan) | {
        "source": work.subject.documents[index].path,
        "document_sha256": document.sha256,
        "character_count": document.character_count,
        "token_count": len(document),
        "row_starts": plan.row_starts,
        "least_match": plan.least,
        "start_count": int(counts[0]),
        "exact_start_count": int(counts[1]),
        "memorized_start_count": int(counts[2]),
        "passage_count": found.height,
        "longest_passage_count": found["token_count"].max() or 0,
        "recited_token_count": int(found["token_count"].sum()),
        "memorized_token_count": int((stops - firsts).sum()),
        "null_text": extras.null.name if extras.null else "shuffled sentences",
    }  # fmt: skip


def null_positions(work: ScanWork, index: int, extras: ScanExtras) -> tuple[pl.DataFrame, int]:
    """Exact matches of sampled windows of the null text, and its number of tokens.

    Rows hold position and exact_match; none where the text is shorter than a window.
    """
    from corpus_stats.tokens.placed import place_tokens
    from corpus_stats.tokens.tokenizer import encoder
    from probes.scan.null import shuffled_sentences
    from probes.scan.windows import screened_scores

    plan, encode, folder = work.subject.plan, encoder(work.tokenizer), Path(work.scratch) / f"null-{index}"
    if extras.null is not None:
        document = placed(extras.null, encode, folder)
    else:
        document = place_tokens([shuffled_sentences(_excerpt(work, index, plan), plan.seed)], encode, folder)
    starts = plan.sampled(len(document))
    return screened_scores(work.models(index), document.ids, starts, plan), len(document)


def _excerpt(work: ScanWork, index: int, plan: ScanPlan) -> str:
    """The text, or equally long pieces from all over it where it is long."""
    document = work.documents[index]
    if document.character_count <= NULL_CHARACTERS:
        return document.characters(0, document.character_count)
    length = NULL_CHARACTERS // _PIECES
    begins = np.linspace(0, document.character_count - length, _PIECES).astype(int)
    return "\n\n".join(document.characters(begin, begin + length) for begin in begins.tolist())
