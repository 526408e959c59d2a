"""Checkpoints of a model hub: the commit behind a revision, and its files, fetched once.

huggingface_hub does the talking; tokens come from its own places, the address from HF_ENDPOINT. What is measured is a
commit, never a branch: a branch may move between two questions.
"""

from __future__ import annotations

import math
import re
import time
from pathlib import Path
from threading import Thread

from probes.checkpoints.files import PICKLES, why_file
from probes.errors import ProbeError

HUB_FILES = ("*.json", "*.safetensors", "*.txt", "*.model")
"""Everything a checkpoint needs besides pickles; nothing else is fetched."""
SMALL_FILES = ("*.json", "*.txt", "*.model")
"""The same without weights: configuration and tokenizer."""
OTHER_COPIES = ("*/*", "consolidated*")
"""Folders of other formats, and Mistral's second copy of its weights."""
REACH_SECONDS = 4.0
SILENCE_SECONDS = 30.0
SILENT_SINCE: dict[str, float] = {}
"""By address of a hub: when it last gave no answer."""
_COMMIT = re.compile(r"[0-9a-f]{40}")


def is_commit(revision: str | None) -> bool:
    """Whether a revision is a full commit hash, which cannot move."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None


def is_hub_id(source: str) -> bool:
    """Whether a source that is no folder here is written like a hub id, `owner/name`."""
    return source.count("/") == 1 and not source.startswith((".", "/", "~")) and not Path(source).expanduser().exists()


def pinned_revision(source: str, revision: str | None = None) -> str | None:
    """The commit that a revision of a hub id stands for now; None for a local folder.

    Without a network the answer is the commit that the local cache holds for the revision.

    Raises:
        ProbeError: the source is no folder and no hub id, or the hub does not know it.
    """
    if Path(source).expanduser().exists() or is_commit(revision):
        return revision if is_commit(revision) else None
    _refuse_no_hub_id(source)
    from huggingface_hub import HfApi

    try:
        return HfApi().resolve_revision(
            source, revision=revision, local_files_only=not _is_reachable(source)
        ).resolved  # fmt: skip
    except Exception as error:  # the hub client raises a dozen unrelated types, offline ones among them
        raise _refusal(source, revision, error) from error


def resolve_folder(source: str, revision: str | None = None, allow_pickle: bool = False) -> Path:
    """Local folder of a checkpoint: the folder itself, or the hub's snapshot, fetched unless it is there as a whole.

    Raises:
        ProbeError: no such folder, and no hub that knows the name can be reached.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise ProbeError(why_file(source))
    _refuse_no_hub_id(source)
    patterns = [*HUB_FILES, *(PICKLES if allow_pickle else ())]
    return _cached_snapshot(source, revision, patterns) or _fetched_snapshot(source, revision, patterns)


def tokenizer_files(source: str, commit: str) -> list[Path]:
    """What a repository holds at a commit beside its weights, fetched unless it is there.

    Raises:
        ProbeError: as `resolve_folder`.
    """
    folder = _cached_snapshot(source, commit, list(SMALL_FILES)) or _fetched_snapshot(source, commit, list(SMALL_FILES))
    return sorted(file for pattern in SMALL_FILES for file in folder.glob(pattern))


def _refuse_no_hub_id(source: str) -> None:
    if is_hub_id(source):
        return
    if "/" in source or source.startswith((".", "~")):
        raise ProbeError(f"checkpoint folder {source} does not exist; check the path.")
    raise ProbeError(
        f"checkpoint folder {source} does not exist here, and a model of the hub is named with its owner; check the "
        f"path, or write OWNER/{source}, such as openai-community/gpt2 for gpt2."
    )


def _cached_snapshot(source: str, revision: str | None, patterns: list[str]) -> Path | None:
    """The snapshot of a commit when all its files are here; a branch has to be asked for."""
    if not is_commit(revision):
        return None
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(
            source, revision=revision, allow_patterns=patterns, ignore_patterns=list(OTHER_COPIES),
            local_files_only=True,
        ))  # fmt: skip
    except Exception:  # not here, or not all of it
        return None


def _fetched_snapshot(source: str, revision: str | None, patterns: list[str]) -> Path:
    from huggingface_hub import snapshot_download

    is_alone = not _is_reachable(source)  # else the client asks again and again, for minutes where nobody answers
    try:
        return Path(snapshot_download(
            source, revision=revision, allow_patterns=patterns, ignore_patterns=list(OTHER_COPIES),
            local_files_only=is_alone,
        ))  # fmt: skip
    except Exception as error:  # the hub client raises a dozen unrelated types, offline ones among them
        raise _refusal(source, revision, error) from error


def _is_reachable(source: str) -> bool:
    """Whether the hub says anything about a repository within seconds; silence is remembered for half a minute."""
    from huggingface_hub import constants

    address = constants.ENDPOINT
    if constants.HF_HUB_OFFLINE or time.monotonic() - SILENT_SINCE.get(address, -math.inf) < SILENCE_SECONDS:
        return False
    found: list[bool] = []
    thread = Thread(target=lambda: found.append(_is_answered(f"{address}/api/models/{source}")), daemon=True)
    thread.start()  # looking up a name knows no time limit
    thread.join(REACH_SECONDS)
    if True not in found:
        SILENT_SINCE[address] = time.monotonic()
    return True in found


def _is_answered(address: str) -> bool:
    """A refusal is an answer, too; what it means is for the client to say. Proxies are those that the client takes."""
    from huggingface_hub.utils import get_session

    try:
        get_session().head(address, timeout=REACH_SECONDS)
    except Exception:  # of httpx or of a session that somebody has set; each means that nothing came back
        return False
    return True


def _refusal(source: str, revision: str | None, error: Exception) -> ProbeError:
    """One sentence: what was asked, why it failed, what to do. The client's own text may span pages and name tokens."""
    at = f" at revision {revision}" if revision else ""
    return ProbeError(
        f"checkpoint {source}{at} is neither a folder here nor a model that the hub gave us ({_cause(error)})."
    )


def _cause(error: Exception) -> str:
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.RevisionNotFoundError):
        return "the repository has no such revision; choose one of its branches, tags or commits"
    if isinstance(error, errors.GatedRepoError):
        return "the repository is gated; accept its terms on the hub and log in with `hf auth login`"
    if status in (401, 403):
        return (
            f"it answered {status}, so the repository is private, gated or not there; check the name, or log in with "
            "`hf auth login`"
        )
    if isinstance(error, errors.RepositoryNotFoundError) or status == 404:
        return "it knows no such repository; check the name"
    if status is not None:
        return f"it answered {status}; try again later"
    if type(error).__module__.startswith(("httpx", "httpcore")):
        return f"the connection broke off, {type(error).__name__}; try again, what has arrived is kept"
    if isinstance(error, (OSError, errors.RevisionResolutionError)):  # no route, offline mode, or a part in the cache
        return "it cannot be reached, and the files are not all in the local cache; check the network or HF_HUB_OFFLINE"
    return f"{type(error).__name__}; check the name and the network, or give a local folder"
