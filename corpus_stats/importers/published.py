"""Published files of the releases: address, checksum and size of each, at a commit that cannot move."""

from __future__ import annotations

from dataclasses import dataclass

from corpus_stats.errors import CorpusError

_GOOGLEINTERNS = (
    "https://raw.githubusercontent.com/googleinterns/localizing-paragraph-memorization/"
    "79a40888088473908cce99542d132ef209877b1d/paragraphs/gpt-neo-125M/"
)
_ETHZ = (
    "https://raw.githubusercontent.com/ethz-privsec/lm-extraction-benchmark-data/"
    "5a3286942710076d56024cfdb296f7c585cd2b7c/datasets/"
)


@dataclass(frozen=True)
class PublishedFile:
    """One file of a release.

    Attributes:
        path: below the release's address; the last part is the name of the local file.
        sha256: of its content.
        byte_count: its size.
        is_needed: whether the release can be imported without it.
    """

    path: str
    sha256: str
    byte_count: int
    is_needed: bool = True

    @property
    def name(self) -> str:
        """Name of the local file."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class PublishedRelease:
    """Where a release is published, under which licence, and what belongs to it."""

    release: str
    address: str
    licence: str
    files: tuple[PublishedFile, ...]

    @property
    def byte_count(self) -> int:
        """Size of all files."""
        return sum(file.byte_count for file in self.files)


_PUBLISHED = (
    PublishedRelease(
        "localizing-paragraph-memorization",
        _GOOGLEINTERNS,
        "Apache-2.0; the paragraphs are third-party text",
        (
            PublishedFile(
                "preds/50_50_preds.pt", "6d312a681d9d7dba3b2b61c25519bf380eec6ec119451263fb8b76c268393141", 354800
            ),
            PublishedFile(
                "preds/11_29_preds.pt",
                "58203de5f43684154ff21ffc301500d5e9e06e395ea71d6f6dd60069338281f9",
                350000,
                False,
            ),
            PublishedFile(
                "preds/30_49_preds.pt",
                "33043ff15f47b3a705d77bd5d78a3d88f95116cf3137756aab3b0fa7416939c6",
                113968,
                False,
            ),
            PublishedFile(
                "mem_strings.csv", "36e98191a7e90c5957bc5aa043244e18ea732b9109cf805b532c4a2ad0c4fa40", 177312
            ),
        ),
    ),
    PublishedRelease(
        "lm-extraction-benchmark",
        _ETHZ,
        "Apache-2.0; the text is a sample of the Pile",
        (
            PublishedFile(
                "train_prefix.npy", "a2f69009df399132937f028e73b4a37783ee27704a01ca74e3f9e6ece0807aa9", 1500128
            ),
            PublishedFile(
                "train_suffix.npy", "5934e2007eeb42efd057646da5094716aa0bb1cac386f898b075a58299162c39", 1500128
            ),
            PublishedFile(
                "train_preprefix.npy", "a9c3ed1dc735d4b93183b47a3c08e9613d1d36da0a7f26790e19a8f87e10a70d", 3000128
            ),
        ),
    ),
)
PUBLISHED = {one.release: one for one in _PUBLISHED}


def published(release: str) -> PublishedRelease:
    """What is published of a release.

    Raises:
        CorpusError: no address of it is known.
    """
    if release not in PUBLISHED:
        raise CorpusError(f"no address of {release!r} is known; choose one of {', '.join(sorted(PUBLISHED))}.")
    return PUBLISHED[release]
