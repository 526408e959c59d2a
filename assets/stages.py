"""THE list of stages, in the order of the flow: definitions, jobs and the command line derive from it."""

from __future__ import annotations

from assets.analysis.head_rarity import HEAD_RARITY
from assets.analysis.triggers import TRIGGER_ANALYSIS
from assets.checkpoints import CHECKPOINT, EDITED
from assets.corpus.paragraphs import PARAGRAPHS
from assets.corpus.text import CORPORA, TOKENIZERS
from assets.corpus.unigrams import SUBSET_UNIGRAMS, UNIGRAM_COUNTS, UNIGRAMS, WORDS
from assets.editing.stages import EDIT_SUMMARIES, EDITS
from assets.framework.stage import Scope
from assets.localization.attention import CONTINUATION_ATTENTION, HEAD_ATTENTION
from assets.localization.gradients import ACTIVATION_GRADIENTS, GRADIENT_COSINES, PARAMETER_GRADIENTS
from assets.localization.harness import HARNESS_UTILITY
from assets.localization.interventions import INTERVENTIONS
from assets.localization.patching import PATCHING
from assets.localization.perturbations import PERTURBATIONS
from assets.localization.score_card import SCORE_CARD
from assets.memorization import EXTRACTABILITY, GENERATIONS, SCORES

CORPUS_STAGES = (TOKENIZERS, CORPORA, UNIGRAM_COUNTS, UNIGRAMS, SUBSET_UNIGRAMS, WORDS, PARAGRAPHS)


CHECKPOINT_STAGES = (
    *(CHECKPOINT, EDITED, SCORES, GENERATIONS, PERTURBATIONS, HEAD_ATTENTION, CONTINUATION_ATTENTION),
    EXTRACTABILITY,
    *(PARAMETER_GRADIENTS, GRADIENT_COSINES, ACTIVATION_GRADIENTS, PATCHING, INTERVENTIONS, HEAD_RARITY),
    *(EDITS, EDIT_SUMMARIES, SCORE_CARD, HARNESS_UTILITY, TRIGGER_ANALYSIS),
)


def is_measured(scope: Scope) -> bool:
    """Whether every table of the scope's checkpoint is current."""
    return all(stage.is_current(scope) for stage in CHECKPOINT_STAGES)
