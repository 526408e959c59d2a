"""The training loop computes the gradient of ordinary cross-entropy, and its weights do not depend on chance."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from corpus_stats.paragraphs.packing import bare_row_order
from probes import training
from probes.bfloat16 import bfloat16_products
from probes.training import TrainingPlan, build_model

PLAN = TrainingPlan(
    vocabulary_size=300,
    context_length=64,
    hidden_size=32,
    layer_count=2,
    head_count=2,
    batch_size=6,
    learning_rate=1e-2,
    warmup_share=0.1,
    checkpoint_count=2,
    threads=2,
    seed=1,
)
SEQUENCES = np.random.default_rng(1).integers(0, PLAN.vocabulary_size, (20, 40)).astype(np.uint16)


class Silent:
    """Stands for a tokenizer, which training only saves."""

    def save_pretrained(self, folder: Path) -> None:
        assert folder.is_dir()


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("logit_rows", [7, 128])
@pytest.mark.parametrize("architecture", ["gpt-neo", "gpt-neox"])
def test_shares_add_up_to_the_gradient_of_cross_entropy(
    threads: int, logit_rows: int, architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(training, "LOGIT_ROWS", logit_rows)
    plan, still = (
        replace(PLAN, threads=threads, learning_rate=0.0, architecture=architecture),
        np.arange(len(SEQUENCES)),
    )
    ours, plain = build_model(plan), build_model(plan)
    batch = torch.from_numpy(SEQUENCES[: plan.batch_size].astype(np.int64))
    expected = plain(batch, labels=batch).loss
    expected.backward()
    torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
    optimizer = torch.optim.AdamW(ours.parameters(), lr=0.0, weight_decay=0.0)
    with training.reproducible(), ThreadPoolExecutor(threads) as pool:
        loss = training.take_step(plan, ours, optimizer, SEQUENCES, still, 0, pool)
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    for (name, parameter), other in zip(ours.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, other.grad, rtol=1e-4, atol=1e-6, msg=name)


def test_an_impossible_answer_gives_a_finite_loss() -> None:
    import torch

    hidden, head = torch.full((1, 2), 200.0), torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    loss, by_hidden, by_head = training.output_gradients(hidden, head, torch.tensor([1]))
    assert 80 < loss < 800
    assert torch.equal(by_hidden, torch.tensor([[2.0, 2.0]]))
    assert torch.equal(by_head, torch.tensor([[200.0, 200.0], [-200.0, -200.0]]))


@pytest.mark.parametrize("architecture", ["gpt-neo", "gpt-neox"])
def test_bfloat16_products_change_the_gradient_by_rounding_only(architecture: str) -> None:
    import torch

    plan = replace(PLAN, architecture=architecture)
    batch = torch.from_numpy(SEQUENCES[: plan.batch_size].astype(np.int64))
    ours, plain = build_model(plan), build_model(plan)
    plain(batch, labels=batch).loss.backward()
    with bfloat16_products(ours):
        loss, gradients = training.share_of_step(ours, batch[:, 1:].numel(), True, batch)
    assert loss == pytest.approx(plain(batch, labels=batch).loss.item(), rel=1e-3)
    flat, expected = (
        torch.cat([one.ravel() for one in many]) for many in (gradients, [p.grad for p in plain.parameters()])
    )
    assert not flat.equal(expected)
    assert (flat - expected).norm() < 0.02 * expected.norm()
    torch.testing.assert_close(ours(batch).logits, build_model(plan)(batch).logits)  # the model is left as it was


@pytest.mark.parametrize("short", [False, True])
def test_a_killed_run_ends_with_the_same_bits(short: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import load_file

    monkeypatch.setattr(training, "is_native", lambda: True)
    plan = replace(PLAN, checkpoint_count=3, bfloat16_products=short)
    order = bare_row_order(np.full(len(SEQUENCES), 2), 0, seed=1)

    def _run(folder: Path, stop_at: int = 0) -> list[float]:
        def _watch(step: int, _: float) -> None:
            if step == stop_at:
                raise KeyboardInterrupt

        where = folder / "work"
        log = training.train(plan, SEQUENCES, order, lambda step: folder / str(step), Silent(), where, _watch)  # type: ignore[arg-type]
        return log["loss_nats"].to_list()

    whole = _run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path / "killed", stop_at=5)
    assert _run(tmp_path / "killed") == whole
    last = str(plan.step_count(len(order)))
    first, second = (load_file(tmp_path / name / last / "model.safetensors") for name in ("whole", "killed"))
    assert all(first[name].equal(second[name]) for name in first)
