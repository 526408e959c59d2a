"""The sources a profile names in its `[[watch]]` tables."""

from __future__ import annotations

from pathlib import Path

from assets.framework.profile import WatchSettings
from assets.framework.stage import Scope
from orchestration.sources.base import CheckpointSource
from orchestration.sources.folder import FolderSource
from orchestration.sources.hub import HubSource
from orchestration.sources.manifest import ManifestSource


def sources_of(scope: Scope) -> list[CheckpointSource]:
    """What is watched: always `<home>/checkpoints`, then what the profile names."""
    return [FolderSource(scope.home.checkpoint_folder), *(_source(watch) for watch in scope.profile.watch)]


def _source(watch: WatchSettings) -> CheckpointSource:
    if watch.kind == "hub":
        return HubSource(watch.repository, watch.revisions, watch.steps)
    path = Path(watch.path).expanduser().resolve()
    kind = FolderSource if watch.kind == "folder" else ManifestSource
    return kind(path, watch.settle_seconds)
