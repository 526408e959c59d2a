"""Worlds whose truth we know: recital is found where it was trained and nowhere else, and not in a null world."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from probes.scoring.screening import extractable_at
from probes.scoring.teacher_forced import score_paragraphs
from tests.support.models.scoring_models import ARCHITECTURES, random_model, reciting_model

MEMBERSHIP = ("continuation_nll_nats", "min_k20_nats", "min_k_plus_plus", "continuation_logprob_nats")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_only_trained_paragraphs_are_recited_and_the_often_shown_ones_first(architecture):
    model, paragraphs = reciting_model(architecture)  # 4 shown always, 4 every fourth step, 8 never
    scores = score_paragraphs(model, paragraphs, 12).paragraphs
    match = scores["exact_match"].to_numpy()
    assert scores["is_memorized"][:4].all()
    assert not scores["is_memorized"][8:].any()
    assert match[:4].mean() >= match[4:8].mean() > match[8:].mean()
    assert match[8:].max() <= 3


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_of_membership_part_trained_from_never_shown_paragraphs(architecture):
    model, paragraphs = reciting_model(architecture)
    scores = score_paragraphs(model, paragraphs, 12).paragraphs
    for name in MEMBERSHIP:
        values = scores[name].to_numpy() * (-1 if name == "continuation_nll_nats" else 1)
        assert values[:8].min() > values[8:].max(), name


def test_an_untrained_model_does_not_part_them():
    """Null world: over 20 random models the p values of a rank test are no smaller than chance has them."""
    paragraphs = reciting_model("gpt_neo")[1]
    p_values = []
    for seed in range(20):
        scores = score_paragraphs(random_model("gpt_neo", seed + 100), paragraphs, 12).paragraphs
        assert not scores["is_memorized"].any()
        p_values.append(mannwhitneyu(scores["min_k20_nats"][:8], scores["min_k20_nats"][8:]).pvalue)
    assert np.mean(np.array(p_values) < 0.05) <= 0.25
    assert np.median(p_values) > 0.2


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_more_context_extracts_no_fewer_trained_paragraphs_in_the_large(architecture):
    model, paragraphs = reciting_model(architecture)
    found = extractable_at(model, paragraphs, 12, context_lengths=(1, 12)).group_by(
        "context_length", maintain_order=True
    )
    shares = [share["is_extractable"].mean() for _, share in found]
    assert shares[1] >= shares[0]
    assert shares[1] >= 4 / 16
