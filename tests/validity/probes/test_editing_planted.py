"""Editing finds what was planted: noise on the head that recital runs through, and on no other, ends it."""

from __future__ import annotations

import numpy as np

from probes.architectures import HeadRef
from probes.editing.noise import noise_ladder
from tests.support.models.localize_planted import planted_recall


def test_recital_that_runs_through_one_head_breaks_by_noise_on_that_head():
    planted = planted_recall(HeadRef(1, 2))
    model, clusters = planted.model.requires_grad_(False), np.arange(len(planted.paragraphs))
    groups = {"MP": (planted.paragraphs, clusters)}
    frame = noise_ladder(model, groups, strengths=(2.0,), prefix_length=8).filter(strength=2.0, region="head")
    worst = frame.sort("exact_match_mean", "nll_nats_mean", descending=[False, True]).row(0, named=True)
    assert (worst["layer"], worst["head"]) == (1, 2)
