"""Old runs of the Dagster instance, and homes that were moved."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta

from orchestration.run.instance import open_instance
from warehouse.home import Home

_JSON_COLUMNS = (("event_logs", "event"), ("asset_keys", "last_materialization"))


def old_runs(home: Home, older_than_days: float) -> list[str]:
    """Ids of finished runs that ended so long ago; tables do not depend on them, only the history the UI shows."""
    import dagster as dg

    if not any(home.dagster.glob("history/*.db")):
        return []
    before = datetime.now(UTC) - timedelta(days=older_than_days)
    with open_instance(home) as instance:
        filters = dg.RunsFilter(created_before=before)
        return [run.run_id for run in instance.get_runs(filters) if run.is_finished]


def move_in_history(home: Home, old: str, new: str) -> None:
    """Correct the paths that the UI shows beside materializations: text of JSON in Dagster's own databases.

    A table or column that another Dagster does not have is left out; the history is only for people to look at.
    """
    before, after = (json.dumps(path)[1:-1] for path in (old, new))
    for file in sorted(home.dagster.glob("history/**/*.db")):
        for table, column in _JSON_COLUMNS:
            with suppress(sqlite3.Error), closing(sqlite3.connect(file, timeout=5)) as connection, connection:
                for ending in ('"', "/"):
                    change = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"  # noqa: S608  names of ours
                    connection.execute(change, (f'"{before}{ending}', f'"{after}{ending}'))


def forget_runs(home: Home, run_ids: list[str]) -> None:
    """Delete runs with their logs."""
    with open_instance(home) as instance:
        for run_id in run_ids:
            instance.delete_run(run_id)
