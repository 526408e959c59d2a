"""Sources of checkpoints: a watched folder, a manifest file, the revisions of a hub repository."""

from orchestration.sources.base import CheckpointSource, Listed
from orchestration.sources.configured import sources_of

__all__ = ["CheckpointSource", "Listed", "sources_of"]
