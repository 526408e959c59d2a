"""Run one step of the flow in this process through Dagster, so that it shows in the UI."""

from __future__ import annotations

import os
from collections.abc import Callable

from assets.framework.stage import Scope
from orchestration.run.flow import Step
from orchestration.run.instance import close_killed_runs, open_instance, process_tags
from probes.checkpoints.kept import release_models

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Executor:
    """Loads Dagster and the assets only when there is something to do."""

    def __init__(self, scope: Scope, profile: str, before_step: Callable[[], None] = lambda: None):
        self.scope, self.profile, self.before_step = scope, profile, before_step

    def run(self, step: Step) -> None:
        """Run the step's job in this process."""
        from assets.framework.dagster_assets import CHECKPOINTS
        from orchestration.definitions import build_definitions

        self.before_step()
        definitions = build_definitions(str(self.scope.home.root), self.profile)
        with open_instance(self.scope.home) as instance:
            close_killed_runs(instance)
            if step.checkpoint_id is not None:
                instance.add_dynamic_partitions(str(CHECKPOINTS.name), [step.checkpoint_id])
            job = definitions.resolve_job_def(step.job)
            config = {} if os.environ.get("RARECALL_DEBUG") else _QUIET
            try:
                job.execute_in_process(
                    instance=instance, partition_key=step.checkpoint_id, run_config=config, tags=process_tags()
                )
            finally:
                release_models()  # stages of a step share one, steps do not
