"""THE list of stages, in the order of the flow: definitions, jobs and the command line derive from it."""

from __future__ import annotations

from assets.analysis.head_rarity import head_rarity
from assets.analysis.triggers import trigger_analysis
from assets.checkpoints.stages import checkpoints, edited_checkpoints
from assets.corpus.exposures import exposures
from assets.corpus.paragraphs import paragraphs
from assets.corpus.screening import paragraph_weights, screened_windows, screening_windows
from assets.corpus.text import corpora, tokenizers
from assets.corpus.unigrams import subset_unigrams, unigram_counts, unigrams, words
from assets.editing.stages import edit_summaries, edits
from assets.framework.stage import Scope, Stage
from assets.localization.attention import continuation_attention, head_attention
from assets.localization.gradients import activation_gradients, gradient_cosines, parameter_gradients
from assets.localization.harness import harness_utility
from assets.localization.interventions import interventions
from assets.localization.patching import patching
from assets.localization.perturbations import perturbations
from assets.localization.score_card import localization_score_card
from assets.memorization.offsets import recall_by_offset
from assets.memorization.released import released_agreement
from assets.memorization.stages import extractability, generations, scores
from assets.memorization.traces import traces
from assets.scan.stages import scan_positions, scans
from assets.training import training_steps

STAGES: tuple[Stage, ...] = (
    *(tokenizers, corpora, unigram_counts, unigrams, subset_unigrams, words),
    *(screening_windows, screened_windows, paragraph_weights, paragraphs, exposures),
    training_steps,
    *(checkpoints, edited_checkpoints, scores, generations, traces),
    *(perturbations, head_attention, continuation_attention),
    *(extractability, recall_by_offset, released_agreement, scan_positions, scans),
    *(parameter_gradients, gradient_cosines, activation_gradients, patching, interventions, head_rarity),
    *(edits, edit_summaries, localization_score_card, harness_utility, trigger_analysis),
)
CORPUS_STAGES = tuple(stage for stage in STAGES if stage.group == "corpus")
CHECKPOINT_STAGES = tuple(stage for stage in STAGES if stage.is_per_checkpoint)


def is_measured(scope: Scope) -> bool:
    """Whether every table of the scope's checkpoint is current."""
    return all(stage.is_current(scope) for stage in CHECKPOINT_STAGES)
