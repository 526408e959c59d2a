"""The persistent Dagster instance in the home folder, with telemetry off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warehouse.atomic import replace_file
from warehouse.home import Home

if TYPE_CHECKING:
    import dagster as dg

SETTINGS = "telemetry:\n  enabled: false\n"


def prepare_instance(home: Home) -> str:
    """Write the instance's settings unless the user has some; returns its folder, for DAGSTER_HOME."""
    settings = home.dagster / "dagster.yaml"
    if not settings.exists():
        replace_file(settings, lambda path: path.write_text(SETTINGS))
    return str(home.dagster)


def open_instance(home: Home) -> dg.DagsterInstance:
    """The instance that the UI shows as well."""
    import dagster as dg

    return dg.DagsterInstance.from_config(prepare_instance(home))
