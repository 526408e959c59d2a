"""The order of the flow, and what of it is still to be done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from assets.checkpoints import CHECKPOINT, source_of
from assets.continuation_attention import CONTINUATION_ATTENTION
from assets.corpora import CORPORA, TOKENIZERS
from assets.edits import EDIT_SUMMARIES, EDITED, EDITS
from assets.gradients import ACTIVATION_GRADIENTS, GRADIENT_COSINES, PARAMETER_GRADIENTS
from assets.harness import HARNESS_UTILITY
from assets.head_attention import HEAD_ATTENTION, HEAD_RARITY
from assets.interventions import INTERVENTIONS
from assets.paragraphs import PARAGRAPHS
from assets.patching import PATCHING
from assets.perturbations import PERTURBATIONS
from assets.report import is_written
from assets.score_card import SCORE_CARD
from assets.scores import EXTRACTABILITY, GENERATIONS, SCORES
from assets.stage import Scope
from assets.training import TRAINING
from assets.trigger_analysis import TRIGGER_ANALYSIS
from assets.unigrams import SUBSET_UNIGRAMS, UNIGRAM_COUNTS, UNIGRAMS, WORDS
from warehouse.catalog import is_published
from warehouse.registrations import registered

CORPUS_STAGES = (TOKENIZERS, CORPORA, UNIGRAM_COUNTS, UNIGRAMS, SUBSET_UNIGRAMS, WORDS, PARAGRAPHS)
CHECKPOINT_STAGES = (
    *(CHECKPOINT, EDITED, SCORES, GENERATIONS, PERTURBATIONS, HEAD_ATTENTION, CONTINUATION_ATTENTION),
    EXTRACTABILITY,
    *(PARAMETER_GRADIENTS, GRADIENT_COSINES, ACTIVATION_GRADIENTS, PATCHING, INTERVENTIONS, HEAD_RARITY),
    *(EDITS, EDIT_SUMMARIES, SCORE_CARD, HARNESS_UTILITY, TRIGGER_ANALYSIS),
)


@dataclass(frozen=True)
class Step:
    """One job to run, for one checkpoint where it is partitioned."""

    job: str
    checkpoint_id: str | None = None


def corpus_steps(scope: Scope) -> list[Step]:
    """What is to be done before a checkpoint can be measured."""
    if not all(stage.is_current(scope) for stage in CORPUS_STAGES):
        return [Step("corpus"), Step("training")] if scope.profile.training else [Step("corpus")]
    return [Step("training")] if scope.profile.training and not TRAINING.is_current(scope) else []


def checkpoint_steps(scope: Scope, only: str | None = None) -> list[Step]:
    """Checkpoints registered for the profile's corpus that are not fully measured and whose files are there."""
    names = [only] if only else [n for n in checkpoints_of(scope) if not is_gone(Scope(scope.home, scope.profile, n))]
    return [Step("checkpoint", n) for n in names if not is_measured(Scope(scope.home, scope.profile, n))]


def tail_steps(scope: Scope) -> list[Step]:
    """The SQL tail, unless it shows the record as it is."""
    profile = scope.profile
    is_shown = is_published(scope.home) and is_written(scope.home, profile.corpus_id, profile.report)
    return [] if is_shown else [Step("tail")]


def is_measured(scope: Scope) -> bool:
    """Whether every table of the scope's checkpoint is current."""
    return all(stage.is_current(scope) for stage in CHECKPOINT_STAGES)


def is_gone(scope: Scope) -> bool:
    """Whether the folder of a checkpoint that was measured before is no longer there; its results are kept."""
    folder = Path(str(source_of(scope)["source"]))
    return folder.is_absolute() and not folder.is_dir() and scope.content(CHECKPOINT.name) is not None


def checkpoints_of(scope: Scope) -> list[str]:
    """Checkpoints registered for the profile's corpus."""
    known = registered(scope.home, "checkpoints").items()
    return [name for name, facts in known if facts.get("corpus_id") == scope.profile.corpus_id]
