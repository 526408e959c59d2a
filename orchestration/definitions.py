"""The code location: every asset, job, sensor and schedule, listed."""

import dagster as dg

from assets.analysis.head_rarity import head_rarity
from assets.analysis.triggers import trigger_analysis
from assets.checkpoints import checkpoints, edited_checkpoints
from assets.corpus.paragraphs import paragraphs
from assets.corpus.text import corpora, tokenizers
from assets.corpus.unigrams import subset_unigrams, unigram_counts, unigrams, words
from assets.editing.stages import edit_summaries, edits
from assets.figures.asset import figures
from assets.framework.cores import divide_cores, parallel_steps
from assets.framework.dagster_assets import Workspace, definition_of, released_paragraphs
from assets.localization.attention import continuation_attention, head_attention
from assets.localization.gradients import activation_gradients, gradient_cosines, parameter_gradients
from assets.localization.harness import harness_utility
from assets.localization.interventions import interventions
from assets.localization.patching import patching
from assets.localization.perturbations import perturbations
from assets.localization.score_card import localization_score_card
from assets.marts import marts
from assets.memorization import extractability, generations, scores
from assets.report.asset import report
from assets.training import training_steps
from orchestration.jobs import CHECKPOINT_JOB, CORPUS_JOB, TAIL_JOB, TRAINING_JOB, everything
from orchestration.schedules import refresh_tail, rerun_everything
from orchestration.sensors import new_checkpoints, refresh_tail_on_change

STAGE_ASSETS = [
    *(tokenizers, corpora, unigram_counts, unigrams, subset_unigrams, words),
    *(paragraphs, training_steps),
    *(checkpoints, edited_checkpoints, scores, generations, perturbations, head_attention, continuation_attention),
    extractability,
    *(parameter_gradients, activation_gradients, interventions, head_rarity, trigger_analysis),
    *(edits, edit_summaries),
    *(gradient_cosines, patching, localization_score_card, harness_utility),
]
ASSETS: list[dg.AssetsDefinition | dg.AssetSpec] = [
    released_paragraphs,
    *(definition_of(declared) for declared in STAGE_ASSETS),
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
        jobs=[CORPUS_JOB, TRAINING_JOB, CHECKPOINT_JOB, TAIL_JOB, everything],
        sensors=[new_checkpoints, refresh_tail_on_change],
        schedules=[refresh_tail, rerun_everything],
        executor=chosen_executor(),
    )


defs = build_definitions()
