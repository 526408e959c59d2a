"""Summaries of scans for the terminal: a sentence each, longest passages, a ranking, a comparison of checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from assets.report.redaction import redact
from assets.scan.command import Scanned
from warehouse.home import Home

SHOWN_PASSAGES = 10


def sentences(home: Home, scanned: Scanned) -> list[str]:
    """What a scan says: how much is recited, what the finder finds, and the null."""
    row = scanned.rows(home, "scans").row(0, named=True)
    what = f"{row['document']} under {row['checkpoint_id']}"
    if not row["passage_count"]:
        first = f"{what}: none of {row['token_count']:,} tokens is recited for {row['least_match']} tokens or more."
    else:
        share = row["recited_token_count"] / row["token_count"]
        first = (
            f"{what}: {row['recited_token_count']:,} of {row['token_count']:,} tokens ({share:.1%}) are recited in "
            f"{_counted(row['passage_count'], 'passage')}, the longest of {row['longest_passage_count']} tokens; "
            f"{row['memorized_token_count']:,} tokens lie in windows recited in full."
        )
    return [first, *_finder(row), *_null(scanned.rows(home, "scan_reach"))]


def _finder(row: dict[str, Any]) -> list[str]:
    if row["method"] != "anchored":
        return []
    if row["recall"] is None:
        return [
            f"Finder: of {row['sampled_start_count']} random windows none is recited in full, so nothing is known of "
            "what it misses beyond that."
        ]
    ends = (row["recall_lower"], row["recall_upper"])
    interval = "" if None in ends else f" (95 % interval {ends[0]:.0%} to {ends[1]:.0%})"
    count = row["sampled_recited_count"]
    return [
        f"Finder: of {row['sampled_start_count']} random windows {count} {'is' if count == 1 else 'are'} recited in "
        f"full; {row['recall']:.0%} of them lie in passages that it led to{interval}."
    ]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _null(reach: pl.DataFrame) -> list[str]:
    known = reach.filter(pl.col("share").is_not_null())
    said = []
    for (match,), rows in known.sort("match").group_by("match", maintain_order=True):
        by_text = {row["reach_text"]: row["share"] for row in rows.iter_rows(named=True)}
        if len(by_text) == 2:
            said.append(f"{match} tokens {by_text['document']:.1%} (null {by_text['null']:.1%})")
    return [f"Windows that reach {', '.join(said)}."] if said else []


def longest_passages(home: Home, scanned: Sequence[Scanned], is_redacted: bool) -> pl.DataFrame:
    """The ten longest passages of all scans with file and line; those that can be guessed come last."""
    rows = pl.concat([one.rows(home, "scan_passages") for one in scanned])
    ranked = rows.sort(
        pl.col("guessable").is_not_null(), -pl.col("token_count"), -pl.col("surprise_bits"), "first_position"
    ).head(SHOWN_PASSAGES)
    text = pl.col("passage_text").str.strip_chars().str.replace_all(r"\s+", " ")
    shown = ranked.select(
        pl.col("token_count").alias("tokens"),
        pl.format("{}:{}", "document", "first_line").alias("place"),
        *([] if rows["checkpoint_id"].n_unique() == 1 else [pl.col("checkpoint_id").alias("checkpoint")]),
        pl.col("free_run_count").alias("free_run"),
        pl.col("continuation_logprob_nats").exp().alias("probability"),
        pl.col("surprise_bits").round(0).alias("bits"),
        "guessable",
        "null_share",
        text.alias("text"),
    )
    return shown.with_columns(pl.Series("text", [redact(t) for t in shown["text"]])) if is_redacted else shown


def ranking(home: Home, scanned: Sequence[Scanned]) -> pl.DataFrame:
    """Documents by recited tokens, most first."""
    rows = pl.concat([one.rows(home, "scans") for one in scanned])
    return rows.sort("recited_token_count", "longest_passage_count", "document", descending=[True, True, False]).select(
        "document",
        *([] if rows["checkpoint_id"].n_unique() == 1 else ["checkpoint_id"]),
        pl.col("token_count").alias("tokens"),
        pl.col("recited_token_count").alias("recited"),
        (pl.col("recited_token_count") / pl.col("token_count")).alias("share"),
        pl.col("longest_passage_count").alias("longest"),
        pl.col("passage_count").alias("passages"),
    )


def comparison(home: Home, scanned: Sequence[Scanned]) -> pl.DataFrame:
    """Characters of each document that the first and the last checkpoint recite: both, only one, only the other.

    Characters, because checkpoints may have different tokenizers.
    """
    rows = []
    for document in dict.fromkeys(one.document for one in scanned):
        some = [one for one in scanned if one.document == document]
        first, last = (_recited(home, one) for one in (some[0], some[-1]))
        size = max(len(first), len(last))
        one, other = (np.pad(mask, (0, size - len(mask))) for mask in (first, last))
        rows.append(
            {
                "document": document,
                "before": some[0].checkpoint_id,
                "after": some[-1].checkpoint_id,
                "both_characters": int((one & other).sum()),
                "only_before_characters": int((one & ~other).sum()),
                "only_after_characters": int((~one & other).sum()),
            }
        )
    return pl.DataFrame(rows)


def _recited(home: Home, scanned: Scanned) -> np.ndarray:
    """Whether each character lies in a passage, [character]."""
    mask = np.zeros(scanned.rows(home, "scans")["character_count"][0], dtype=bool)
    places = scanned.rows(home, "scan_passages").select("first_character", "character_count")
    for first, count in places.iter_rows():
        mask[first : first + count] = True
    return mask
