"""What runs by itself once it is turned on: the SQL tail after a table has changed, and the nightly rerun."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from assets.framework.dagster_assets import CHECKPOINTS, Workspace
from assets.framework.profile import load_profile
from assets.framework.stage import Scope
from orchestration.definitions import build_definitions
from warehouse.home import Home
from warehouse.registrations import register

TAIL = {"catalog", "figures", "report", "checkpoint_summary", "early_predicts_late"}


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        instance.add_dynamic_partitions(str(CHECKPOINTS.name), ["run-10", "run-20"])
        yield instance


def test_one_changed_table_of_one_checkpoint_refreshes_the_tail_once(instance: dg.DagsterInstance) -> None:
    definitions = build_definitions()
    evaluate = dg.evaluate_automation_conditions
    first = evaluate(definitions, instance)
    quiet = evaluate(definitions, instance, cursor=first.cursor)
    assert quiet.total_requested == 0
    instance.report_runless_asset_event(dg.AssetMaterialization("scores", partition="run-10"))
    changed = evaluate(definitions, instance, cursor=quiet.cursor)
    requested = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()
                 if changed.get_num_requested(key)}  # fmt: skip
    assert requested >= TAIL
    assert not requested & {"scores", "paragraphs", "perturbations"}
    assert evaluate(definitions, instance, cursor=changed.cursor).total_requested == 0


def nightly(scope: Scope, profile: str, instance: dg.DagsterInstance) -> dg.ScheduleExecutionData:
    """What the nightly schedule asks for at three in the morning."""
    definitions = build_definitions(str(scope.home.root), profile)
    repository = definitions.get_repository_def()
    with dg.build_schedule_context(
        instance, scheduled_execution_time=datetime(2026, 11, 28, 3, tzinfo=UTC), repository_def=repository,
        resources={"workspace": Workspace(home=str(scope.home.root), profile=profile)},
    ) as context:  # fmt: skip
        return repository.get_schedule_def("rerun_everything").evaluate_tick(context)


def test_the_nightly_schedule_asks_for_each_part_that_is_out_of_date(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """A fresh home lacks everything: the corpus first, the checkpoint that is registered, the tail last."""
    home = Home(tmp_path / "home").prepare()
    scope = Scope(home, load_profile("quickstart"))
    (tmp_path / "c").mkdir()
    register(home, "checkpoints", "c", {"source": str(tmp_path / "c"), "corpus_id": scope.profile.corpus_id})
    asked = nightly(scope, "quickstart", instance).run_requests
    assert len(asked) == 4
    keys = [{key.to_user_string() for key in request.asset_selection or ()} for request in asked]
    assert {"paragraphs", "unigrams"} <= keys[0] and not keys[0] & {"scores", "catalog", "training_steps"}
    assert keys[1] == {"training_steps"} and keys[3] >= TAIL
    assert "scores" in keys[2] and [r.partition_key for r in asked] == [None, None, "c", None]
    assert instance.has_dynamic_partition("checkpoint", "c")
    assert len({request.run_key for request in asked}) == 4


def test_the_parts_that_the_nightly_schedule_asks_for_can_be_run(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """The job holds assets with and without partitions; each request names assets of one kind."""
    home = Home(tmp_path / "home").prepare()
    (request, *_) = nightly(Scope(home, load_profile("quickstart")), "quickstart", instance).run_requests
    job = build_definitions(str(home.root), "quickstart").resolve_job_def("everything")
    subset = job.get_subset(asset_selection=set(request.asset_selection or ()))
    assert {node.name for node in subset.nodes} >= {"paragraphs_stage", "unigrams_stage"}
