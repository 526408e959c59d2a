"""The code location: it loads, its groups follow the flow, every table of the registry is somebody's asset."""

import json
import re

import dagster as dg
import pytest

import sql
from assets.framework.dagster_assets import FIRST_TABLE
from assets.stages import CHECKPOINT_STAGES, CORPUS_STAGES
from orchestration.definitions import build_definitions, defs
from warehouse.home import Home
from warehouse.registry import TABLES

GRAPH = defs.resolve_asset_graph()
KEYS = {key.to_user_string() for key in GRAPH.get_all_asset_keys()}


def node(name):
    return GRAPH.get(dg.AssetKey(name))


def test_definitions_load_and_are_loadable_by_dagster():
    dg.Definitions.validate_loadable(build_definitions())


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_registered_table_is_an_asset_with_schema_and_description(name):
    assert name in KEYS
    assert TABLES[name].description in (node(name).description or "")
    schema = node(name).metadata["dagster/column_schema"]
    assert [column.name for column in schema.columns] == TABLES[name].arrow_schema.names


def test_every_view_and_mart_is_an_asset_below_what_it_reads():
    for name in {*sql.load("views"), *sql.load("marts")}:
        assert name in KEYS
    assert dg.AssetKey("triggers") in node("strongest_triggers").parent_keys
    assert {"prefix_changes", "prefix_attention"} <= {key.to_user_string() for key in node("triggers").parent_keys}
    assert dg.AssetKey("perturbations") in node("prefix_changes").parent_keys


@pytest.mark.parametrize("name", sorted(TABLES))
def test_tables_of_checkpoints_are_partitioned_by_checkpoint(name):
    definition = node(name).partitions_def
    if TABLES[name].partition in ("checkpoint", "scan"):  # a scan of the flow is that of a checkpoint
        assert isinstance(definition, dg.DynamicPartitionsDefinition)
        assert definition.name == "checkpoint"
    else:
        assert definition is None


def test_groups_follow_the_flow():
    groups = {node(name).group_name for name in KEYS}
    assert groups == {
        "corpus", "training", "checkpoints", "memorization", "localization", "analysis", "marts", "report",
    }  # fmt: skip


def test_upstream_tables_of_a_stage_come_before_it_in_the_flow():
    made: set[str] = set()
    for stage in (*CORPUS_STAGES, *CHECKPOINT_STAGES):
        assert set(stage.reads) <= made, stage.name
        made |= set(stage.tables)


def test_nothing_runs_by_itself():
    repository = defs.get_repository_def()
    assert all(s.default_status == dg.DefaultSensorStatus.STOPPED for s in repository.sensor_defs)
    assert all(s.default_status == dg.DefaultScheduleStatus.STOPPED for s in repository.schedule_defs)


def test_everything_that_can_be_turned_on_says_what_it_does():
    repository = defs.get_repository_def()
    named = [*repository.sensor_defs, *repository.schedule_defs]
    named += [job for job in repository.get_all_jobs() if not job.name.startswith("__")]
    assert len(named) >= 9 and [one.name for one in named if not one.description] == []


def test_checks_say_what_they_hold_and_what_follows():
    specs = list(GRAPH.asset_check_keys)
    told = {key: GRAPH.get(key).description or "" for key in specs}
    assert len(told) > 20
    assert [key for key, text in told.items() if not re.search(r"(Blocks: while|Warns: )", text)] == []


def test_the_graph_says_where_to_begin():
    assert [name for name in KEYS if (node(name).description or "").startswith("**Start here.**")] == [FIRST_TABLE]
    assert CORPUS_STAGES[0].name == FIRST_TABLE


def test_the_location_has_one_name(tmp_path):
    import tomllib

    from orchestration.cli.ui_process import LOCATION, write_workspace
    from tests.support import REPOSITORY

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]
    names = {project["dagster"]["code_location_name"], project["dg"]["project"]["code_location_name"], LOCATION}
    workspace = write_workspace(Home(tmp_path).prepare())
    assert (
        names == {"rarecall"}
        and json.loads(workspace.read_text())["load_from"][0]["python_module"]["location_name"] in names
    )
