"""Names of checkpoints, taken apart: the series they belong to, stage, optimizer step and tokens seen.

Suites name their checkpoints in a dozen ways: `step143000` (Pythia), `stage1-step10000-tokens21B` (OLMo 2),
`step69369-seed-default` (DataDecide), `ckpt_356` (Amber), `iter_0001000` (MAP-Neo), `step-001000-2BT` (FineWeb). The
view `checkpoint_series` reads the same from the tables; `STEP` and `TOKENS` stand in it word for word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

STEP = "(^|[^A-Za-z])(?:global_?step|step|checkpoint|ckpt|iter|iteration)[-_.]?([0-9]+)([^0-9A-Za-z]|$)"
TOKENS = "[-_.](?:tokens[-_.]?([0-9]+)([KMBT])|([0-9]+)([KMB])T)([^0-9A-Za-z]|$)"
BARE = "(^|[^0-9A-Za-z])([0-9]+)$"
"""A number that is a word of its own at the end of a folder's name, `run-4000`; in `smollm2-gpl3` it is none."""
STAGE = (
    "(^|[^A-Za-z0-9])(stage[0-9]+(?:-ingredient[0-9]+)?|phase[0-9]+|lc-[0-9]+k-to-[0-9]+k|longctx|extension|it)"
    "([^A-Za-z0-9]|$)"
)
_UNITS = {"K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


@dataclass(frozen=True)
class NameParts:
    """One name taken apart. `series` is shared by the checkpoints of one run in one stage from one seed."""

    series: str
    stage: str | None
    training_step: int | None
    training_tokens: int | None

    @property
    def stage_rank(self) -> int:
        """Order of the stages of a suite: numbered ones by number, long context and extensions, instruction tuning."""
        numbered = re.match("(?:stage|phase)([0-9]+)", self.stage or "", re.IGNORECASE)
        if numbered:
            return int(numbered[1])
        return 0 if not self.stage else 1001 if self.stage.lower() == "it" else 1000


def read_name(name: str) -> NameParts:
    """Series, stage, step and tokens of a checkpoint's name: a folder's, a revision's, or `owner--name--revision`.

    The number of a model's version, such as that of `owner--OLMo-2`, is no step, so in the name of a hub's model only a
    number after a word such as step counts, or a revision that is nothing but a number.
    """
    found = re.search(STEP, name, re.IGNORECASE)
    bare = None if found else _bare_number(name)
    step = int(found[2]) if found else int(bare) if bare else None
    tokens = re.search(TOKENS, name, re.IGNORECASE)
    stage = re.search(STAGE, _revision_of(name), re.IGNORECASE)
    return NameParts(_series(name), stage[2] if stage else None, step, _count(tokens))


def step_in_name(name: str) -> int | None:
    """The training step that a name carries."""
    return read_name(name).training_step


def _bare_number(name: str) -> str | None:
    revision = _revision_of(name)
    found = re.search(BARE, revision)
    return found[2] if found and (revision == name or found[2] == revision) else None


def _revision_of(name: str) -> str:
    """The last part of `owner--name--revision`; nothing of `owner--name`; a folder's name as it is."""
    parts = name.split("--")
    return parts[-1] if len(parts) != 2 else ""


def _series(name: str) -> str:
    """The name without step and tokens; a revision that says neither these nor a stage is one of its repository."""
    repository, _, revision = name.rpartition("--")
    is_word = not any(re.search(p, revision, re.IGNORECASE) for p in (STEP, STAGE)) and _bare_number(name) is None
    if "--" in repository and is_word:
        return repository
    shorter = re.sub(STEP, r"\1\3", name, count=1, flags=re.IGNORECASE)
    if shorter == name and _bare_number(name):
        shorter = re.sub(BARE, r"\1", name)
    shorter = re.sub(TOKENS, r"\5", shorter, count=1, flags=re.IGNORECASE)
    return re.sub("[-_.]+$|^[-_.]+", "", re.sub("-{3,}", "--", shorter)) or "checkpoints"


def _count(tokens: re.Match[str] | None) -> int | None:
    if tokens is None:
        return None
    number, unit = (tokens[1], tokens[2]) if tokens[1] else (tokens[3], tokens[4])
    return int(number) * _UNITS[unit.upper()]
