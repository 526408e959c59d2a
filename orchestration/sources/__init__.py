"""Sources of checkpoints: a watched folder, a manifest file, the revisions of a hub repository."""

from orchestration.sources.base import CheckpointSource, Listed, step_in_name
from orchestration.sources.configured import sources_of

__all__ = ["CheckpointSource", "Listed", "sources_of", "step_in_name"]
