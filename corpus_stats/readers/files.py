"""The files of a source: links followed, globs and splits applied, and everything that is left out named."""

from __future__ import annotations

import fnmatch
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from corpus_stats.errors import CorpusError

_SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
ALL_SPLITS = "all"


class SourceFile(NamedTuple):
    """A file of a source: its path within the source, with slashes, and where it lies."""

    name: str
    path: Path


class LeftOut(NamedTuple):
    """A file or folder that is not read, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class FileChoice:
    """Which files of a folder are meant.

    Attributes:
        include: globs; a file must match one of them where there are any.
        exclude: globs of files that are left out.
        split: 'train', 'validation' or 'test' by the names of files and folders, as the library datasets finds them;
            'all' or None takes every file.

    A glob with a slash is compared with the path within the source, one without with the name of the file as well.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    split: str | None = None

    def why_not(self, name: str) -> str | None:
        """Why a file is not meant; None where it is."""
        if self.include and not matches(name, self.include):
            return "not included"
        if matches(name, self.exclude):
            return "excluded"
        if self.split not in (None, ALL_SPLITS) and split_of(name) != self.split:
            return f"not of the split {self.split}"
        return None


@dataclass
class Listing:
    """Files of a source in order of their names, and what is left out."""

    root: Path
    files: list[SourceFile] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    def splits(self) -> dict[str, int]:
        """Files of each split, by their names."""
        return dict(sorted(Counter(found for name, _ in self.files if (found := split_of(name))).items()))

    def leave_out(self, reasons: dict[str, str]) -> Listing:
        """The listing without some files, by name and reason."""
        kept = [file for file in self.files if file.name not in reasons]
        return Listing(self.root, kept, [*self.left_out, *(LeftOut(*item) for item in sorted(reasons.items()))])


def existing_path(source: str, kind: str) -> Path:
    """Resolved path of a source.

    Raises:
        CorpusError: there is nothing at `source`.
    """
    path = Path(source).expanduser()
    if not path.exists():
        raise CorpusError(f"The {kind} source {source} does not exist; check the path.")
    return path.resolve()


def list_files(root: Path, selection: FileChoice | None = None) -> Listing:
    """Every regular file of a file or folder, in order of its path within the source.

    Links to files and folders are followed, each folder once; hidden files and folders, links that lead nowhere and
    what is neither file nor folder are left out and named.

    Args:
        root: a file (listed alone, whatever the selection) or a folder.
        selection: which files are meant; None takes all.
    """
    if root.is_file():
        return Listing(root.parent, [SourceFile(root.name, root)])
    listing, chosen = Listing(root), selection or FileChoice()
    for name, path in _walked(root, listing.left_out):
        reason = chosen.why_not(name)
        if reason is None:
            listing.files.append(SourceFile(name, path))
        else:
            listing.left_out.append(LeftOut(name, reason))
    listing.files.sort()
    listing.left_out.sort()
    return listing


def _walked(root: Path, left_out: list[LeftOut]) -> Iterator[tuple[str, Path]]:
    """Files below a folder; linked folders come after all real ones, so that a folder is read at its own place."""
    entered: set[tuple[int, int]] = set()
    waiting: list[tuple[Path, str]] = [(root, "")]
    links: list[tuple[Path, str]] = []
    while waiting or links:
        folder, prefix = waiting.pop() if waiting else links.pop()
        facts = folder.stat()
        if (facts.st_dev, facts.st_ino) in entered:
            left_out.append(LeftOut(prefix.rstrip("/"), "link to a folder that is read already"))
            continue
        entered.add((facts.st_dev, facts.st_ino))
        for entry in _entries(folder, prefix, left_out):
            name, kind = prefix + entry.name, _kind(entry)
            if entry.name.startswith("."):
                left_out.append(LeftOut(name, "hidden folder" if kind == "folder" else "hidden file"))
            elif kind == "folder":
                (links if entry.is_symlink() else waiting).append((Path(entry.path), f"{name}/"))
            elif kind == "file":
                yield name, Path(entry.path)
            else:
                left_out.append(LeftOut(name, kind))


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
    except OSError:  # a link to itself
        return "link that leads nowhere"
    return "link that leads nowhere" if entry.is_symlink() else "neither file nor folder"


def _entries(folder: Path, prefix: str, left_out: list[LeftOut]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name, reverse=True)
    except OSError as error:
        left_out.append(LeftOut(prefix.rstrip("/") or ".", f"folder that cannot be read ({error.strerror})"))
        return []


def matches(name: str, globs: tuple[str, ...]) -> bool:
    """Whether a path within the source fits one of the globs."""
    last = name.rpartition("/")[2]
    return any(fnmatch.fnmatchcase(name, g) or ("/" not in g and fnmatch.fnmatchcase(last, g)) for g in globs)


def split_of(name: str) -> str | None:
    """Split that a path names in a word of its own: `train/00.jsonl`, `val.bin`, `data/test-00000-of-00002.parquet`."""
    words = set(re.split(r"[^a-z]+", name.lower()))
    found = [split for split, names in _SPLITS.items() if words & set(names)]
    return found[0] if len(found) == 1 else None


def refuse_mixed_splits(listing: Listing, split: str | None) -> None:
    """Several splits in one folder are several corpora unless somebody says otherwise.

    Raises:
        CorpusError: files name more than one split, and `split` is None.
    """
    found = listing.splits()
    if split is None and len(found) > 1:
        counts = ", ".join(f"{name} ({count} files)" for name, count in found.items())
        raise CorpusError(
            f'{listing.root} holds the splits {counts}; choose one with split = "{next(iter(found))}" (--option '
            f'split=…), or split = "{ALL_SPLITS}" to read them as one corpus.'
        )


def shown(name: str | Path) -> str:
    """A path as text that can be printed and stored; bytes that are not UTF-8 as \\xNN."""
    return os.fsencode(str(name)).decode("utf-8", "backslashreplace")
