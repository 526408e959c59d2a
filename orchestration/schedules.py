"""Schedules; off until somebody turns them on."""

import dagster as dg

from assets.framework.dagster_assets import CHECKPOINTS, Workspace
from assets.framework.stage import Scope
from assets.report import is_written
from orchestration.jobs import EVERYTHING_JOB, TAIL_JOB
from orchestration.run.flow import Step, checkpoint_steps, checkpoints_of, corpus_steps, is_gone, tail_steps
from orchestration.sources.arrivals import look_for_arrivals
from orchestration.sources.named import register_profile_checkpoints
from warehouse.catalog.publish import is_published


@dg.schedule(
    job=TAIL_JOB,
    cron_schedule="0 * * * *",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every hour: marts, figures and report, when the record has changed since they were made.",
)
def refresh_tail(context: dg.ScheduleEvaluationContext, workspace: Workspace) -> dg.RunRequest | dg.SkipReason:
    """Every hour: marts, figures and report, when the record has changed since they were made."""
    home = workspace.open_home()
    if not any(home.tables.glob("checkpoints/*/_manifest.json")):
        return dg.SkipReason(
            f"no checkpoint has been measured in {home.root} yet; materialize the job `checkpoint` first."
        )
    profile = workspace.open_profile()
    if is_published(home) and is_written(home, profile.corpus_id, profile.report):
        return dg.SkipReason("the published warehouse and the report show the record as it is; nothing to do.")
    return dg.RunRequest()


@dg.schedule(
    job=EVERYTHING_JOB,
    cron_schedule="0 3 * * *",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every night at three: whatever is missing or out of date, over all checkpoints of all sources.",
)
def rerun_everything(
    context: dg.ScheduleEvaluationContext, workspace: Workspace
) -> list[dg.RunRequest] | dg.SkipReason:
    """Every night at three: whatever is missing or out of date, over all checkpoints of all sources.

    One run for the corpus, one for each checkpoint, one for marts and report, in this order. Checkpoints that a
    training run of tonight makes are asked for tomorrow, or by the sensor.
    """
    scope = Scope(workspace.open_home(), workspace.open_profile())
    register_profile_checkpoints(scope)
    look_for_arrivals(scope)
    steps = steps_of_the_night(scope)
    if not steps:
        return dg.SkipReason("nothing changed since the last run; every table is current.")
    names = [step.checkpoint_id for step in steps if step.checkpoint_id]
    context.instance.add_dynamic_partitions(str(CHECKPOINTS.name), names)
    return [_request(context, step) for step in steps]


def steps_of_the_night(scope: Scope) -> list[Step]:
    """Steps in the order of the flow; behind a corpus that is out of date every checkpoint may be."""
    before = corpus_steps(scope)
    present = [name for name in checkpoints_of(scope) if not is_gone(Scope(scope.home, scope.profile, name))]
    after = [Step("checkpoint", name) for name in present] if before else checkpoint_steps(scope)
    return [*before, *after, *([Step("tail")] if before or after else tail_steps(scope))]


def _request(context: dg.ScheduleEvaluationContext, step: Step) -> dg.RunRequest:
    """The part of the job that a step stands for; the time is in the run key, which Dagster never repeats."""
    assert context.repository_def is not None
    part = context.repository_def.get_job(step.job).asset_layer.executable_asset_keys
    return dg.RunRequest(
        run_key=f"{context.scheduled_execution_time.isoformat()}:{step.job}:{step.checkpoint_id or ''}",
        partition_key=step.checkpoint_id,
        asset_selection=sorted(part),
    )
