"""The one exception type of this room."""


class ProbeError(ValueError):
    """A measurement that cannot be done; the text is one sentence: what, where, what to do."""
