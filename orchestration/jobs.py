"""Jobs: the corpus, the training run, everything about one checkpoint, and the cheap SQL tail."""

import os
import subprocess
import sys

import dagster as dg

from assets.framework.dagster_assets import CHECKPOINTS, Workspace

_TRAINING = dg.AssetSelection.groups("training")
_MODEL = dg.AssetSelection.groups("checkpoints", "memorization", "localization", "analysis")

CORPUS_JOB = dg.define_asset_job(
    "corpus", dg.AssetSelection.groups("corpus"), description="Text, tokens, paragraphs, rarity."
)
TRAINING_JOB = dg.define_asset_job("training", _TRAINING, description="The quickstart's training run.")
CHECKPOINT_JOB = dg.define_asset_job(
    "checkpoint", _MODEL, partitions_def=CHECKPOINTS, description="Every measurement of one checkpoint."
)
TAIL_JOB = dg.define_asset_job(
    "tail", dg.AssetSelection.groups("marts", "report"), description="Marts, figures, report: cheap, rerun at will."
)


@dg.op(description="`rarecall run` in a process of its own; its steps appear as runs of their own.")
def everything_missing(context: dg.OpExecutionContext, workspace: Workspace) -> None:
    """Do what is missing for the profile, over all checkpoints of all sources.

    Raises:
        Failure: the run ended with another exit code than 0; the log holds what it said.
    """
    profile = ["--profile", workspace.profile] if workspace.profile else []
    command = [sys.executable, "-m", "orchestration.cli", "run", *profile]
    environment = os.environ | {"RARECALL_HOME": str(workspace.open_home().root), "NO_COLOR": "1"}
    process = subprocess.Popen(  # noqa: S603  our own command
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip():
            context.log.info(line.rstrip())
    if code := process.wait():
        raise dg.Failure(f"`rarecall run` ended with exit code {code}; its last lines are in the log.")


@dg.job(description="Everything that is missing, as `rarecall run` does it; for schedules.")
def everything() -> None:
    """One step, so that a schedule needs to know nothing of partitions."""
    everything_missing()
