"""The code location: every asset, job, sensor and schedule, listed."""

import dagster as dg

from assets.figures.asset import figures
from assets.framework.cores import divide_cores, parallel_steps
from assets.framework.dagster_assets import Workspace, definition_of, released_paragraphs
from assets.marts import marts
from assets.report.asset import report
from assets.stages import STAGES
from orchestration.jobs import CHECKPOINT_JOB, CORPUS_JOB, EVERYTHING_JOB, TAIL_JOB, TRAINING_JOB
from orchestration.schedules import refresh_tail, rerun_everything
from orchestration.sensors import new_checkpoints, refresh_tail_on_change

ASSETS: list[dg.AssetsDefinition | dg.AssetSpec] = [
    released_paragraphs,
    *(definition_of(stage) for stage in STAGES),
    *(marts, figures, report),
]


def chosen_executor() -> dg.ExecutorDefinition:
    """One process, or as many as the environment says; forked from one that has imported everything."""
    count = parallel_steps()
    divide_cores(count)
    if count == 1:
        return dg.in_process_executor
    preloaded = {"preload_modules": ["torch", "transformers", "orchestration.definitions"]}
    return dg.multiprocess_executor.configured({"max_concurrent": count, "start_method": {"forkserver": preloaded}})


def build_definitions(home: str = "", profile: str = "") -> dg.Definitions:
    """The code location for a home and a profile; empty means what the environment says.

    Steps run in one process by default: a step in a process of its own costs seconds of imports.
    `$RARECALL_PARALLEL_STEPS` sets how many may run at once, each in its own process with its share of the cores.
    """
    return dg.Definitions(
        assets=ASSETS,
        resources={"workspace": Workspace(home=home, profile=profile)},
        jobs=[CORPUS_JOB, TRAINING_JOB, CHECKPOINT_JOB, TAIL_JOB, EVERYTHING_JOB],
        sensors=[new_checkpoints, refresh_tail_on_change],
        schedules=[refresh_tail, rerun_everything],
        executor=chosen_executor(),
    )


defs = build_definitions()
