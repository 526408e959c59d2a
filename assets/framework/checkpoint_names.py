"""Names of checkpoints: ids of what a profile or a person names, and the one that a report is about."""

from __future__ import annotations

from pathlib import Path

from assets.framework.profile import Profile
from warehouse.catalog.queries import latest_checkpoint
from warehouse.home import Home


def split_revision(source: str) -> tuple[str, str | None]:
    """Hub id and revision of `owner/name@revision`; folders and plain ids have none."""
    if Path(source).expanduser().exists() or "@" not in source:
        return source, None
    name, _, revision = source.rpartition("@")
    return name, revision


def checkpoint_id_of(source: str, revision: str | None = None) -> str:
    """A safe name for a folder or a hub id: `EleutherAI/gpt-neo-125m` becomes `EleutherAI--gpt-neo-125m`."""
    base = Path(source).resolve().name if Path(source).exists() else source.replace("/", "--")
    return f"{base}--{revision.replace('/', '--')}" if revision else base


def named_checkpoints(profile: Profile) -> list[str]:
    """Ids of the checkpoints that a profile names, in its order."""
    return [checkpoint_id_of(*split_revision(text)) for text in profile.checkpoints]


def subject_checkpoint(home: Home, profile: Profile) -> str | None:
    """The checkpoint that reports and figures are about: one that the profile names, else the newest of its corpus."""
    return latest_checkpoint(home, profile.corpus_id, named_checkpoints(profile))
