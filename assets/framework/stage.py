"""Stages: upstream, settings, outside inputs, the tables a stage writes, the checks before they count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import polars as pl

from assets.framework.declared import DeclaredSettings
from assets.framework.profile import Profile
from warehouse.home import Home
from warehouse.record.parts import TableStore
from warehouse.registry import TABLES

Frames = dict[str, pl.DataFrame]
Check = Callable[["Scope", Frames], list[str]]
Plot = Callable[["Scope", pl.DataFrame], str]
Numbers = Callable[[pl.DataFrame], dict[str, float | None]]


@dataclass(frozen=True)
class Scope:
    """What one execution works on: a home, a profile and, for model stages, a checkpoint."""

    home: Home
    profile: Profile
    checkpoint_id: str | None = None

    def partition(self, table: str) -> str:
        """The partition of `table` that this scope reads and writes."""
        if TABLES[table].partition == "corpus":
            return self.profile.corpus_id
        if self.checkpoint_id is None:
            raise KeyError(f"table {table} is partitioned by checkpoint and no checkpoint is in scope")
        return self.checkpoint_id  # the scan of a profile's documents goes by the checkpoint's name

    def store(self, table: str) -> TableStore:
        """Store of a table."""
        return TableStore.of(self.home, table)

    def read(self, table: str, columns: list[str] | None = None) -> pl.DataFrame:
        """Rows of the scope's partition of a table."""
        return self.store(table).read(self.partition(table), columns)

    def limited(self, stage: str, allowed: frozenset[str]) -> Scope:
        """The same scope with a profile that shows only these settings."""
        return replace(self, profile=cast(Profile, DeclaredSettings(self.profile, stage, allowed)))

    def content(self, table: str) -> str | None:
        """Content hash of the scope's partition of a table; None while it is not there."""
        manifest = self.store(table).manifest(self.partition(table))
        return manifest.content_sha256 if manifest else None

    def beginning_id(self) -> int | None:
        """Token that stands before every paragraph the scope's checkpoint reads; None for none."""
        if self.content("vocabularies") is None:  # measured before there was a choice, which was none
            return None
        found = self.read("vocabularies", ["beginning_id"])["beginning_id"][0]
        return None if found is None else int(found)

    def corpus_folder(self) -> Path:
        """Tokenizer and token shards."""
        return self.home.corpus_folder(self.profile.corpus_id)


def _nothing(_: Any) -> dict[str, Any]:
    return {}


def _always(_: Profile) -> bool:
    return True


def _no_files(_: Scope) -> list[Path]:
    return []


@dataclass(frozen=True)
class Shards:
    """Work cut in shards: each is a pure function of its index and gives the rows of every table of the stage."""

    count: int
    compute: Callable[[int], Frames]
    unit: str = "shards"


@dataclass(frozen=True, eq=False)
class Stage:
    """One step of the flow: one Dagster asset per table. Its inputs decide whether its tables are current.

    Attributes:
        shards: cuts the work of a scope into shards; its docstring describes the assets.
        tables: what it writes; the stage goes by the first.
        reads: upstream tables, which enter its key by their content.
        settings: what of the profile its rows depend on, as JSON for the key.
        outside: evidence about inputs outside the warehouse.
        earlier: the evidence that an earlier version would take today, or None where it did not see all that is read.
            Tables made from exactly that are current and get today's evidence in their manifests.
        artifacts: files made beside the tables; a missing one makes the stage run again.
        checks: `table.label` → function that names violating rows before they count.
        takes_apart: whether it looks into attention heads and weights; such a stage gives no rows for a family that
            `probes.architectures` has no adapter for.
        warnings: as checks, but they only warn: the rows are right, what they say should be known.
        spreads: whether its shards may run on the workers of an engine (`assets/framework/workers.py`).
        group: group in the Dagster UI.
        kinds: badges in the Dagster UI.
        files: further upstream assets that are files rather than tables.
        plots: table → function that draws it as Markdown for the Dagster UI.
        numbers: table → function that sums its rows up in a few numbers, which the UI draws over materializations.
        new_checkpoints: names the checkpoints that a finished run of the stage has made.
        applies: whether a profile asks for the stage at all; where it does not, there is nothing to do and no rows.
    """

    shards: Callable[[Scope], Shards]
    tables: tuple[str, ...]
    reads: tuple[str, ...] = ()
    settings: Callable[[Profile], dict[str, Any]] = _nothing
    outside: Callable[[Scope], dict[str, Any]] = _nothing
    earlier: Callable[[Scope], dict[str, Any] | None] | None = None
    artifacts: Callable[[Scope], list[Path]] = _no_files
    checks: dict[str, Check] = field(default_factory=dict)
    takes_apart: bool = False
    warnings: dict[str, Check] = field(default_factory=dict)
    spreads: bool = False
    group: str = "corpus"
    kinds: frozenset[str] = frozenset()
    files: tuple[str, ...] = ()
    plots: dict[str, Plot] = field(default_factory=dict)
    numbers: dict[str, Numbers] = field(default_factory=dict)
    new_checkpoints: Callable[[Scope], list[str]] | None = None
    applies: Callable[[Profile], bool] = _always

    def __reduce__(self) -> tuple[Callable[[str, str], Stage], tuple[str, str]]:
        """Workers get the stage by the name it is decorated under, not its lambdas."""
        return _stage_named, (self.shards.__module__, self.shards.__name__)

    @property
    def name(self) -> str:
        """The stage goes by its first table."""
        return self.tables[0]

    @property
    def description(self) -> str:
        """The decorated function's docstring."""
        return (self.shards.__doc__ or "").strip()

    @property
    def is_per_checkpoint(self) -> bool:
        """Whether it is partitioned by checkpoint."""
        return TABLES[self.name].partition != "corpus"

    def shards_of(self, scope: Scope) -> Shards:
        """The work of a scope, cut into shards: none where the stage takes apart what nobody can take apart.

        The function sees only the settings that are in the key.

        Raises:
            RequestError: it reads a setting that neither it nor a table it reads declares.
        """
        if self._foreign_family(scope) is not None:
            empty = {name: no_rows(name) for name in self.tables}
            return Shards(1, lambda _: empty)
        if isinstance(scope.profile, DeclaredSettings):  # limited already, by a stage that asks this one
            return self.shards(scope)
        allowed = self.declared(scope.profile)
        return self.shards(scope if allowed is None else scope.limited(self.name, allowed))

    def declared(self, profile: Profile) -> frozenset[str] | None:
        """Settings in its key, by itself or through the tables it reads; None where their stages are not imported."""
        noted = DeclaredSettings(profile, self.name)
        self.settings(cast(Profile, noted))
        found = set(noted.read)
        for maker in {_MAKERS.get(table) for table in self.reads}:
            upstream = None if maker is None else maker.declared(profile)
            if upstream is None:
                return None
            found |= upstream
        return frozenset(found)

    def _foreign_family(self, scope: Scope) -> str | None:
        """The checkpoint's architecture where the stage needs an adapter and there is none."""
        if not self.takes_apart or scope.content("checkpoints") is None:
            return None
        from probes.architectures import FAMILIES

        family = str(scope.read("checkpoints", ["architecture"])["architecture"][0])
        return None if family in FAMILIES else family

    def inputs(self, scope: Scope) -> dict[str, Any]:
        """Everything the tables depend on, for the manifest."""
        upstream = {name: scope.content(name) for name in self.reads}
        foreign = self._foreign_family(scope)  # once there is an adapter, the stage runs
        outside = self.outside(scope) | ({} if foreign is None else {"no_adapter_for": foreign})
        # Of what reads no beginning, keys are what they were before there was a choice.
        beginning = scope.beginning_id() if "checkpoints" in self.reads else None
        outside |= {} if beginning is None else {"beginning_of_sequence": beginning}
        return {"upstream": upstream, "settings": self.settings(scope.profile), "outside": outside}

    def is_current(self, scope: Scope) -> bool:
        """Whether all tables were made from today's inputs and all files made beside them are there."""
        if not self.applies(scope.profile):
            return True
        if any(scope.content(name) is None for name in self.reads):
            return False
        inputs = self.inputs(scope)
        done = self._is_made_from(scope, inputs) or self._is_adopted(scope, inputs)
        return done and all(path.exists() for path in self.artifacts(scope))

    def _is_made_from(self, scope: Scope, inputs: dict[str, Any]) -> bool:
        return all(scope.store(name).is_current(scope.partition(name), inputs) for name in self.tables)

    def _is_adopted(self, scope: Scope, inputs: dict[str, Any]) -> bool:
        """Whether the tables were made from the same inputs by an earlier version, which saw less of them."""
        if self.earlier is None or any(scope.content(name) is None for name in self.tables):
            return False
        outside = self.earlier(scope)
        if outside is None or not self._is_made_from(scope, {**inputs, "outside": outside}):
            return False
        for name in self.tables:
            scope.store(name).adopt(scope.partition(name), inputs)
        return True


_MAKERS: dict[str, Stage] = {}
"""The stage of every table whose module is imported."""


def no_rows(table: str) -> pl.DataFrame:
    """An empty frame of a checkpoint's table in the registry's types, where there is nothing to measure."""
    frame = pl.from_arrow(TABLES[table].arrow_schema.empty_table())
    assert isinstance(frame, pl.DataFrame)
    return frame.drop("checkpoint_id")


def _stage_named(module: str, name: str) -> Stage:
    return getattr(import_module(module), name)


def stage(*, kinds: set[str], **declared: Any) -> Callable[[Callable[[Scope], Shards]], Stage]:
    """Decorator that makes a stage of a function from a scope to its shards; the arguments are those of `Stage`.

    Importing a stage imports neither Dagster nor torch, so that a run without changes needs neither.
    """

    def _declare(function: Callable[[Scope], Shards]) -> Stage:
        made = Stage(function, kinds=frozenset(kinds), **declared)
        _MAKERS.update(dict.fromkeys(made.tables, made))
        return made

    return _declare
