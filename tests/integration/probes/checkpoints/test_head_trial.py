"""The trial of an output head before any work says what scoring says, class by class, and needs no weights."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, MptConfig, MptForCausalLM

from probes.architectures.refused import REFUSED
from probes.checkpoints.head_trial import try_head
from probes.checkpoints.inspect import inspect_checkpoint
from probes.errors import ProbeError
from probes.forward import logits, unembedding
from tests.support.models.every_family import TYPES, tiny_config, tiny_model

CLASSES = [name for name in TYPES if name not in REFUSED]
RULED = ("granite", "cohere", "gemma3_text", "hyperclovax", "minicpm3", "recurrent_gemma")
"""Classes whose logits are scaled or capped."""


def verdict(question, *given) -> bool:
    try:
        question(*given)
    except ProbeError:
        return False
    return True


def scored(name: str) -> bool:
    return verdict(unembedding.refuse_unusual_head, tiny_model(name), torch.arange(2, 20)[None])


def tried(name: str) -> bool:
    return verdict(try_head, Path("checkpoint"), tiny_config(name))


@pytest.mark.parametrize("block", range(4))
def test_the_trial_is_made_for_every_class_and_agrees_with_scoring(block, monkeypatch):
    made = []
    monkeypatch.setattr(
        "probes.checkpoints.head_trial.refuse_unusual_head",
        lambda model, ids: (unembedding.refuse_unusual_head(model, ids), made.append(model.config.model_type)),
    )
    names = [name for name in CLASSES[block::4] if tiny_model(name) is not None]
    assert {name: tried(name) for name in names} == {name: scored(name) for name in names}
    assert made == [tiny_config(name).model_type for name in names], "a class was passed over"


@pytest.mark.parametrize("name", RULED)
def test_a_rule_that_is_not_known_is_refused_by_both(name, monkeypatch):
    monkeypatch.setattr(logits.HeadRule, "of", classmethod(lambda cls, model: cls()))
    assert not tried(name) and not scored(name)


@pytest.mark.parametrize(("scale", "is_measured"), [(None, True), (0.6, False), ("inv_sqrt_d_model", False)])
def test_mpt_with_a_scale_that_transformers_leaves_out(scale, is_measured, tmp_path):
    config = MptConfig(d_model=32, n_heads=4, n_layers=1, vocab_size=97, max_seq_len=64, logit_scale=scale)
    MptForCausalLM(config).save_pretrained(tmp_path)
    assert verdict(inspect_checkpoint, str(tmp_path)) is is_measured


def test_no_weight_is_read(tmp_path):
    config = AutoConfig.for_model("llama", vocab_size=128256, hidden_size=8192, intermediate_size=28672)
    try_head(tmp_path, config)  # 70 billion parameters in the class, none of them in memory


def test_rounding_of_the_kernels_is_not_held_against_the_head(monkeypatch):
    @contextmanager
    def rough(model):
        """Kernels that compute something slightly different, whoever asks."""
        hook = model.model.register_forward_hook(lambda _, __, output: (output[0].mul_(1.01), output)[1])
        yield
        hook.remove()

    monkeypatch.setattr(unembedding, "fused", rough)
    assert scored("llama")
