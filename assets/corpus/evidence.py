"""Evidence about a corpus: the content of every file that is read, remembered beside sizes and times.

A file is read again only when its size, its times or its inode have changed: looking twice costs one `stat` a file.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from assets.framework import progress
from corpus_stats.readers.files import list_files
from warehouse.errors import WarehouseError
from warehouse.files import digest, file_sha256, replace_file
from warehouse.home import Home

TOKENIZER_GLOBS = (
    "tokenizer*", "vocab*", "merges*", "added_tokens.json", "special_tokens_map.json", "config.json", "*.model",
    "*.tiktoken", "tekken.json", "spiece*",
)  # fmt: skip
"""Files that transformers may read for a tokenizer; weights beside them may change at will."""
_LEGACY_SKIPPED = frozenset({"site-packages", "dist-packages", "__pycache__"})
_NOTED = {
    "name": pl.String,
    "size": pl.Int64,
    "modified_ns": pl.Int64,
    "changed_ns": pl.Int64,
    "inode": pl.UInt64,
    "sha256": pl.String,
}


class ReadFile(NamedTuple):
    """A file that is read: under which name it enters the evidence, and where it lies."""

    name: str
    path: Path


def content_of(home: Home, note: str, files: list[ReadFile]) -> str:
    """Hash over names and contents of files, which need not be there.

    Args:
        home: where is noted what was read before.
        note: name of that note.
        files: what is read.
    """
    record = home.sources("evidence") / f"{note}.parquet"
    known = _noted(record)
    facts = [(_encodable(file.name), *_stat(file.path)) for file in files]
    hashes: list[str | None] = [known.get(fact) for fact in facts]
    unread = [index for index, found in enumerate(hashes) if found is None]
    total = sum(facts[index][1] for index in unread)
    with progress.task("content of files", total, "bytes") as task, ThreadPoolExecutor(os.cpu_count()) as pool:
        for index, found in zip(unread, pool.map(lambda i: _sha256(files[i].path), unread), strict=True):
            hashes[index] = found
            task.advance(facts[index][1])
    if unread or len(known) != len(facts):
        _note(record, facts, hashes)
    return digest([(fact[0], found) for fact, found in zip(facts, hashes, strict=True)])


def tokenizer_content(home: Home, note: str, source: str, revision: str | None = None) -> str | None:
    """Content of the files of a tokenizer's folder; of a hub id the commit that the cache holds, else the hub's.

    None where there is neither a folder nor an answer of the hub: such a tokenizer cannot be loaded either.
    """
    folder = Path(source).expanduser()
    if folder.is_file():
        return content_of(home, note, [ReadFile(folder.name, folder)])
    if folder.is_dir():
        found = {path for pattern in TOKENIZER_GLOBS for path in folder.glob(pattern) if path.is_file()}
        return content_of(home, note, [ReadFile(path.name, path) for path in sorted(found)])
    if source.startswith((".", "/", "~")) or source.count("/") > 1:
        return None
    return _cached_commit(source, revision) or _commit(source, revision)


def _cached_commit(source: str, revision: str | None) -> str | None:
    from probes.checkpoints.hub import is_commit

    if is_commit(revision):
        return revision
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE) / f"models--{source.replace('/', '--')}"
    with suppress(OSError):
        return (folder / "refs" / (revision or "main")).read_text(encoding="utf-8").strip() or None
    return None


def _commit(source: str, revision: str | None) -> str | None:
    from probes.checkpoints.hub import pinned_revision
    from probes.errors import ProbeError

    with suppress(ProbeError):
        return pinned_revision(source, revision)
    return None


def data_set_commit(source: str, revision: str | None = None) -> str | None:
    """Commit behind a revision of a data set of the hub; None for a folder, or where the hub does not answer."""
    from probes.checkpoints.hub import is_commit

    if is_commit(revision) or Path(source).exists():
        return revision if is_commit(revision) else None
    from huggingface_hub import HfApi

    try:
        return HfApi().dataset_info(source, revision=revision).sha
    except Exception:  # the hub client raises a dozen unrelated types; the reader will say what is wrong
        return None


@cache
def files_signature(source: str) -> str | None:
    """Digest over names, sizes and times below a path, the evidence of earlier versions; None for no path."""
    root = Path(source)
    if not root.exists():
        return None
    stats: list[tuple[str, int, int]] = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(set(subfolders) - _LEGACY_SKIPPED)
        stats += [(f"{folder}/{name}", *_size_and_time(Path(folder, name))) for name in sorted(names)]
    return digest(stats or [_size_and_time(root)])


def signature_was_sound(root: Path) -> bool:
    """Whether `files_signature` saw all that is read: no links, and no folder that it skipped."""
    if not root.is_dir():
        return root.is_file() and not root.is_symlink()
    listed = list_files(root).files
    below = [Path(name).parent for name, _ in listed]
    if any(_LEGACY_SKIPPED & set(folder.parts) for folder in below):
        return False
    return not any(path.is_symlink() for _, path in listed) and not any((root / f).is_symlink() for f in set(below))


def _size_and_time(path: Path) -> tuple[int, int]:
    facts = path.lstat()
    return facts.st_size, facts.st_mtime_ns


def _stat(path: Path) -> tuple[int, int, int, int]:
    try:
        facts = path.stat()
    except OSError:
        return -1, 0, 0, 0
    return facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino


def _sha256(path: Path) -> str:
    """Content of a file; what cannot be read is evidence of its own, the reader will say what is wrong."""
    try:
        return file_sha256(path)
    except OSError as error:
        return f"unreadable: {error.strerror}"


def _encodable(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _noted(record: Path) -> dict[tuple[Any, ...], str]:
    """What was noted by name, size, times and inode; a damaged note is as good as none."""
    try:
        frame = pl.read_parquet(record)
        return {tuple(row[:-1]): row[-1] for row in frame.select(*_NOTED).rows()}
    except (OSError, pl.exceptions.PolarsError):
        return {}


def _note(record: Path, facts: list[tuple[Any, ...]], hashes: list[str | None]) -> None:
    """Remembers what was read; a home that cannot be written is asked again the next time."""
    rows = [(*fact, found) for fact, found in zip(facts, hashes, strict=True) if fact[1] >= 0]
    frame = pl.DataFrame(rows, schema=_NOTED, orient="row")
    with suppress(WarehouseError):
        replace_file(record, lambda path: frame.write_parquet(path))
