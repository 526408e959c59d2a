"""Files of a release from the network or from a folder: checked by checksum, gone on with where they broke off."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from corpus_stats.errors import CorpusError
from corpus_stats.importers.published import PublishedFile, PublishedRelease

if TYPE_CHECKING:
    import httpx

_TIMEOUT_SECONDS = 30.0
_RANGE_REFUSED, _PARTIAL = 416, 206


def missing_files(release: PublishedRelease, folder: Path) -> list[PublishedFile]:
    """Files of a release that are not in `folder` with the published content."""
    return [file for file in release.files if not _is_sound(folder / file.name, file)]


def fetch_release(
    release: PublishedRelease, folder: Path, on_progress: Callable[[int], None], address: str | None = None
) -> None:
    """Brings all files of a release into `folder`; what is there stays, what broke off goes on where it stopped.

    Args:
        release: what to fetch.
        folder: made when absent. A file gets its name when its checksum is right; before that it ends in `.part`.
        on_progress: called with the bytes of each piece.
        address: takes the place of the published address, for a mirror.

    Raises:
        CorpusError: a file cannot be fetched, or is not the published one.
    """
    import httpx

    folder.mkdir(parents=True, exist_ok=True)
    wanted = missing_files(release, folder)
    with httpx.Client(timeout=_TIMEOUT_SECONDS, follow_redirects=True) as client:
        for file in wanted:
            url = (address or release.address).rstrip("/") + "/" + file.path
            try:
                _fetch(client, url, file, folder / file.name, on_progress)
            except httpx.HTTPError as error:
                raise CorpusError(_by_hand(release, wanted, folder, f"{url} cannot be had ({_why(error)})")) from error


def take_release(release: PublishedRelease, source: Path, folder: Path) -> list[str]:
    """Copies the files of a release from anywhere below `source` into `folder`.

    Returns:
        A sentence for each file that differs from the published one, which is used all the same, and for each that may
        be absent and is.

    Raises:
        CorpusError: a file the release cannot do without is not below `source`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    notes = []
    for file in release.files:
        found = sorted(source.rglob(file.name)) if source.is_dir() else []
        if not found:
            if file.is_needed:
                raise CorpusError(
                    f"{file.name} of {release.release} is not below {source}; get it from {release.address}{file.path}."
                )
            notes.append(f"{file.name} of {release.release} is not below {source}; the run goes without it.")
            continue
        if not _is_sound(found[0], file):
            notes.append(f"{found[0]} is not the published file; it is used as it is.")
        _copy(found[0], folder / file.name)
    return notes


def _copy(source: Path, target: Path) -> None:
    part = target.with_name(target.name + ".part")
    shutil.copyfile(source, part)
    part.replace(target)


def _is_sound(path: Path, file: PublishedFile) -> bool:
    return path.is_file() and _sha256(path) == file.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _fetch(
    client: httpx.Client, url: str, file: PublishedFile, target: Path, on_progress: Callable[[int], None]
) -> None:
    part = target.with_name(target.name + ".part")
    done = part.stat().st_size if part.exists() else 0
    with client.stream("GET", url, headers={"Range": f"bytes={done}-"} if done else {}) as answer:
        if answer.status_code != _RANGE_REFUSED:  # there is no more of it than we have
            answer.raise_for_status()
            goes_on = answer.status_code == _PARTIAL
            on_progress(done if goes_on else 0)
            with part.open("ab" if goes_on else "wb") as out:
                for piece in answer.iter_bytes():
                    out.write(piece)
                    on_progress(len(piece))
    if (found := _sha256(part)) != file.sha256:
        part.unlink()
        raise CorpusError(
            f"{url} is not the published file (sha256 {found[:12]}…, not {file.sha256[:12]}…); try again, or get it "
            "elsewhere and give its folder with --data."
        )
    part.replace(target)


def _why(error: httpx.HTTPError) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return f"the server answered {status}" if status else f"{type(error).__name__}, is there a network?"


def _by_hand(release: PublishedRelease, files: list[PublishedFile], folder: Path, why: str) -> str:
    addresses = ", ".join(f"{release.address}{file.path}" for file in files)
    return (
        f"{why}; what has arrived is kept in {folder}, so run it again, or get these files by hand and give their "
        f"folder with --data: {addresses}"
    )
