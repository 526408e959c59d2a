"""The page that compares two checkpoints: before and after an edit, early and late in a series."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import sql
from assets.framework.errors import RequestError
from assets.report.drawings import crossing, dumbbells
from assets.report.headline import headline, signed
from assets.report.page import environment, style
from assets.report.redaction import redact
from warehouse.catalog.queries import one_publication, query
from warehouse.files import replace_file
from warehouse.home import Home

SHOWN_ROWS = 20


def write_comparison(home: Home, before: str, after: str, target: Path, is_redacted: bool = False) -> None:
    """Write the page about two checkpoints as one file.

    Raises:
        RequestError: they are the same, or have no paragraphs in common.
    """
    with one_publication(home):
        html = render_comparison(home, before, after, is_redacted)
    replace_file(target, lambda path: path.write_text(html, encoding="utf-8"))


def checkpoint_to_compare(home: Home, checkpoint_id: str) -> str | None:
    """What a checkpoint is best compared with: what it was edited from, else the one before it in its series."""
    rows = query(home, sql.load_one("adhoc", "comparison_pair").text, {"checkpoint_id": checkpoint_id})
    return str(rows["before_id"][0]) if rows.height else None


def render_comparison(home: Home, before: str, after: str, is_redacted: bool = False) -> str:
    """The page as HTML.

    Raises:
        RequestError: they are the same, or have no paragraphs in common.
    """
    if before == after:
        raise RequestError(f"{before} is compared with itself; name two checkpoints.")
    paragraphs = _rows(home, "comparison_paragraphs", before, after)
    if not paragraphs:
        raise RequestError(
            f"no paragraph was scored on both {before} and {after}; `rarecall checkpoints list` shows them."
        )
    for row in paragraphs:
        row["text"] = redact(row["text"]) if is_redacted else row["text"]
    copies = _rows(home, "comparison_copies", before, after)
    pairs = Counter((row["exact_match_before"], row["exact_match_after"]) for row in paragraphs)
    length = max(row["continuation_length"] for row in paragraphs)
    return str(
        environment()
        .get_template("comparison.html")
        .render(
            before=before,
            after=after,
            change=Change(paragraphs),
            copies=copies,
            copies_drawing=dumbbells(copies) if copies else "",
            crossing_drawing=crossing(dict(pairs), length),
            answers=_answers(home, before, after),
            verdicts=_changed_verdicts(home, before, after),
            queries=_Pair(before, after),
            shown_rows=SHOWN_ROWS,
            signed=signed,
            style=style(),
        )
    )


class Change:
    """What was gained, kept and forgotten, of all paragraphs and of those an edit aimed at."""

    def __init__(self, paragraphs: list[dict[str, Any]]):
        self.count = len(paragraphs)
        self.before = sum(row["is_memorized_before"] for row in paragraphs)
        self.after = sum(row["is_memorized_after"] for row in paragraphs)
        self.gained = [r for r in paragraphs if r["is_memorized_after"] and not r["is_memorized_before"]]
        self.forgotten = [r for r in paragraphs if r["is_memorized_before"] and not r["is_memorized_after"]]
        self.kept = self.after - len(self.gained)
        self.targets = [row for row in paragraphs if row["is_target"]]

    @property
    def sentence(self) -> str:
        """The change in plain words."""
        if self.targets:
            gone = sum(row["is_memorized_before"] and not row["is_memorized_after"] for row in self.targets)
            others = len(self.forgotten) - gone
            had = sum(row["is_memorized_before"] for row in self.targets)
            rest = f"{others} of the {self.before - had} other paragraphs recited before"
            return f"forgets {gone} of its {had} targets, and {rest}."
        way = "more" if self.after > self.before else "fewer" if self.after < self.before else "as many"
        counts = f"{self.after:,} of {self.count:,} paragraphs where {self.before:,} were recited before"
        return f"recites {way}: {counts}; {len(self.gained)} gained, {self.kept} kept, {len(self.forgotten)} forgotten."


class _Pair:
    """Texts of the named queries with the two checkpoints they were asked about."""

    def __init__(self, before: str, after: str):
        self.given = {"$before": before, "$after": after, "$checkpoint_id": after}

    def __getitem__(self, name: str) -> str:
        text = sql.load_one("adhoc", name).text.strip()
        for parameter, value in self.given.items():
            text = text.replace(parameter, "'" + value.replace("'", "''") + "'")
        return text


def _answers(home: Home, before: str, after: str) -> list[tuple[str, Any, Any]]:
    """The answers of the two reports, side by side."""
    one, other = headline(home, before), headline(home, after)
    if one is None or other is None:
        return []
    return [(a.question, a, b) for a, b in zip(one.cards, other.cards, strict=True)]


def _changed_verdicts(home: Home, before: str, after: str) -> list[dict[str, Any]]:
    earlier = {row["claim_id"]: row["verdict"] for row in _claims(home, before)}
    rows = [row | {"verdict_before": earlier.get(row["claim_id"])} for row in _claims(home, after)]
    return [row for row in rows if row["verdict_before"] and row["verdict_before"] != row["verdict"]]


def _claims(home: Home, checkpoint_id: str) -> list[dict[str, Any]]:
    text = sql.load_one("adhoc", "report_claims").text
    return query(home, text, {"checkpoint_id": checkpoint_id}).to_dicts()


def _rows(home: Home, name: str, before: str, after: str) -> list[dict[str, Any]]:
    return query(home, sql.load_one("adhoc", name).text, {"before": before, "after": after}).to_dicts()
