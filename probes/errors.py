<<<<<<< HEAD
"""The one exception of the probes: a request or a model that cannot be measured, said in one sentence."""

from __future__ import annotations


class ProbeError(ValueError):
    """What is wrong, where, and what to do: one sentence for people, raised before any work where possible."""
=======
"""The one exception type of this room."""


class ProbeError(ValueError):
    """A measurement that cannot be done; the text is one sentence: what, where, what to do."""
>>>>>>> localize
