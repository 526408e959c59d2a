"""Old runs of the Dagster instance, and homes that were moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from orchestration.run.instance import open_instance
from warehouse.home import Home


def old_runs(home: Home, older_than_days: float) -> list[str]:
    """Ids of finished runs that ended so long ago; tables do not depend on them, only the history the UI shows."""
    import dagster as dg

    if not any(home.dagster.glob("history/*.db")):
        return []
    before = datetime.now(UTC) - timedelta(days=older_than_days)
    with open_instance(home) as instance:
        filters = dg.RunsFilter(created_before=before)
        return [run.run_id for run in instance.get_runs(filters) if run.is_finished]


def forget_runs(home: Home, run_ids: list[str]) -> None:
    """Delete runs with their logs."""
    with open_instance(home) as instance:
        for run_id in run_ids:
            instance.delete_run(run_id)
