"""The protocol of checkpoint sources: list cheaply, look closely at one, say its content."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

SETTLE_SECONDS = 5.0


@dataclass(frozen=True)
class Listed:
    """One checkpoint that a source offers; nothing is known yet about its files.

    `revision` is a commit where the source is a hub id, so that what is measured can be fetched again.
    """

    checkpoint_id: str
    source: str
    revision: str | None = None
    training_step: int | None = None

    def facts(self, corpus_id: str) -> dict[str, Any]:
        """What is registered about it."""
        facts: dict[str, Any] = {
            "source": self.source,
            "training_step": self.training_step,
            "corpus_id": corpus_id,
        }
        return facts | ({"revision": self.revision} if self.revision else {})


class CheckpointSource(Protocol):
    """Something that checkpoints arrive in."""

    @property
    def where(self) -> str:
        """For people: what is watched."""
        ...

    def listed(self) -> list[Listed]:
        """What is offered now, in order; at most one request where a network is asked.

        Raises:
            RequestError: the source cannot be read; the text says why.
        """
        ...

    def why_not(self, listed: Listed) -> str | None:
        """None when the checkpoint is complete and settled, else one sentence."""
        ...


def why_folder_is_not_ready(name: str, folder: Path, now: float, settle_seconds: float) -> str | None:
    """None when a checkpoint folder is complete and its files have not changed for a while, else one sentence.

    Complete: configuration, every shard of the index, and sizes that agree with readable safetensors headers.
    """
    from probes.checkpoints.files import is_complete

    if reason := is_complete(folder):
        return f"{name} is passed over: {reason}"
    newest = max((p.stat().st_mtime for p in folder.iterdir()), default=0.0)
    if now - newest < settle_seconds:
        return f"{name} is passed over: its files changed less than {settle_seconds:.0f} s ago."
    return None
