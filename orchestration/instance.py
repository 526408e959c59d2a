"""The persistent Dagster instance in the home folder: no telemetry, no sign-up dialog over the first page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warehouse.atomic import replace_file
from warehouse.home import Home

if TYPE_CHECKING:
    import dagster as dg

SETTINGS = "telemetry:\n  enabled: false\nnux:\n  enabled: false\n"


def prepare_instance(home: Home) -> str:
    """Write the instance's settings unless the user has some; returns its folder, for DAGSTER_HOME."""
    settings = home.dagster / "dagster.yaml"
    if not settings.exists():
        replace_file(settings, lambda path: path.write_text(SETTINGS))
    return str(home.dagster)


def open_instance(home: Home) -> dg.DagsterInstance:
    """The instance that the UI shows as well.

    Output is not captured: capturing starts two watching processes per step, and Ctrl-C reaches them too.
    """
    import dagster as dg
    from dagster._core.instance.ref import InstanceRef

    overrides = {
        "compute_logs": {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
    }
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(prepare_instance(home), overrides=overrides))
