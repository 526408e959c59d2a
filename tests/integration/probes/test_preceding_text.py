"""Recital after other text is what transformers' own greedy decoding gives after the same tokens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from probes.scoring.preceding_text import recall_after, unrelated_text
from probes.training import TrainingPlan, build_model

PREFIX, LENGTH = 6, 14
PLAN = TrainingPlan(
    vocabulary_size=12, context_length=64, hidden_size=16, layer_count=2, head_count=2, batch_size=4,
    learning_rate=1e-2, warmup_share=0.1, checkpoint_count=2, threads=1, seed=3,
)  # fmt: skip


@pytest.mark.parametrize("architecture", ["gpt-neo", "gpt-neox"])
def test_exact_match_is_that_of_generate(architecture: str) -> None:
    import torch

    model = build_model(replace(PLAN, architecture=architecture)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4.0)  # so that some tokens are guessed and others are not
    generator = np.random.default_rng(1)
    before, prefix = generator.integers(0, 12, (8, 5)), generator.integers(0, 12, (8, PREFIX))

    def _written(context: int) -> np.ndarray:
        shown = torch.from_numpy(np.concatenate([before, prefix[:, PREFIX - context :]], axis=1))
        settings = {"max_new_tokens": LENGTH - PREFIX, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
        written = model.generate(shown, attention_mask=torch.ones_like(shown), **settings)
        return written[:, shown.shape[1] :].numpy()

    truth = _written(PREFIX)
    truth[::2, 4] = (truth[::2, 4] + 1) % 12  # half of them miss at the fifth token
    ids = np.concatenate([prefix, truth], axis=1)
    found = recall_after(model, lambda: model, ids, before, PREFIX, [3, PREFIX], 0.0)
    for context in (3, PREFIX):
        matches = (_written(context) == truth).cumprod(axis=1).sum(axis=1)
        rows = found.filter(context_length=context).sort("row")
        assert rows["exact_match"].to_list() == matches.tolist()
        assert rows["is_recited"].to_list() == (matches == LENGTH - PREFIX).tolist()
    assert found.filter(context_length=PREFIX)["is_recited"].sum() == 4
    assert found["preceding_length"].unique().to_list() == [5]


def test_unrelated_text_never_comes_from_the_own_cluster() -> None:
    texts, groups = np.repeat(np.arange(4), 3)[:, None] * 100 + np.arange(10), np.repeat(np.arange(4), 3)
    out = unrelated_text(texts, groups, groups, 25, seed=1)
    assert out.shape == (12, 25)
    assert not (out // 100 == groups[:, None]).any()
    assert (out[:, -1] % 100 == 9).all(), "the end of a text stands directly before the paragraph"
    assert np.array_equal(out, unrelated_text(texts, groups, groups, 25, seed=1))
