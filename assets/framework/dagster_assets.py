"""Declared stages as Dagster assets; nothing that decides whether there is work imports this module."""

from typing import Any

import dagster as dg

from assets.framework import workers
from assets.framework.materialize import materialize
from assets.framework.profile import Profile, load_profile
from assets.framework.stage import Check, Scope, Stage
from warehouse.home import Home
from warehouse.registry import TABLES, Table

FIRST_TABLE = "tokenizers"
START_HERE = (
    "**Start here.** The graph reads from left to right: the corpus becomes tokens and paragraphs; every checkpoint is "
    "scored on them, perturbed, taken apart and edited; marts, figures and the report say what came out. Materialize "
    "the job `corpus`, then `checkpoint` for each partition, then `tail`; `rarecall run` does all of it. To look at "
    "results first, open the asset `report`.\n\n"
)
"""Stands before the description of the first asset."""


def definition_of(stage: Stage) -> dg.AssetsDefinition:
    """The Dagster assets of a stage, one per table."""

    def _run(context: dg.AssetExecutionContext, workspace: Workspace) -> Any:
        scope = workspace.scope(context)
        yield from materialize(context, stage, scope)
        if stage.new_checkpoints is not None:
            context.instance.add_dynamic_partitions(str(CHECKPOINTS.name), stage.new_checkpoints(scope))

    return dg.multi_asset(
        name=f"{stage.name}_stage",
        specs=[_spec(name, stage) for name in stage.tables],
        check_specs=[*_check_specs(stage.checks, True), *_check_specs(stage.warnings, False)],
        partitions_def=CHECKPOINTS if stage.is_per_checkpoint else None,
        config_schema=workers.config_schema() if stage.spreads else None,
    )(_run)


def column_schema(table: Table) -> dg.TableSchema:
    """A registered table's columns as Dagster shows them."""
    columns = [
        dg.TableColumn(c.name, c.type, c.comment, dg.TableColumnConstraints(nullable=c.nullable)) for c in table.columns
    ]
    return dg.TableSchema(columns=columns)


def _spec(name: str, stage: Stage) -> dg.AssetSpec:
    table = TABLES[name]
    return dg.AssetSpec(
        name,
        deps=[*stage.reads, *stage.files],
        description=_description(name, stage),
        group_name=stage.group,
        kinds=set(stage.kinds),
        code_version=str(table.version),
        metadata={"dagster/column_schema": column_schema(table)},
    )


def _description(name: str, stage: Stage) -> str:
    table = TABLES[name]
    beginning = START_HERE if name == FIRST_TABLE else ""
    return f"{beginning}{table.description}\n\nGrain: {table.grain}.\n\n{stage.description}"


def _check_specs(checks: dict[str, Check], blocks: bool) -> list[dg.AssetCheckSpec]:
    """What each check holds, in words, and what follows when it does not."""
    follows = "Blocks: while a row violates it nothing is published." if blocks else "Warns: the rows are published."
    found = []
    for name, check in checks.items():
        asset, _, label = name.partition(".")
        words = label.replace("_", " ")
        said = (check.__doc__ or "").strip().partition("\n")[0]
        holds = f"{words[0].upper()}{words[1:]}. {said}".strip()
        found.append(dg.AssetCheckSpec(label, asset=asset, description=f"{holds} {follows}", blocking=blocks))
    return found


released_paragraphs = dg.AssetSpec(
    "released_paragraphs",
    description=f"{TABLES['released_paragraphs'].description}\n\nWritten by `rarecall import`.",
    group_name="corpus",
    kinds={"parquet"},
    metadata={"dagster/column_schema": column_schema(TABLES["released_paragraphs"])},
)


class Workspace(dg.ConfigurableResource):
    """The home folder and the profile of a run. Empty values mean $RARECALL_HOME and $RARECALL_PROFILE."""

    home: str = ""
    profile: str = ""

    def open_home(self) -> Home:
        """The home, proved to be writable."""
        from pathlib import Path

        return (Home(Path(self.home).expanduser().resolve()) if self.home else Home.locate()).prepare()

    def open_profile(self) -> Profile:
        """The profile, checked."""
        return load_profile(self.profile or None, self.open_home())

    def scope(self, context: dg.AssetExecutionContext) -> Scope:
        """The scope of an asset's execution; a partition key is the checkpoint."""
        checkpoint_id = context.partition_key if context.has_partition_key else None
        return Scope(self.open_home(), self.open_profile(), checkpoint_id)


CHECKPOINTS = dg.DynamicPartitionsDefinition(name="checkpoint")


_CHANGED = dg.AutomationCondition.any_deps_updated() | dg.AutomationCondition.newly_missing()


_HANDLED = dg.AutomationCondition.newly_requested() | dg.AutomationCondition.newly_updated()


_BUSY = dg.AutomationCondition.in_progress() | dg.AutomationCondition.any_deps_in_progress()


WHEN_TABLES_CHANGE = (_CHANGED.since(_HANDLED) & ~_BUSY).with_label(
    "a table it reads has changed and none is being written"
)


"""Unlike `eager()` it does not wait until every partition of every table is there: one checkpoint is enough."""
