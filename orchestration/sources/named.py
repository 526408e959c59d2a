"""Checkpoints that somebody names, in a profile or on the command line: their ids and their registration."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from assets.framework.checkpoint_names import checkpoint_id_of, split_revision
from assets.framework.errors import RequestError
from assets.framework.stage import Scope
from assets.stages import is_measured
from probes.checkpoints.names import step_in_name
from warehouse.registrations import register, registered


def register_profile_checkpoints(scope: Scope, named: dict[str, dict[str, Any]] | None = None) -> None:
    """Register the checkpoints a profile names (`named_in`), unless they are."""
    known = registered(scope.home, "checkpoints")
    for name, facts in (named_in(scope) if named is None else named).items():
        if known.get(name) != facts:
            register(scope.home, "checkpoints", name, facts)


def named_in(scope: Scope) -> dict[str, dict[str, Any]]:
    """Registrations of the checkpoints that the profile names, by name; of a hub pinned to a commit.

    What was measured before stays as it is registered, but for the place of a name without a number.
    """
    known, named, places = registered(scope.home, "checkpoints"), {}, places_in_order(scope.profile.checkpoints)
    for source, revision in map(split_revision, scope.profile.checkpoints):
        name = checkpoint_id_of(source, revision)
        facts = known.get(name) or registration_of(source, revision, scope.profile.corpus_id)
        facts = facts | ({"training_step": places[name]} if name in places else {})
        stays = name in known and (_is_pinned(facts) or is_measured(Scope(scope.home, scope.profile, name)))
        named[name] = facts if stays else pinned(facts)
    return named


def places_in_order(sources: Iterable[str]) -> dict[str, int]:
    """Places, from 0, of a repository's revisions that are named without a number in any of them, such as Marin's.

    They stand for training steps, so that their series has an order. One revision alone has none.
    """
    by_repository: dict[str, list[str]] = {}
    for source, revision in map(split_revision, sources):
        if revision is not None:
            by_repository.setdefault(source, []).append(checkpoint_id_of(source, revision))
    groups = [list(dict.fromkeys(names)) for names in by_repository.values()]
    unnumbered = [names for names in groups if len(names) > 1 and not any(map(_has_number, names))]
    return {name: place for names in unnumbered for place, name in enumerate(names)}


def _has_number(name: str) -> bool:
    return step_in_name(name) is not None


def registration_of(source: str, revision: str | None, corpus_id: str, step: int | None = None) -> dict[str, Any]:
    """What is registered of a named checkpoint; its step is read from its name where none is given."""
    found = step if step is not None else step_in_name(checkpoint_id_of(source, revision))
    facts: dict[str, Any] = {"source": resolved(source), "corpus_id": corpus_id}
    facts |= {} if found is None else {"training_step": found}
    return facts | ({"revision": revision} if revision else {})


def pinned(facts: dict[str, Any]) -> dict[str, Any]:
    """The same with the commit that its revision stands for now, and the branch; folders are what they are.

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


def _is_pinned(facts: dict[str, Any]) -> bool:
    """Whether what is registered cannot move: a folder here, or a commit."""
    from probes.checkpoints.hub import is_commit, is_hub_id

    return not is_hub_id(facts["source"]) or is_commit(facts.get("revision"))


def resolved(source: str) -> str:
    """Folders as absolute paths, hub ids as they are."""
    return str(Path(source).resolve()) if Path(source).exists() else source
