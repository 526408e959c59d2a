"""The one exception of this room."""

from __future__ import annotations


class CorpusError(ValueError):
    """What a corpus or a request about it lacks, in one sentence: what is wrong, where, and what to do."""
