"""Tokens and passwords must not reach logs, tables or the UI."""

from __future__ import annotations

import os
import re

_URL_USER = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/\s@]+@", re.IGNORECASE)
_TOKEN = re.compile(r"\b(?:hf|sk|ghp|gho)_[A-Za-z0-9]{8,}")
_QUERY = re.compile(r"(?P<name>[?&](?:token|access_token|key|password|signature|sig)=)[^&\s'\"]+", re.IGNORECASE)
_BEARER = re.compile(r"(?P<name>bearer\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_NAMES = re.compile(r"TOKEN|SECRET|PASSWORD|API_KEY", re.IGNORECASE)
SHORTEST_SECRET = 8


def without_secrets(text: str) -> str:
    """The text with tokens, passwords in addresses and values of secret environment variables blanked."""
    for name, value in os.environ.items():
        if _NAMES.search(name) and len(value) >= SHORTEST_SECRET:
            text = text.replace(value, "***")
    text = _URL_USER.sub(r"\g<scheme>***@", text)
    text = _TOKEN.sub("***", text)
    return _BEARER.sub(r"\g<name>***", _QUERY.sub(r"\g<name>***", text))
