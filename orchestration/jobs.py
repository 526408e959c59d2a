"""Jobs: the corpus, the training run, everything about one checkpoint, and the cheap SQL tail."""

import dagster as dg

from assets.framework.dagster_assets import CHECKPOINTS

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


EVERYTHING_JOB = dg.define_asset_job(
    "everything",
    dg.AssetSelection.groups("corpus", "checkpoints", "memorization", "localization", "analysis", "marts", "report")
    | _TRAINING,
    description="Every asset; the nightly schedule asks for the parts that are out of date.",
)
