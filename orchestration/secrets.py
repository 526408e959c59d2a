"""Tokens and passwords must not reach logs, tables or the UI."""

from __future__ import annotations

import os
import re

_NAMES = re.compile(r"TOKEN|SECRET|PASSWORD|API_KEY", re.IGNORECASE)
SHORTEST_SECRET = 8
MASK = "***"


def without_secrets(text: str) -> str:
    """The text with values of secret environment variables and all that looks like a key or a password blanked."""
    from assets.report.redaction import SECRET_KINDS, without_spans

    for name, value in os.environ.items():
        if _NAMES.search(name) and len(value) >= SHORTEST_SECRET:
            text = text.replace(value, MASK)
    return without_spans(text, SECRET_KINDS, MASK)
