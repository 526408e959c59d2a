"""Checkpoints as revisions of a hub repository, such as the step branches of Pythia."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from assets.framework.checkpoint_names import checkpoint_id_of
from assets.framework.errors import RequestError
from orchestration.secrets import without_secrets
from orchestration.sources.base import Listed
from probes.checkpoints.names import read_name

CONFIG, INDEX, WEIGHTS = "config.json", "model.safetensors.index.json", "model.safetensors"


@dataclass(frozen=True)
class HubSource:
    """Branches and tags of `repository` pinned to their commit: those that match `revisions`, or that name a step.

    `api` is huggingface_hub's HfApi or anything with its `list_repo_refs`, `model_info` and
    `parse_safetensors_file_metadata`. Tokens come from the hub client's own places and are never stored here.
    """

    repository: str
    revisions: str = ""
    steps: tuple[int, ...] = ()
    api: Any = field(default=None, compare=False)

    @property
    def where(self) -> str:
        """Repository and pattern."""
        return f"{self.repository}@{self.revisions or 'steps'}"

    def listed(self) -> list[Listed]:
        """Matching revisions by stage and training step; those without a step come last, in the order of the hub.

        Raises:
            RequestError: the hub did not answer.
        """
        try:
            references = self._client().list_repo_refs(self.repository)
        except Exception as error:  # the hub client raises a dozen unrelated types, offline ones among them
            raise self._unreachable(error) from error
        found = [self._entry(ref) for ref in (*references.branches, *references.tags)]
        wanted = [entry for entry in found if entry is not None]
        return sorted(wanted, key=_place)

    def why_not(self, listed: Listed) -> str | None:
        """A revision is complete when its files are all there and every safetensors header can be read."""
        try:
            client = self._client()
            info = client.model_info(self.repository, revision=listed.revision, files_metadata=True)
            sizes = {file.rfilename: file.size for file in info.siblings or ()}
            return self._missing(listed, sizes) or self._unreadable(listed, client, sizes)
        except Exception as error:
            return str(self._unreachable(error))

    def _entry(self, reference: Any) -> Listed | None:
        checkpoint_id = checkpoint_id_of(self.repository, reference.name)
        step = read_name(checkpoint_id).training_step
        is_wanted = fnmatchcase(reference.name, self.revisions) if self.revisions else step is not None
        if not is_wanted or (self.steps and step not in self.steps):
            return None
        return Listed(checkpoint_id, self.repository, reference.target_commit, step)

    def _missing(self, listed: Listed, sizes: dict[str, int | None]) -> str | None:
        passed = f"{listed.checkpoint_id} is passed over: the revision"
        if CONFIG not in sizes:
            return f"{passed} has no {CONFIG}."
        if INDEX in sizes or WEIGHTS in sizes:
            return None
        pickles = sorted(name for name in sizes if name.endswith((".bin", ".pt", ".pth")))
        if pickles:
            return f"{passed} holds its weights as a pickle only ({pickles[0]}), which is never loaded unasked."
        return f"{passed} has no {WEIGHTS} yet."

    def _unreadable(self, listed: Listed, client: Any, sizes: dict[str, int | None]) -> str | None:
        metadata = client.get_safetensors_metadata(self.repository, revision=listed.revision)
        for name, header in metadata.files_metadata.items():
            if name not in sizes:
                return f"{listed.checkpoint_id} is passed over: the revision has no {name}."
            last = max((tensor.data_offsets[1] for tensor in header.tensors.values()), default=0)
            if (sizes[name] or last + 1) <= last:
                return f"{listed.checkpoint_id} is passed over: {name} is shorter than its header says."
        return None

    def _client(self) -> Any:
        if self.api is not None:
            return self.api
        from huggingface_hub import HfApi

        return HfApi()

    def _unreachable(self, error: Exception) -> RequestError:
        text = without_secrets(" ".join(str(error).split()))[:200]  # cut afterwards: half a key is still a clue
        return RequestError(
            f"the hub gave no answer about {self.repository} ({type(error).__name__}: {text}); check name and network."
        )


def _place(listed: Listed) -> tuple[bool, int, str, int]:
    parts = read_name(listed.checkpoint_id)
    return listed.training_step is None, parts.stage_rank, parts.stage or "", listed.training_step or 0
