"""Schedules; off until somebody turns them on."""

import dagster as dg

from assets.framework.dagster_assets import Workspace
from assets.report import is_written
from orchestration.jobs import TAIL_JOB, everything
from warehouse.catalog.publish import is_published


@dg.schedule(job=TAIL_JOB, cron_schedule="0 * * * *", default_status=dg.DefaultScheduleStatus.STOPPED)
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


rerun_everything = dg.ScheduleDefinition(
    name="rerun_everything",
    job=everything,
    cron_schedule="0 3 * * *",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every night at three: whatever is missing or out of date, over all checkpoints of all sources.",
)
