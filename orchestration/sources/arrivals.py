"""Arrivals: checkpoints of the watched sources that are complete, registered and not measured yet."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from assets.framework.errors import RequestError
from assets.framework.stage import Scope
from assets.stages import is_measured
from orchestration.sources import CheckpointSource, Listed, sources_of
from warehouse.errors import WarehouseError
from warehouse.fingerprints import checkpoint_content
from warehouse.home import check_name
from warehouse.registrations import register, registered

SECONDS_PER_LOOK = 20.0
"""Reading the bytes of many new checkpoints takes time; what is left waits for the next look."""


@dataclass(frozen=True)
class Arrival:
    """A checkpoint to be measured; `content` changes when its files do."""

    checkpoint_id: str
    content: str


@dataclass
class Look:
    """What one look at the sources found.

    One sentence for each checkpoint that cannot be measured now (`passed_over`) or needs no run (`resting`).
    """

    arrivals: list[Arrival] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    resting: list[str] = field(default_factory=list)


def look_for_arrivals(
    scope: Scope,
    sources: Iterable[CheckpointSource] | None = None,
    asked: Mapping[str, str] = MappingProxyType({}),
    limit: int | None = None,
) -> Look:
    """Look at all sources once, registering what is new and complete.

    Args:
        scope: home and profile.
        sources: what to look at; by default what the profile names.
        asked: content by checkpoint of what was asked for before; not an arrival again.
        limit: stop looking closely at this many arrivals; the rest waits for the next look.

    Returns:
        Arrivals and reasons. A source that cannot be read gives a reason and does not hide the others.
    """
    look, end = Look(), time.monotonic() + SECONDS_PER_LOOK
    taken: dict[str, str] = {}
    for source in sources_of(scope) if sources is None else sources:
        for listed in _listed(source, look):
            first = taken.setdefault(listed.checkpoint_id, source.where)
            if first != source.where:
                reason = f"{listed.checkpoint_id} of {source.where} is passed over: {first} has one of that name."
                look.passed_over.append(reason)
            elif time.monotonic() > end or (limit is not None and len(look.arrivals) >= limit):
                look.passed_over.append(f"{listed.checkpoint_id} waits for the next look.")
            else:
                _look_at(scope, source, listed, asked, look)
    return look


def _listed(source: CheckpointSource, look: Look) -> list[Listed]:
    try:
        return source.listed()
    except RequestError as error:
        look.passed_over.append(str(error))
        return []


def _look_at(scope: Scope, source: CheckpointSource, listed: Listed, asked: Mapping[str, str], look: Look) -> None:
    """Cheap questions first: a hub is asked about the files of a commit only when nothing else speaks against it."""
    refusal = _refusal(scope, listed) or (None if listed.revision else source.why_not(listed))
    resting = None if refusal else _known(scope, listed, asked)
    if listed.revision and not (refusal or resting):
        refusal = source.why_not(listed)
    if refusal:
        look.passed_over.append(refusal)
    elif resting:
        look.resting.append(resting)
    else:
        _register(scope, listed)
        look.arrivals.append(Arrival(listed.checkpoint_id, _content(scope, listed)))


def _content(scope: Scope, listed: Listed) -> str:
    """The commit, or a hash over the bytes of a folder's files."""
    return listed.revision or checkpoint_content(scope.home, listed.checkpoint_id, Path(listed.source)) or ""


def _refusal(scope: Scope, listed: Listed) -> str | None:
    """A name that is no name, or one that stands for something else already."""
    try:
        check_name(listed.checkpoint_id, "checkpoint folder")
    except WarehouseError as error:
        return str(error)
    known = registered(scope.home, "checkpoints").get(listed.checkpoint_id, {})
    if known.get("source", listed.source) != listed.source:
        return f"{listed.checkpoint_id} is passed over: the name is registered for {known['source']}."
    return None


def _known(scope: Scope, listed: Listed, asked: Mapping[str, str]) -> str | None:
    """Another corpus', measured as it is now, or asked for before; a branch at another commit is none of these."""
    known = registered(scope.home, "checkpoints").get(listed.checkpoint_id)
    if known is None:
        return None
    if known.get("corpus_id", scope.profile.corpus_id) != scope.profile.corpus_id:
        return f"{listed.checkpoint_id} is registered for another corpus."
    if known.get("revision") != listed.revision:
        return None
    if is_measured(Scope(scope.home, scope.profile, listed.checkpoint_id)):
        return f"{listed.checkpoint_id} is measured already."
    if asked.get(listed.checkpoint_id) == _content(scope, listed):
        return f"a run was requested before for {listed.checkpoint_id}; if it failed, start it again in Runs."
    return None


def _register(scope: Scope, listed: Listed) -> None:
    """Record a new checkpoint, or the commit that a branch has moved to."""
    known = registered(scope.home, "checkpoints").get(listed.checkpoint_id)
    if known is None or known.get("revision") != listed.revision:
        register(scope.home, "checkpoints", listed.checkpoint_id, listed.facts(scope.profile.corpus_id))
