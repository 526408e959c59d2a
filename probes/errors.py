"""The one exception of the probes: a request or a model that cannot be measured, said in one sentence."""

from __future__ import annotations


class ProbeError(ValueError):
    """What is wrong, where, and what to do: one sentence for people, raised before any work where possible."""
