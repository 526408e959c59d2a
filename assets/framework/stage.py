"""What an asset is made of: upstream, settings, outside inputs, the tables it writes, the checks before they count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.framework.profile import Profile
from warehouse.home import Home
from warehouse.record.parts import TableStore
from warehouse.registry import TABLES

if TYPE_CHECKING:
    import dagster as dg

    from assets.framework.dagster_assets import Workspace

    Result = dg.MaterializeResult | dg.AssetCheckResult

Frames = dict[str, pl.DataFrame]
Check = Callable[["Scope", Frames], list[str]]


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
        return self.checkpoint_id

    def store(self, table: str) -> TableStore:
        """Store of a table."""
        return TableStore.of(self.home, table)

    def read(self, table: str, columns: list[str] | None = None) -> pl.DataFrame:
        """Rows of the scope's partition of a table."""
        return self.store(table).read(self.partition(table), columns)

    def content(self, table: str) -> str | None:
        """Content hash of the scope's partition of a table; None while it is not there."""
        manifest = self.store(table).manifest(self.partition(table))
        return manifest.content_sha256 if manifest else None

    def corpus_folder(self) -> Path:
        """Tokenizer and token shards."""
        return self.home.corpus_folder(self.profile.corpus_id)


def _nothing(_: Any) -> dict[str, Any]:
    return {}


def _no_files(_: Scope) -> list[Path]:
    return []


@dataclass(frozen=True)
class Stage:
    """One step of the flow. Its inputs decide whether its tables are current.

    `spreads` says that its shards may run on the workers of an engine (`assets/framework/workers.py`).
    """

    tables: tuple[str, ...]
    upstream: tuple[str, ...] = ()
    settings: Callable[[Profile], dict[str, Any]] = _nothing
    outside: Callable[[Scope], dict[str, Any]] = _nothing
    artifacts: Callable[[Scope], list[Path]] = _no_files
    checks: dict[str, Check] = field(default_factory=dict)
    spreads: bool = False

    @property
    def name(self) -> str:
        """The stage goes by its first table."""
        return self.tables[0]

    @property
    def is_per_checkpoint(self) -> bool:
        """Whether it is partitioned by checkpoint."""
        return TABLES[self.name].partition == "checkpoint"

    def inputs(self, scope: Scope) -> dict[str, Any]:
        """Everything the tables depend on, for the manifest."""
        upstream = {name: scope.content(name) for name in self.upstream}
        return {"upstream": upstream, "settings": self.settings(scope.profile), "outside": self.outside(scope)}

    def is_current(self, scope: Scope) -> bool:
        """Whether all tables were made from today's inputs and all files made beside them are there."""
        if any(scope.content(name) is None for name in self.upstream):
            return False
        inputs = self.inputs(scope)
        done = all(scope.store(name).is_current(scope.partition(name), inputs) for name in self.tables)
        return done and all(path.exists() for path in self.artifacts(scope))


@dataclass(frozen=True)
class Shards:
    """Work cut in shards: each is a pure function of its index and gives the rows of every table of the stage."""

    count: int
    compute: Callable[[int], Frames]
    unit: str = "shards"


@dataclass(frozen=True)
class StageAsset:
    """A stage with the function that runs it; `dagster_assets` makes Dagster assets of it, one per table.

    Attributes:
        stage: what it reads and writes.
        function: takes the context and the workspace, yields results; its docstring describes the assets.
        group: group in the Dagster UI.
        kinds: badges in the Dagster UI.
        files: further upstream assets that are files rather than tables.
    """

    stage: Stage
    function: Callable[[dg.AssetExecutionContext, Workspace], Iterator[Result]]
    group: str
    kinds: set[str]
    files: tuple[str, ...] = ()


def stage_asset(stage: Stage, group: str, kinds: set[str], files: tuple[str, ...] = ()) -> Callable[..., StageAsset]:
    """Decorator: declares the assets of a stage without importing Dagster, which a run without changes never needs."""
    return lambda function: StageAsset(stage, function, group, kinds, files)
