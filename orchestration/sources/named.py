"""Checkpoints that somebody names, in a profile or on the command line: their ids and their registration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from assets.framework.preflight import split_revision
from assets.framework.stage import Scope
from warehouse.registrations import register, registered


def register_profile_checkpoints(scope: Scope) -> None:
    """Register the checkpoints a profile names, unless they are."""
    known = registered(scope.home, "checkpoints")
    for name, facts in named_in(scope).items():
        if name not in known:
            register(scope.home, "checkpoints", name, facts)


def named_in(scope: Scope) -> dict[str, dict[str, Any]]:
    """Registrations of the checkpoints that the profile names, by name."""
    named = {}
    for text in scope.profile.checkpoints:
        source, revision = split_revision(text)
        facts = {"source": resolved(source), "corpus_id": scope.profile.corpus_id}
        named[checkpoint_id_of(source, revision)] = facts | ({"revision": revision} if revision else {})
    return named


def checkpoint_id_of(source: str, revision: str | None = None) -> str:
    """A safe name for a folder or a hub id: `EleutherAI/gpt-neo-125m` becomes `EleutherAI--gpt-neo-125m`."""
    base = Path(source).name if Path(source).exists() else source.replace("/", "--")
    return f"{base}--{revision}" if revision else base


def resolved(source: str) -> str:
    """Folders as absolute paths, hub ids as they are."""
    return str(Path(source).resolve()) if Path(source).exists() else source
