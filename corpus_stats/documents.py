"""The unit every reader yields."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its name within the source, the part of the corpus it belongs to, and its text."""

    name: str
    subset: str
    text: str
