"""Page of a scan: one self-contained HTML file with the text shaded by what is recited, a strip, and the passages."""

from __future__ import annotations

import base64
import hashlib
import math
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from assets.report.redaction import redact
from assets.scan.command import Scanned
from assets.scan.page_text import RedactedDocument, cover_of, level, runs, strip_bars
from assets.scan.summary import sentences
from assets.scan.work import ScanWork
from warehouse.files import fill_file
from warehouse.home import Home

PREVIEW_CHARACTERS = 90


@dataclass
class ScanPage:
    """Collects a section for each scan while its text is there; `write` puts them into one file.

    Attributes:
        home: where the tables lie.
        is_redacted: hide what looks personal or secret, in the text and in the passages.
    """

    home: Home
    is_redacted: bool = False
    sections: list[dict[str, Any]] = field(default_factory=list)

    def add(self, scanned: Scanned, work: ScanWork) -> None:
        """One section: facts, strip, passages, text."""
        self.sections.append(section(self.home, scanned, work, self.is_redacted))

    def write(self, target: Path) -> None:
        """The page, replaced when it is whole.

        Raises:
            WarehouseError: the disk refused.
        """
        text = render(self.sections, self.is_redacted)
        fill_file(target, lambda path: path.write_text(text, encoding="utf-8"))


def render(sections: list[dict[str, Any]], is_redacted: bool) -> str:
    """The page as HTML; all text of documents and models is escaped."""
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    facts, script = sections[0]["facts"], _file("scan.js")
    return environment.from_string(_file("scan.html")).render(
        title=_title(sections),
        sections=sections,
        lengths=(facts["prefix_length"], facts["continuation_length"]),
        legend=_legend(facts),
        redacted=is_redacted,
        style=_file("scan.css"),
        script=script,
        script_hash=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
    )


def _title(sections: list[dict[str, Any]]) -> str:
    documents = list(dict.fromkeys(s["document"] for s in sections))
    checkpoints = list(dict.fromkeys(s["checkpoint"] for s in sections))
    of = documents[0] if len(documents) == 1 else f"{len(documents)} documents"
    return f"What {' and '.join(checkpoints)} know{'s' if len(checkpoints) == 1 else ''} by heart of {of}"


def _legend(facts: dict[str, Any]) -> tuple[str, str, str, str]:
    """Ranges of recitals of the four shades, in tokens."""
    least, whole = facts["least_match"], facts["continuation_length"]
    middle = max(least, whole * 3 // 5)
    edges = (least, middle, whole, 2 * whole)
    ranges = [f"{low}–{high - 1}" if low < high - 1 else str(low) for low, high in pairwise(edges)]
    return ranges[0], ranges[1], ranges[2], f"{2 * whole} or more"


@cache
def _file(name: str) -> str:
    return files("assets").joinpath("scan", "templates", name).read_text(encoding="utf-8")


def section(home: Home, scanned: Scanned, work: ScanWork, is_redacted: bool) -> dict[str, Any]:
    """Everything the template shows of one scan."""
    facts = scanned.rows(home, "scans").row(0, named=True)
    passages = scanned.rows(home, "scan_passages")
    document = RedactedDocument(work.documents[0]) if is_redacted else work.documents[0]
    cover = cover_of(home, scanned, len(document), passages)
    pieces, is_cut = runs(document, cover, passages, facts)
    return {
        "document": redact(facts["document"]) if is_redacted else facts["document"],
        "checkpoint": facts["checkpoint_id"],
        "facts": facts,
        "sentences": sentences(home, scanned),
        "bars": strip_bars(passages, cover, facts),
        "reach": _reach(scanned.rows(home, "scan_reach")),
        "passages": _passages(passages, scanned.rows(home, "scan_triggers"), document, facts, is_redacted),
        "runs": pieces,
        "is_cut": is_cut,
    }


def _reach(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """One row per length, both texts side by side."""
    found = []
    for (match,), rows in frame.sort("match").group_by("match", maintain_order=True):
        row: dict[str, Any] = {"match": match}
        for one in rows.iter_rows(named=True):
            name = one["reach_text"]
            row[name] = "—" if one["share"] is None else f"{one['share']:.2%}"
            ends = (one["share_lower"], one["share_upper"])
            row[f"{name}_interval"] = "—" if None in ends else f"{ends[0]:.2%} to {ends[1]:.2%}"
        found.append(row)
    return found


def _passages(
    frame: pl.DataFrame, triggers: pl.DataFrame, document: Any, facts: dict[str, Any], is_redacted: bool
) -> list[dict[str, Any]]:
    """Passages, longest first and guessable ones last, ready for the template."""
    order = [pl.col("guessable").is_not_null(), -pl.col("token_count"), -pl.col("surprise_bits"), pl.col("passage")]
    twins = frame.group_by("near_duplicate_cluster").agg("passage").rows()
    by_cluster: dict[int, list[int]] = dict(twins)
    swept = triggers.partition_by("passage", as_dict=True)
    shown = []
    for row in frame.sort(order).iter_rows(named=True):
        best, whole = row["best_position"], facts["continuation_length"]
        truth = document.text(best, best + whole)
        written = redact(row["written_text"]) if is_redacted else row["written_text"]
        same = _common(truth, written)
        texts = {name: redact(row[name]) if is_redacted else row[name] for name in ("passage_text", "prefix_text")}
        shown.append(row | texts | {
            "preview": _preview(texts["passage_text"]),
            "truth_text": truth,
            "written_same": written[:same],
            "written_other": written[same:],
            "is_longer": row["token_count"] > whole or row["first_position"] != best,
            "probability": f"{math.exp(row['continuation_logprob_nats']):.3g}",
            "samples": f"{row['samples_needed']:,.0f}" if row["samples_needed"] < 1e12 else "more than 10¹²",
            "null_percent": f"{row['null_share']:.2%}",
            "twins": [p for p in by_cluster[row["near_duplicate_cluster"]] if p != row["passage"]],
            "triggers": _triggers(swept.get((row["passage"],)), is_redacted),
        })  # fmt: skip
    return shown


def _common(one: str, other: str) -> int:
    """Characters that two texts begin with alike."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


def _preview(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= PREVIEW_CHARACTERS else f"{flat[: PREVIEW_CHARACTERS - 1]}…"


def _triggers(frame: pl.DataFrame | None, is_redacted: bool) -> list[dict[str, Any]]:
    """Tokens of the prefix with what changing each destroys."""
    if frame is None:
        return []
    from assets.report.redaction import redacted_tokens

    rows = frame.sort("prefix_position").to_dicts()
    tokens = [row["token"] for row in rows]
    shown = redacted_tokens(tokens) if is_redacted else tokens
    most = max(1, *(row["em_drop"] for row in rows))
    return [
        {
            "token": token,
            "level": level(row["em_drop"] / most),
            "title": f"{row['em_drop']} tokens lost"
            + ("" if is_redacted else f" with {row['replacement']!r} in its place"),
        }
        for token, row in zip(shown, rows, strict=True)
    ]
