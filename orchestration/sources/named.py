"""Checkpoints that somebody names, on the command line or in a profile: their name here, and what is registered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from assets.framework.errors import RequestError
from orchestration.sources.base import step_in_name


def checkpoint_id_of(source: str, revision: str | None = None) -> str:
    """A safe name for a folder or a hub id: `EleutherAI/gpt-neo-125m` becomes `EleutherAI--gpt-neo-125m`."""
    base = Path(source).resolve().name if Path(source).exists() else source.replace("/", "--")
    return f"{base}--{revision.replace('/', '--')}" if revision else base


def resolved(source: str) -> str:
    """Folders as absolute paths, hub ids as they are."""
    return str(Path(source).resolve()) if Path(source).exists() else source


def registration_of(source: str, revision: str | None, corpus_id: str, step: int | None = None) -> dict[str, Any]:
    """What is registered of a named checkpoint: its step from its name, of a hub also the branch that was asked for."""
    found = step if step is not None else step_in_name(checkpoint_id_of(source, revision))
    facts: dict[str, Any] = {"source": resolved(source), "corpus_id": corpus_id}
    facts |= {} if found is None else {"training_step": found}
    return facts | ({"revision": revision} if revision else {})


def pinned(facts: dict[str, Any]) -> dict[str, Any]:
    """The same with the commit that its revision stands for now; folders are what they are.

    A branch may be pushed to while a run goes on; every stage of a checkpoint reads the commit of its registration.

    Raises:
        RequestError: no such folder, and the hub does not know it.
    """
    from probes.checkpoints.hub import pinned_revision
    from probes.errors import ProbeError

    try:
        commit = pinned_revision(facts["source"], facts.get("revision"))
    except ProbeError as error:
        raise RequestError(str(error)) from error
    if commit is None or commit == facts.get("revision"):
        return facts
    return facts | {"revision": commit, "branch": facts.get("revision") or "main"}


def is_pinned(facts: dict[str, Any]) -> bool:
    """Whether what is registered cannot move: a folder here, or a commit."""
    from probes.checkpoints.hub import is_commit, is_hub_id

    return not is_hub_id(facts["source"]) or is_commit(facts.get("revision"))
