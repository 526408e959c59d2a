"""Declared settings: a profile that shows a stage what it declared and refuses everything else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from assets.framework.errors import RequestError

ALWAYS = frozenset({"name", "corpus.corpus_id"})
"""The profile's name and the partition of its corpus: they name rows and do not change them."""


class DeclaredSettings:
    """A settings object whose fields are noted when they are read, or refused when nobody declared them.

    Properties of the settings are computed on this object, so that what they read counts as well.
    """

    def __init__(self, settings: BaseModel, stage: str, allowed: frozenset[str] | None = None, path: str = "") -> None:
        self._settings, self._stage, self._allowed, self._path = settings, stage, allowed, path
        self.read: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        computed = getattr(type(self._settings), name, None)
        if isinstance(computed, property):
            return computed.fget(self)  # type: ignore[misc]
        value = getattr(self._settings, name)
        if not isinstance(value, BaseModel):
            self._note(name)
            return value
        section = DeclaredSettings(value, self._stage, self._allowed, f"{self._path}{name}.")
        section.read = self.read
        return section

    def __reduce__(self) -> tuple[Any, ...]:
        return DeclaredSettings, (self._settings, self._stage, self._allowed, self._path)

    def model_dump(self, *, mode: str, include: set[str] | None = None, exclude: Iterable[str] = ()) -> dict[str, Any]:
        """Fields as JSON, each of them read."""
        names = set(type(self._settings).model_fields if include is None else include) - set(exclude)
        for name in names:
            self._note(name)
        return self._settings.model_dump(mode=mode, include=names)

    def _note(self, name: str) -> None:
        path = self._path + name
        self.read.add(path)
        if self._allowed is None or path in ALWAYS:
            return
        parts = path.split(".")
        if not {".".join(parts[:end]) for end in range(1, len(parts) + 1)} & self._allowed:
            raise RequestError(
                f"stage {self._stage} reads the setting {path}, which neither it nor a table it reads declares; "
                "add it to the stage's settings, so that a change of it makes the rows again."
            )
