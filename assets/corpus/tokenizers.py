"""Tokenizers of a corpus as files here: the folder that is named, or of a hub id a copy in the home, fetched once.

A branch of a hub may move; the copy is of the commit that the branch stood for when it was first needed, and later runs
need no network.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.framework.checkpoint_names import split_revision
from assets.framework.errors import RequestError
from assets.framework.stage import Scope
from warehouse.files import write_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PIN = "pinned.json"


def load_corpus_tokenizer(scope: Scope) -> PreTrainedTokenizerFast:
    """The tokenizer of the scope's corpus, whose stage has run."""
    from corpus_stats.tokens.tokenizer import load_tokenizer

    return load_tokenizer(tokenizer_place(scope, str(scope.read("tokenizers")["source"][0])))


def tokenizer_place(scope: Scope, source: str) -> str:
    """Folder to load a tokenizer from that a profile names as a folder, a hub id or `owner/name@revision`.

    Raises:
        RequestError: the hub does not give it.
    """
    if not _is_of_hub(source):
        return source
    copy = _copy_folder(scope)
    if _pin_of(copy).get("named") != source:
        _fetch(source, copy)
    return str(copy)


def pinned_commit(scope: Scope, source: str) -> str | None:
    """The commit of the copy in the home, where this source was fetched; nobody is asked."""
    note = _pin_of(_copy_folder(scope))
    return str(note["revision"]) if note.get("named") == source else None


def tokenizer_artifacts(scope: Scope) -> list[Path]:
    """Files that the stage of the tokenizer leaves in the home: what it trained, or what it fetched."""
    named = scope.profile.corpus.tokenizer
    if named is None:
        return [scope.corpus_folder() / "tokenizer" / "tokenizer.json"]
    return [_copy_folder(scope) / PIN] if _is_of_hub(named) else []


def _copy_folder(scope: Scope) -> Path:
    return scope.corpus_folder() / "tokenizer"


def _is_of_hub(source: str) -> bool:
    from probes.checkpoints.hub import is_hub_id

    return is_hub_id(split_revision(source)[0])


def _pin_of(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / PIN).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _fetch(source: str, folder: Path) -> None:
    from probes.checkpoints.hub import pinned_revision, tokenizer_files
    from probes.errors import ProbeError

    name, revision = split_revision(source)
    try:
        commit = pinned_revision(name, revision) or ""
        files = tokenizer_files(name, commit)
    except ProbeError as error:
        raise RequestError(str(error).replace("checkpoint ", "tokenizer ", 1)) from error
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copyfile(file, folder / file.name)
    write_json(folder / PIN, {"named": source, "source": name, "revision": commit})
