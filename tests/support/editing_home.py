"""A home with a tiny model that recites a few paragraphs, measured as far as editing needs it.

`python -m tests.support.editing_home HOME PROFILE CHECKPOINT` runs the editing stage, for a test that kills it.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from typing import Any

import dagster as dg

from assets.checkpoints.stages import checkpoints, edited_checkpoints
from assets.editing.stages import edit_summaries, edits
from assets.framework.profile import load_profile
from assets.framework.stage import Scope, Stage
from assets.localization.perturbations import perturbations
from assets.memorization.stages import generations, scores
from assets.training import trained_checkpoints
from warehouse.home import Home

PROFILE = """
name = "edits"
[corpus]
corpus_id = "python"
source = "{source}"
kind = "text-folder"
vocabulary_size = 512
shard_tokens = 20000
[training]
row_length = 0
background_count = 20
batch_size = 8
held_out = 6
checkpoint_count = 2
hidden_size = 32
layer_count = 2
head_count = 2
learning_rate = 1e-2
threads = 1
[training.rungs]
256 = 6
1 = 8
[probes]
paragraphs_per_group = 6
shard_size = 16
bootstrap_draws = 100
permutations = 100
[edits]
selections = ["all", "top:0.05", "random:0.05"]
targets = 3
controls = 2
evaluated = 2
steps = 3
learning_rate = 2e-2
watched_steps = [1]
perturbed_prefixes = 1
relearning_limit = 2
noise_strengths = [0.0, 0.5]
"""
MEASURED = (checkpoints, edited_checkpoints, scores, generations, perturbations)


def write_profile(folder: Path) -> Path:
    """A corpus of standard-library sources and the profile over it."""
    source = folder / "texts"
    source.mkdir()
    for name in ("argparse", "ast", "inspect", "tarfile", "turtle", "zipfile"):
        found = Path(sysconfig.get_path("stdlib")) / f"{name}.py"
        (source / f"{name}.txt").write_text(found.read_text(encoding="utf-8"))
    profile = folder / "edits.toml"
    profile.write_text(PROFILE.format(source=source))
    return profile


def execute(home: Home, profile: Path, job: str, checkpoint: str | None = None, stages: tuple[Stage, ...] = ()) -> Any:
    """Run a job of the code location, or the named stages of it, in this process."""
    from assets.framework.dagster_assets import CHECKPOINTS
    from orchestration.definitions import build_definitions
    from orchestration.run.instance import open_instance

    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    keys = [dg.AssetKey(name) for stage in stages for name in stage.tables] or None
    with open_instance(home) as instance:
        if checkpoint is not None:
            instance.add_dynamic_partitions(str(CHECKPOINTS.name), [checkpoint])
        found = build_definitions(str(home.root), str(profile)).resolve_job_def(job)
        found.execute_in_process(instance=instance, partition_key=checkpoint, run_config=quiet, asset_selection=keys)


def build(home: Home, profile: Path) -> Scope:
    """Corpus, training, and what editing reads, for the first and the last checkpoint; returns the last one's scope."""
    execute(home, profile, "corpus")
    execute(home, profile, "training")
    names = trained_checkpoints(Scope(home, load_profile(str(profile))))
    for name in (names[0], names[-1]):
        execute(home, profile, "checkpoint", name, MEASURED)
    return Scope(home, load_profile(str(profile)), names[-1])


def edit(home: Home, profile: Path, checkpoint: str) -> None:
    """The stages that edit and summarise."""
    execute(home, profile, "checkpoint", checkpoint, (edits, edit_summaries))


if __name__ == "__main__":
    edit(Home(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3])
