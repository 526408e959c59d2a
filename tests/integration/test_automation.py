"""What runs by itself once it is turned on: the SQL tail after a table has changed, and the nightly rerun."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from assets.framework.dagster_assets import CHECKPOINTS
from orchestration import jobs
from orchestration.definitions import build_definitions

TAIL = {"catalog", "figures", "report", "checkpoint_summary", "early_predicts_late"}


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
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


def test_the_nightly_job_runs_the_command_line_and_fails_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    monkeypatch.setattr(jobs.sys, "executable", str(tmp_path / "python"))
    (tmp_path / "python").write_text(
        '#!/bin/sh\necho "$RARECALL_HOME $*" > "$RARECALL_HOME/asked"\nexit $(cat "$RARECALL_HOME/code")\n'
    )
    (tmp_path / "python").chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    job = build_definitions(str(home), "quickstart").resolve_job_def("everything")
    (home / "code").write_text("0")
    assert job.execute_in_process(instance=instance).success
    assert (home / "asked").read_text().split() == [
        str(home),
        *["-m", "orchestration.cli", "run", "--profile", "quickstart"],
    ]
    (home / "code").write_text("1")
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success and "exit code 1" in str(result.all_node_events[-1].step_failure_data.error)
