"""The overview pages of the UI show the newest checkpoint, whichever ended last."""

import dagster as dg
import pytest

from orchestration.run.newest_shown import show_newest

SCORES, CLAIMS = dg.AssetKey("scores"), dg.AssetKey("claims")
TABLES = ("scores", "claims", "edits")


def event(key, partition, rows):
    tags = {"dagster/data_version": f"{partition}-{rows}"}
    return dg.AssetMaterialization(key, partition=partition, metadata={"rows": rows}, tags=tags)


@pytest.fixture
def instance():
    """Both tables of two checkpoints; of scores the untrained one came last."""
    with dg.DagsterInstance.ephemeral() as one:
        for each in (
            *(event(SCORES, "step-9", 1), event(SCORES, "step-9", 7), event(CLAIMS, "step-0", 3)),
            *(event(SCORES, "step-0", 5), event(CLAIMS, "step-9", 4)),
        ):
            one.report_runless_asset_event(each)
        yield one


def test_the_newest_checkpoint_is_shown_with_its_last_facts(instance):
    assert show_newest(instance, TABLES, "step-9") == ["scores"]
    shown = instance.get_latest_materialization_event(SCORES).asset_materialization
    assert (shown.partition, shown.metadata["rows"].value) == ("step-9", 7)
    assert shown.tags["dagster/data_version"] == "step-9-7", "what is downstream is not out of date"
    assert show_newest(instance, TABLES, "step-9") == []


def test_a_checkpoint_that_was_never_measured_changes_nothing(instance):
    assert show_newest(instance, TABLES, "step-12") == []
    assert instance.get_latest_materialization_event(SCORES).asset_materialization.partition == "step-0"
