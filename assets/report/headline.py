"""The headline: what a checkpoint does in one plain sentence, and four answers with their numbers and evidence.

The report opens with it and `rarecall run` ends with it. Words come first, numbers after them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sql
from assets.report.findings import Finding, findings
from warehouse.catalog.queries import one_publication, query
from warehouse.home import Home

TRIGGER_CLAIM = "rare_tokens_trigger_recital"
CARRIES_SHARE = 0.5
"""A single head carries recital when without it more than this share of the recited tokens is lost, beyond its null."""

_ANSWERS = {
    "supported": "Yes, rare tokens do",
    "contradicted": "No, rare tokens do so less",
    "no effect of interest": "No: too small to matter",
    "undecided": "Undecided",
}
_EVIDENCE = {
    "finding_offset": "recited",
    "finding_rarity": "recited",
    "finding_duplication": "cause",
    "finding_trigger_effect": "trigger",
    "finding_trigger": "trigger",
    "finding_position": "trigger",
}
_UNTESTED = ("Not testable here", "nothing has been measured for it")
_COUNTS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Card:
    """One question, the answer in words, the numbers behind it, and the findings it opens to."""

    key: str
    question: str
    verdict: str
    numbers: str
    query: str
    evidence: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Headline:
    """The sentence (its subject is the checkpoint), the answers, and how long prefix and continuation are, for the explanation of the words."""

    checkpoint_id: str
    sentence: str
    cards: tuple[Card, ...]
    prefix_length: int
    continuation_length: int

    def lines(self) -> list[str]:
        """The same for a terminal: one line each."""
        return [f"{self.checkpoint_id} {self.sentence}", *(f"{card.question} {card.verdict}: {card.numbers}." for card in self.cards)]


def headline(home: Home, checkpoint_id: str) -> Headline | None:
    """The headline about a checkpoint; None where no paragraph has been scored."""
    with one_publication(home):
        share = _first(home, "headline", checkpoint_id)
        if share is None:
            return None
        rungs = _rows(home, "finding_duplication", checkpoint_id)
        needs = _rows(home, "headline_needs", checkpoint_id)
        cards = [_recited(share), _cause(rungs), _trigger(home, checkpoint_id), _where(needs)]
        found = findings(home, checkpoint_id)
    shown = [
        Card(c.key, c.question, c.verdict, c.numbers, c.query, tuple(f for f in found if _card_of(f) == c.key))
        for c in cards
    ]
    sentence = _sentence(share, rungs, needs)
    return Headline(checkpoint_id, sentence, tuple(shown), share["prefix_length"], share["continuation_length"])


def percent(value: float) -> str:
    """A share for people; the space never breaks."""
    return f"{100 * value:.0f}\u00a0%" if value >= 0.1 or value == 0 else f"{100 * value:.1f}\u00a0%"


def _signed(value: float | None) -> str:
    return f"{value or 0:+.2f}".replace("-", "−")


def _card_of(finding: Finding) -> str:
    return _EVIDENCE.get(finding.query, "where")


def _sentence(share: dict[str, Any], rungs: list[dict[str, Any]], needs: list[dict[str, Any]]) -> str:
    """Recited share, copies, head and block, as far as they were measured."""
    count, of = share["memorized_count"], share["paragraph_count"]
    if not count:
        return f"recites none of its {of:,} paragraphs in full."
    parts = [f"recites {count:,} of {of:,} paragraphs", _copies(rungs), *_needed(needs)]
    return "; ".join(part for part in parts if part) + "."


def _copies(rungs: list[dict[str, Any]]) -> str:
    recited = [r["duplication_count"] for r in rungs if r["memorized_share"] > 0]
    silent = [r["duplication_count"] for r in rungs if not r["memorized_share"]]
    if not recited or not silent or min(recited) < max(silent):
        return ""
    return f"only those seen {min(recited)} times or more" if min(recited) > 1 else "only those it was trained on"


def _needed(needs: list[dict[str, Any]]) -> list[str]:
    parts = []
    for row in sorted(needs, key=lambda r: r["head"] is None):
        if row["head"] is not None:
            carries = row["is_selective"] and row["recital_loss_share"] > CARRIES_SHARE
            parts.append(f"head {row['layer']}.{row['head']} carries it" if carries else "no single head carries it")
        elif row["recital_loss_share"] > 0:
            shared = "" if row["is_selective"] else ", which other text needs too"
            parts.append(f"the block it needs most is layer {row['layer']}{shared}")
    return parts


def _recited(share: dict[str, Any]) -> Card:
    count, of = share["memorized_count"], share["paragraph_count"]
    words = "Nothing in full" if not count else _one_in(of / count)
    null = share["untrained_share"]
    beside = f"; of text never trained on {percent(null)}" if null is not None else ""
    return Card("recited", "How much is recited?", words, f"{percent(count / of)}{_between(share)}{beside}", "headline")


def _one_in(ratio: float) -> str:
    if ratio < 1.5:
        return "Most paragraphs" if ratio > 1 else "Every paragraph"
    nearest = round(ratio)
    return f"One paragraph in {_COUNTS[nearest]}" if nearest < len(_COUNTS) else f"One paragraph in {nearest:,}"


def _between(row: dict[str, Any]) -> str:
    if row["lower"] is None or row["upper"] is None:
        return " (too few texts for an interval)"
    return f" (95\u00a0% interval {percent(row['lower'])} to {percent(row['upper'])})"


def _cause(rungs: list[dict[str, Any]]) -> Card:
    """Copies in training, where the most copied stand out from what all rungs would show without an effect."""
    question = "What makes it recite?"
    if len(rungs) < 2:
        return Card("cause", question, *_UNTESTED, "finding_duplication")
    most, least = rungs[0], rungs[-1]
    numbers = (
        f"seen {most['duplication_count']} times {percent(most['memorized_share'])}{_between(most)}, seen "
        f"{least['duplication_count']} times {percent(least['memorized_share'])}; without an effect of copies "
        f"{percent(most['null_share'])}"
    )
    is_shown = most["lower"] is not None and most["lower"] > most["null_share"]
    return Card("cause", question, "Repetition" if is_shown else "Undecided", numbers, "finding_duplication")


def _trigger(home: Home, checkpoint_id: str) -> Card:
    """The verdict on rare tokens, by the rule of the claims."""
    question = "Do rare tokens trigger it?"
    claims = {row["claim_id"]: row for row in _rows(home, "report_claims", checkpoint_id)}
    claim = claims.get(TRIGGER_CLAIM)
    if claim is None or claim["ours"] is None or claim["verdict"] not in _ANSWERS:
        return Card("trigger", question, *_UNTESTED, "report_claims")
    interval = (
        "no interval" if claim["lower"] is None else f"95\u00a0% interval {_signed(claim['lower'])} to {_signed(claim['upper'])}"
    )
    numbers = (
        f"a token rarer by one standard deviation costs {_signed(claim['ours'])} tokens more when it is changed "
        f"({interval}; null {_signed(claim['null_value'])})"
    )
    return Card("trigger", question, _ANSWERS[claim["verdict"]], numbers, "report_claims")


def _where(needs: list[dict[str, Any]]) -> Card:
    question = "Where does it live?"
    block = next((row for row in needs if row["head"] is None), None)
    if block is None or block["recital_loss_share"] <= 0:
        return Card("where", question, *_UNTESTED, "headline_needs")
    words = f"Layer {block['layer']}" + (", more than other text does" if block["is_selective"] else ", but other text needs it too")
    low, high = block["excess_lower"], block["excess_upper"]
    interval = "" if low is None else f" (95\u00a0% interval {_signed(low)} to {_signed(high)})"
    numbers = (
        f"without its attention recital loses {percent(block['recital_loss_share'])}, other text "
        f"{percent(max(0.0, block['utility_drop_share']))}; beyond the null {_signed(block['excess'])}{interval}"
    )
    return Card("where", question, words, numbers, "headline_needs")


def _first(home: Home, name: str, checkpoint_id: str) -> dict[str, Any] | None:
    return next(iter(_rows(home, name, checkpoint_id)), None)


def _rows(home: Home, name: str, checkpoint_id: str) -> list[dict[str, Any]]:
    return query(home, sql.load_one("adhoc", name).text, {"checkpoint_id": checkpoint_id}).to_dicts()
