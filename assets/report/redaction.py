"""Personal and secret strings in text, found by pattern, so that a report or a log can be shown without them.

Patterns find what has the form of an address, key or number. They miss what has no form (names, passwords in prose), so
a redacted report is safer to pass on, not anonymous.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

MASK = "█"

_PATTERNS: dict[str, str] = {
    "private key": r"-----BEGIN [A-Z ]*PRIVATE KEY[A-Z ]*-----.*?(?:-----END [A-Z ]*PRIVATE KEY[A-Z ]*-----|\Z)",
    "credentials in a URL": r"(?<=://)[^\s/@]+(?=@)",
    "secret in a URL": r"(?i:[?&](?:token|access_token|key|password|signature|sig)=)(?P<hidden>[^&\s'\"]+)",
    "bearer token": r"(?i:\bbearer\s+)(?P<hidden>[A-Za-z0-9._~+/=-]{8,})",
    "e-mail address": r"[\w.+%-]+ ?@ ?[\w-]+(?: ?\. ?[\w-]+)*\.[A-Za-z]{2,}\b",
    "web token": r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]+)?",
    "key": (
        r"\b(?:AKIA|ASIA)[0-9A-Z]{12,}\b|\b(?:sk|pk|rk)[-_](?:live[-_]|test[-_]|proj[-_]|ant[-_])?[\w-]{16,}"
        r"|\bgh[opsur]_\w{12,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}|\bxox[abprs]-[\w-]{10,}|\bhf_[A-Za-z0-9]{12,}"
        r"|\bAIza[\w-]{30,}|\bya29\.[\w-]{20,}|\bnpm_\w{30,}|\bpypi-[\w-]{30,}"
    ),
    "secret": (
        r"(?i:\b(?:api[-_ ]?key|secret(?:[-_ ]?key)?|access[-_ ]?token|auth[-_ ]?token|password|passwd|pwd|bearer)\b"
        r"[\"']?\s*[:=]\s*[\"']?)(?P<hidden>[^\s\"',;<>(){}]{6,})"
    ),
    "long hexadecimal number": r"\b(?=[0-9a-fA-F]*\d)(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{32,}\b",
    "IP address": (
        r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w.]*\d)"
        r"|(?<![\w:])(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}(?![\w:])"
        r"|(?<![\w:])(?:[0-9a-fA-F]{1,4}:){1,6}:(?:[0-9a-fA-F]{1,4}:){0,5}[0-9a-fA-F]{1,4}(?![\w:])"
    ),
    "phone number": (
        r"(?<![\w.+-])\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,4}){2,4}(?![\w-])"
        r"|(?<![\w.+-])(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[.-]\d{4}(?![\w-])"
    ),
}
SECRET_KINDS = frozenset(
    {"private key", "credentials in a URL", "secret in a URL", "bearer token", "web token", "key", "secret"}
)
"""Kinds that open something; the others name a person or a machine."""

_COMPILED = {name: re.compile(pattern, re.DOTALL) for name, pattern in _PATTERNS.items()}


@dataclass(frozen=True)
class Span:
    """Characters `start` up to `end` of a text, and what they look like."""

    start: int
    end: int
    kind: str


def sensitive_spans(text: str) -> list[Span]:
    """What looks like an address, a key or a number of a person or machine, in the order of the text.

    Spans of different kinds may overlap.
    """
    return sorted(_spans(text), key=lambda span: (span.start, span.end))


def redact(text: str) -> str:
    """The text with every character of a sensitive span replaced by the mask; the length stays."""
    characters = list(text)
    for span in sensitive_spans(text):
        characters[span.start : span.end] = MASK * (span.end - span.start)
    return "".join(characters)


def without_spans(text: str, kinds: Collection[str], mask: str) -> str:
    """The text with every span of these kinds replaced by one mask, however long it is."""
    parts, shown = [], 0
    for span in sensitive_spans(text):
        if span.kind in kinds and span.end > shown:
            parts += [text[shown : span.start], mask] if span.start >= shown else []
            shown = span.end
    return "".join([*parts, text[shown:]])


def redacted_tokens(tokens: Sequence[str]) -> list[str]:
    """Tokens of one text, in order, where each that touches a sensitive span is the mask as a whole.

    A token that only half belongs to a span is hidden whole: part of a key is still a clue.
    """
    spans = sensitive_spans("".join(tokens))
    hidden: list[str] = []
    start = 0
    for token in tokens:
        end = start + len(token)
        touched = end > start and any(span.start < end and start < span.end for span in spans)
        hidden.append(MASK if touched else token)
        start = end
    return hidden


def _spans(text: str) -> Iterator[Span]:
    for kind, pattern in _COMPILED.items():
        for match in pattern.finditer(text):
            group = "hidden" if "hidden" in pattern.groupindex else 0
            yield Span(match.start(group), match.end(group), kind)
