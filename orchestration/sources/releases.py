"""Releases that a profile's corpus is made of: fetched or taken from a folder, and imported, before anything is run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from assets.framework import progress
from assets.framework.errors import RequestError
from assets.framework.profile import ReleaseSettings
from assets.framework.stage import Scope
from warehouse.home import Home

if TYPE_CHECKING:
    from corpus_stats.importers.published import PublishedRelease

_MEGABYTE = 1e6


def provide_releases(scope: Scope, data: Path | None = None) -> Iterator[str]:
    """Import the releases of the scope's profile unless they are; say what is fetched, from where and how large it is.

    Args:
        scope: home and profile.
        data: folder that holds the files, in place of the network.

    Yields:
        Sentences for the user, each before the work it speaks of.

    Raises:
        RequestError: a release cannot be had or read.
    """
    releases = scope.profile.releases
    if data is not None and not releases:
        raise RequestError(f"profile {scope.profile.name} fetches no files; leave --data out.")
    if not releases or (data is None and _are_imported(scope)):
        return
    from assets.corpus.releases import write_imports
    from corpus_stats.errors import CorpusError

    folders = {one.release: release_folder(scope.home, one.release) for one in releases}
    try:
        for one in releases:
            yield from _provided(one, folders[one.release], data)
        rows = write_imports(scope.home, scope.profile.corpus_id, folders)
    except CorpusError as error:
        raise RequestError(str(error)) from error
    yield f"{rows.height:,} released paragraphs of {len(releases)} releases are in the table released_paragraphs."


def _are_imported(scope: Scope) -> bool:
    """Whether the record holds the releases that the profile names, and no other."""
    if scope.content("released_paragraphs") is None:
        return False
    found = scope.read("released_paragraphs", ["release"])["release"].unique()
    return set(found) == {one.release for one in scope.profile.releases}


def release_folder(home: Home, release: str) -> Path:
    """Where the files of a release are kept."""
    return home.sources("releases") / release


def _provided(settings: ReleaseSettings, folder: Path, data: Path | None) -> Iterator[str]:
    from corpus_stats.importers.fetching import fetch_release, missing_files, take_release
    from corpus_stats.importers.published import published

    release = published(settings.release)
    if data is not None:
        yield from take_release(release, data, folder)
        return
    wanted = missing_files(release, folder)
    if not wanted:
        return
    total = sum(file.byte_count for file in wanted)
    yield _announced(release, [file.name for file in wanted], total, settings.address or release.address)
    with progress.shown_by_command(), progress.task(f"fetch {release.release}", total, "bytes") as task:
        fetch_release(release, folder, task.advance, settings.address)


def _announced(release: PublishedRelease, names: list[str], byte_count: int, address: str) -> str:
    return (
        f"Fetching {', '.join(names)} of {release.release} ({byte_count / _MEGABYTE:.1f} MB; {release.licence}) "
        f"from {address}"
    )
