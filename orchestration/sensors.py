"""The sensor for checkpoints that arrive; off until somebody turns it on."""

import json

import dagster as dg

from assets.partitions import CHECKPOINTS
from assets.resources import Workspace
from assets.stage import Scope
from orchestration.arrivals import Arrival, look_for_arrivals
from orchestration.jobs import CHECKPOINT_JOB

RUNS_PER_TICK = 8


@dg.sensor(job=CHECKPOINT_JOB, minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.STOPPED)
def new_checkpoints(context: dg.SensorEvaluationContext, workspace: Workspace) -> dg.SensorResult | dg.SkipReason:
    """Adds complete checkpoints of the watched folder as partitions and requests one run per content.

    The cursor holds what was asked for, so that checkpoints whose runs fail do not use up every tick.
    """
    scope = Scope(workspace.open_home(), workspace.open_profile())
    arrivals, passed_over = look_for_arrivals(scope)
    if not arrivals:
        return dg.SkipReason("; ".join(passed_over) or f"no checkpoint in {scope.home.checkpoint_folder} yet.")
    for reason in passed_over:
        context.log.info(reason)
    asked = _asked_before(context, arrivals)
    chosen = [arrival for arrival in arrivals if arrival.checkpoint_id not in asked][:RUNS_PER_TICK]
    if not chosen:
        return dg.SkipReason(
            f"a run was requested before for {', '.join(asked)}; where it failed, start it again from the page Runs."
        )
    return dg.SensorResult(
        cursor=json.dumps(asked | {arrival.checkpoint_id: arrival.content for arrival in chosen}),
        dynamic_partitions_requests=[CHECKPOINTS.build_add_request([a.checkpoint_id for a in chosen])],
        run_requests=[_request(arrival) for arrival in chosen],
    )


def _asked_before(context: dg.SensorEvaluationContext, arrivals: list[Arrival]) -> dict[str, str]:
    """Content by checkpoint, for those that were requested with the content they have now."""
    asked = json.loads(context.cursor or "{}")
    return {a.checkpoint_id: a.content for a in arrivals if asked.get(a.checkpoint_id) == a.content}


def _request(arrival: Arrival) -> dg.RunRequest:
    """The content is in the run key: Dagster silently skips a key it has seen."""
    return dg.RunRequest(run_key=f"{arrival.checkpoint_id}:{arrival.content}", partition_key=arrival.checkpoint_id)
