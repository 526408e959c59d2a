"""Sensors, off until somebody turns them on: checkpoints that arrive, and the SQL tail after tables that change."""

import json
import time

import dagster as dg

from assets.framework.dagster_assets import CHECKPOINTS, Workspace
from assets.framework.stage import Scope
from assets.stages import CORPUS_STAGES
from orchestration.jobs import CHECKPOINT_JOB
from orchestration.sources import arrivals
from orchestration.sources.arrivals import Arrival

RUNS_PER_TICK = 8
CURSOR_ENTRIES = 1000
REASONS_SHOWN = 20
_RUN_KEY = "dagster/run_key"


@dg.sensor(
    job=CHECKPOINT_JOB,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Looks for complete checkpoints in watched folders, manifests and hub repositories, and measures them.",
)
def new_checkpoints(context: dg.SensorEvaluationContext, workspace: Workspace) -> dg.SensorResult | dg.SkipReason:
    """Adds complete checkpoints of the watched sources as partitions and requests one run per content.

    The cursor holds what was asked for, so that checkpoints whose runs fail do not use up every tick.
    """
    scope = Scope(workspace.open_home(), workspace.open_profile())
    if absent := [stage.name for stage in CORPUS_STAGES if scope.content(stage.name) is None]:
        return dg.SkipReason(f"the corpus has no table {absent[0]} yet; materialize the job `corpus` first.")
    asked = read_cursor(context.cursor)
    if asked is None:
        context.log.warning("The cursor is not one of this sensor and is taken as empty; nothing is measured twice.")
        asked = {}
    partitions = set(context.instance.get_dynamic_partitions(str(CHECKPOINTS.name)))
    asked = {name: content for name, content in asked.items() if name in partitions}  # deleted ones may come again
    look = arrivals.look_for_arrivals(scope, asked=asked, limit=RUNS_PER_TICK)
    for reason in look.passed_over if look.arrivals else ():
        context.log.info(reason)
    if not look.arrivals:
        return dg.SkipReason(_why_nothing(scope, look))
    return dg.SensorResult(
        cursor=bounded_cursor(asked | {a.checkpoint_id: a.content for a in look.arrivals}),
        dynamic_partitions_requests=[CHECKPOINTS.build_add_request([a.checkpoint_id for a in look.arrivals])],
        run_requests=[_request(context.instance, arrival) for arrival in look.arrivals],
    )


refresh_tail_on_change = dg.AutomationConditionSensorDefinition(
    "refresh_tail_on_change",
    target=dg.AssetSelection.groups("marts", "report"),
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Requests marts, figures and report when a table they read has changed and nothing writes one.",
)


def _why_nothing(scope: Scope, look: arrivals.Look) -> str:
    """All reasons, cut where the page would not show them anyway."""
    reasons = [*look.passed_over, *look.resting]
    shown = reasons[:REASONS_SHOWN]
    more = len(reasons) - len(shown)
    rest = [f"and {more} more"] if more else []
    return "; ".join([*shown, *rest]) or f"no checkpoint in {scope.home.checkpoint_folder} yet."


def read_cursor(cursor: str | None) -> dict[str, str] | None:
    """What was asked for, by checkpoint; None for a text that somebody else wrote."""
    try:
        found = json.loads(cursor or "{}")
    except ValueError:
        return None
    return {str(name): str(content) for name, content in found.items()} if isinstance(found, dict) else None


def bounded_cursor(asked: dict[str, str]) -> str:
    """The newest entries: a cursor must not grow with every checkpoint there ever was."""
    return json.dumps(dict(list(asked.items())[-CURSOR_ENTRIES:]))


def _request(instance: dg.DagsterInstance, arrival: Arrival) -> dg.RunRequest:
    """The content is in the run key; Dagster silently skips a key it has seen, so what is asked again gets a time."""
    key = f"{arrival.checkpoint_id}:{arrival.content}"
    if instance.get_runs(dg.RunsFilter(tags={_RUN_KEY: key}), limit=1):
        key = f"{key}:{int(time.time())}"
    return dg.RunRequest(run_key=key, partition_key=arrival.checkpoint_id)
