"""The headline: what a checkpoint does in one plain sentence, and four answers with their numbers and evidence.

The report opens with it and `rarecall run` ends with it. Words come first, numbers after them: the value, its
95 % interval in brackets, and the null.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sql
from assets.report.claims import counts
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
    """The answers about one checkpoint.

    Attributes:
        checkpoint_id: the subject of the sentence.
        clauses: what it does, as parts of one sentence.
        cards: the four answers.
        verdicts: how many claims of the papers got which verdict; empty without claims.
        prefix_length: tokens shown.
        continuation_length: tokens that have to follow for a paragraph to be recited.
    """

    checkpoint_id: str
    clauses: tuple[str, ...]
    cards: tuple[Card, ...]
    verdicts: str
    prefix_length: int
    continuation_length: int

    @property
    def sentence(self) -> str:
        """The clauses as one sentence without its subject."""
        return "; ".join(self.clauses) + "."

    def lines(self) -> list[str]:
        """The same for a terminal, six short lines: the sentence, the answers that it does not hold, the verdicts."""
        first, rest = "; ".join(self.clauses[:2]), "; ".join(self.clauses[2:])
        said = [f"{self.checkpoint_id} {first}."] + ([f"{rest[0].upper()}{rest[1:]}."] if rest else [])
        said += [f"{c.question} {c.verdict}: {c.numbers}." for c in self.cards if c.key != "recited"]
        return [*said, self.verdicts] if self.verdicts else said


def headline(home: Home, checkpoint_id: str) -> Headline | None:
    """The headline about a checkpoint; None where no paragraph has been scored."""
    with one_publication(home):
        share = _first(home, "headline", checkpoint_id)
        if share is None:
            return None
        rungs = _rows(home, "finding_duplication", checkpoint_id)
        needs = _rows(home, "headline_needs", checkpoint_id)
        claims = _rows(home, "report_claims", checkpoint_id)
        cards = [_recited(share), _cause(rungs), _trigger(claims), _where(needs)]
        found = findings(home, checkpoint_id)
    shown = [
        Card(c.key, c.question, c.verdict, c.numbers, c.query, tuple(f for f in found if _card_of(f) == c.key))
        for c in cards
    ]
    clauses = _clauses(share, rungs, needs)
    verdicts = counts(claims) if claims else ""
    verdicts = counts(claims) if claims else ""
    clauses = _clauses(share, rungs, needs)
    return Headline(
        checkpoint_id, clauses, tuple(shown), verdicts, share["prefix_length"], share["continuation_length"]
    )


def percent(value: float) -> str:
    """A share for people; the space never breaks."""
    return f"{100 * value:.0f}\u00a0%" if value >= 0.1 or value == 0 else f"{100 * value:.1f}\u00a0%"


def _signed(value: float | None) -> str:
    return f"{round(value or 0, 2) + 0.0:+.2f}".replace("-", "−")


def _card_of(finding: Finding) -> str:
    return _EVIDENCE.get(finding.query, "where")


def _clauses(share: dict[str, Any], rungs: list[dict[str, Any]], needs: list[dict[str, Any]]) -> tuple[str, ...]:
    """Recited share, copies, head and block, as far as they were measured."""
    count, of, copies = share["memorized_count"], share["paragraph_count"], _copies(rungs)
    screened = share["corpus_share"] is not None
    chosen = " that were chosen for recital" if screened else ""
    if not count:
        return (f"recites none of its {of:,} paragraphs{chosen} in full", *_stood_in(share), *_of_corpus(share))
    of_corpus = _of_corpus(share) or (copies,)
    return (f"recites {count:,} of {of:,} paragraphs{chosen}", *of_corpus, *_needed(needs))


def _of_corpus(share: dict[str, Any]) -> tuple[str, ...]:
    """What of the whole corpus, where the sample was screened and is no picture of it."""
    if share["corpus_share"] is None:
        return ()
    between = [f"{100 * share[end]:.2g}\u00a0%" for end in ("corpus_lower", "corpus_upper") if share[end] is not None]
    interval = f" [{', '.join(between)}]" if between else ""
    asked = f"from {share['window_count']:,} windows"
    return (f"of the corpus it recites {100 * share['corpus_share']:.2g}\u00a0%{interval}, {asked}",)


def _stood_in(share: dict[str, Any]) -> tuple[str, ...]:
    count = share["stand_in_count"]
    said = f"the {count} furthest recited stand in for the memorized below, with losses relative to what they recite"
    return (said,) if count else ()


def _copies(rungs: list[dict[str, Any]]) -> str:
    if not rungs:
        return "copies in training are unknown"
    recited = [r["duplication_count"] for r in rungs if r["memorized_share"] > 0]
    silent = [r["duplication_count"] for r in rungs if not r["memorized_share"]]
    if not recited or not silent or min(recited) < max(silent):
        return "whatever their number of copies" if recited and not silent else "some at every number of copies"
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
    if share["corpus_share"] is not None:
        sentence = "; ".join((*_of_corpus(share), f"{count:,} of {of:,} paragraphs chosen for recital"))
        words = "Nothing in full" if not count else f"About {100 * share['corpus_share']:.2g}\u00a0% of the corpus"
        return Card("recited", "How much is recited?", words, sentence, "headline")
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
    return f" [{percent(row['lower'])}, {percent(row['upper'])}]"


def _cause(rungs: list[dict[str, Any]]) -> Card:
    """Copies in training, where the most copied stand out from what all rungs would show without an effect."""
    question = "What makes it recite?"
    if len(rungs) < 2:
        return Card("cause", question, *_UNTESTED, "finding_duplication")
    most, least = rungs[0], rungs[-1]
    numbers = (
        f"seen {most['copies']} times {percent(most['memorized_share'])}{_between(most)}, seen "
        f"{least['copies']} times {percent(least['memorized_share'])}; null "
        f"{percent(most['null_share'])}"
    )
    is_shown = most["lower"] is not None and most["lower"] > most["null_share"]
    return Card("cause", question, "Repetition" if is_shown else "Undecided", numbers, "finding_duplication")


def _trigger(claims: list[dict[str, Any]]) -> Card:
    """The verdict on rare tokens, by the rule of the claims."""
    question = "Do rare tokens trigger it?"
    claim = next((row for row in claims if row["claim_id"] == TRIGGER_CLAIM), None)
    if claim is None or claim["ours"] is None or claim["verdict"] not in _ANSWERS:
        return Card("trigger", question, *_UNTESTED, "report_claims")
    low, high = claim["lower"], claim["upper"]
    interval = "" if low is None else f" [{_signed(low)}, {_signed(high)}]"
    numbers = f"{_signed(claim['ours'])} tokens per SD of rarity{interval}; null {_signed(claim['null_value'])}"
    return Card("trigger", question, _ANSWERS[claim["verdict"]], numbers, "report_claims")


def _where(needs: list[dict[str, Any]]) -> Card:
    question = "Where does it live?"
    block = next((row for row in needs if row["head"] is None), None)
    if block is None or block["recital_loss_share"] <= 0:
        return Card("where", question, *_UNTESTED, "headline_needs")
    words = f"Layer {block['layer']}" + (
        ", more than other text does" if block["is_selective"] else ", but other text needs it too"
    )
    low, high = block["excess_lower"], block["excess_upper"]
    interval = "" if low is None else f" [{_signed(low)}, {_signed(high)}]"
    numbers = (
        f"recital −{percent(block['recital_loss_share'])}, other text −"
        f"{percent(max(0.0, block['utility_drop_share']))}; beyond null {_signed(block['excess'])}{interval}"
    )
    return Card("where", question, words, numbers, "headline_needs")


def _first(home: Home, name: str, checkpoint_id: str) -> dict[str, Any] | None:
    return next(iter(_rows(home, name, checkpoint_id)), None)


def _rows(home: Home, name: str, checkpoint_id: str) -> list[dict[str, Any]]:
    return query(home, sql.load_one("adhoc", name).text, {"checkpoint_id": checkpoint_id}).to_dicts()
