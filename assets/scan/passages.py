"""Passages with everything that is said of them: text and place, what is written, surprise, triggers, the corpus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from assets.scan.corpus_facts import corpus_facts
from assets.scan.work import ScanWork, no_scan_rows

if TYPE_CHECKING:
    from assets.scan.results import ScanExtras

SWEPT_PASSAGES = 20
"""Passages whose triggers are sought: the longest that are recited in full from their best window."""


def described(
    work: ScanWork, index: int, found: pl.DataFrame, null_match: np.ndarray, extras: ScanExtras
) -> pl.DataFrame:
    """Rows of `scan_passages` of one document.

    Args:
        work: the scan.
        index: of the document.
        found: passages as `probes.scan.passages.merged` gives them.
        null_match: exact matches of the null's windows, [window].
        extras: corpus of the checkpoint, if it has one.
    """
    from probes.scan.free_run import free_runs
    from probes.scan.null import null_share

    plan, ids = work.subject.plan, work.documents[index].ids
    if found.is_empty():
        return no_scan_rows("scan_passages").drop("document", "checkpoint_id")
    windows = plan.windows(ids, found["best_position"].to_numpy())
    firsts, counts = found["first_position"].to_numpy(), found["token_count"].to_numpy()
    frame = pl.concat(
        [found, _texts(work, index, found), _written(work, windows, found), corpus_facts(work, windows, extras)],
        how="horizontal",
    )
    return frame.with_columns(
        samples_needed=pl.Series([_samples_needed(value) for value in found["continuation_logprob_nats"]]),
        free_run_count=pl.Series(free_runs(work.load(), ids, firsts, counts, plan)),
        null_share=pl.Series(null_share(found["longest_match"].to_numpy(), null_match)),
        near_duplicate_cluster=pl.Series(_clusters(windows)),
    )


def _texts(work: ScanWork, index: int, found: pl.DataFrame) -> pl.DataFrame:
    """Place, text, surprise and marks of each passage."""
    from probes.scan.guessable import mark, surprise_bits

    document, prefix, rows = work.documents[index], work.subject.plan.prefix_length, []
    for first, count, best in found.select("first_position", "token_count", "best_position").iter_rows():
        text, before = document.text(first, first + count), document.text(first - prefix, first)
        lead = text[: len(text) - len(text.lstrip())]
        begin = int(document.lines[first]) + lead.count("\n")
        rows.append(
            {
                "first_line": begin,
                "last_line": begin + text.strip().count("\n"),
                "first_character": document.character(first),
                "character_count": len(text),
                "passage_text": text,
                "prefix_text": document.text(best - prefix, best),
                "surprise_bits": surprise_bits(text, before),
                "guessable": mark(np.asarray(document.ids[first : first + count]), text, before),
            }
        )
    return pl.DataFrame(rows, schema_overrides={"guessable": pl.String}, infer_schema_length=None)


def _written(work: ScanWork, windows: np.ndarray, found: pl.DataFrame) -> pl.DataFrame:
    """What greedy decoding writes after the best prefix, and how near it is to the truth."""
    from probes.scoring.generation import generate_continuations

    prefix = work.subject.plan.prefix_length
    frame = generate_continuations(work.load(), windows, found["longest_match"].to_list(), prefix)
    known: dict[int, Any] = {row["row"]: row for row in frame.iter_rows(named=True)}
    rows = [
        known.get(row, {"generated_ids": window[prefix:].tolist(), "rouge_l": 1.0})
        for row, window in enumerate(windows)
    ]
    texts = work.tokenizer.batch_decode([row["generated_ids"] for row in rows], clean_up_tokenization_spaces=False)
    return pl.DataFrame({"written_text": texts, "rouge_l": [row["rouge_l"] for row in rows]})


def _samples_needed(logprob_nats: float) -> float:
    """Samples after which the continuation has come up with probability 1/2 (Hayes et al. 2025, arXiv 2410.19482)."""
    p = float(np.exp(min(logprob_nats, -1e-12)))
    return float(max(1.0, np.log(0.5) / np.log1p(-p))) if p > 0 else float("inf")


def _clusters(windows: np.ndarray) -> np.ndarray:
    """Labels of near duplicates among the best windows, [passage]."""
    from corpus_stats.duplicates.near_duplicates import duplicate_clusters

    width = windows.shape[1]
    return duplicate_clusters(windows, run_length=min(50, width), shingle_length=min(5, width))


def trigger_rows(work: ScanWork, index: int, found: pl.DataFrame) -> pl.DataFrame:
    """Rows of `scan_triggers`: each token of the best prefix of the longest passages changed in turn."""
    from corpus_stats.tokens.tokenizer import token_strings
    from probes.perturbation.sweep import sweep

    plan = work.subject.plan
    chosen = found.filter(pl.col("memorized_start_count") > 0).sort("token_count", descending=True).head(SWEPT_PASSAGES)
    if chosen.is_empty():
        return no_scan_rows("scan_triggers")
    windows = plan.windows(work.documents[index].ids, chosen["best_position"].to_numpy())
    rows = sweep(
        work.load(), windows, windows[:, plan.prefix_length :], seed=plan.seed, prefix_length=plan.prefix_length,
        excluded_ids=work.tokenizer.all_special_ids,
    )  # fmt: skip
    named = {name: token_strings(work.tokenizer, rows[f"{ids}_id"].to_numpy()) for name, ids in _TOKENS.items()}
    return rows.with_columns(
        pl.lit(work.name(index)).alias("document"),
        pl.lit(work.subject.checkpoint_id).alias("checkpoint_id"),
        chosen["passage"].gather(rows["row"]).alias("passage"),
        pl.col("position").alias("prefix_position"),
        **{name: pl.Series(texts) for name, texts in named.items()},
    )


_TOKENS = {"token": "original", "replacement": "replacement"}
