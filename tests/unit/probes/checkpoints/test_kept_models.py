"""Kept models: read once, given out only as they were read, two at most and of one checkpoint."""

import pytest
import torch

from probes.checkpoints.kept import kept_model, release_models
from probes.interventions.nulls import Noise, all_weights_noised
from tests.support.models.scoring_models import random_model


@pytest.fixture(autouse=True)
def _nothing_kept():
    release_models()
    yield
    release_models()


class Disk:
    """A place that models are read from, with a count of how often."""

    def __init__(self) -> None:
        self.reads: list[str] = []

    def load(self, dtype: str = "float32", beginning_id: int | None = None):
        self.reads.append(dtype)
        return random_model("llama").to(getattr(torch, dtype)).requires_grad_(False)


def in_float32(disk: Disk, content: str = "a", **settings):
    return kept_model(content, {"dtype": "float32"}, disk.load, **settings)


def test_the_same_weights_are_read_once():
    disk = Disk()
    assert in_float32(disk) is in_float32(disk)
    assert disk.reads == ["float32"]


def test_each_precision_is_a_model_of_its_own_and_two_are_kept():
    disk = Disk()
    for _ in range(2):
        for dtype in ("float32", "bfloat16"):
            assert kept_model("a", {"dtype": dtype}, disk.load).dtype == getattr(torch, dtype)
    assert disk.reads == ["float32", "bfloat16"]
    kept_model("a", {"dtype": "float16"}, disk.load)
    in_float32(disk)  # the one asked for longest ago had to make room
    assert disk.reads == ["float32", "bfloat16", "float16", "float32"]


def test_other_content_or_another_beginning_is_read_anew():
    disk = Disk()
    first = in_float32(disk)
    assert in_float32(disk, "b") is not first
    assert in_float32(disk, "a") is not first  # two checkpoints are never kept together
    assert kept_model("a", {"dtype": "float32", "beginning_id": 3}, disk.load) is not in_float32(disk, "a")


CHANGES = {
    "a weight": lambda model: model.get_input_embeddings().weight.data[3].add_(1e-6),
    "a mode": lambda model: model.model.layers[0].train(),
    "a gradient asked for": lambda model: model.lm_head.weight.requires_grad_(True),
    "a hook": lambda model: model.model.layers[1].register_forward_hook(lambda *_: None),
    "the attention": lambda model: model.set_attn_implementation("sdpa"),
    "the configuration": lambda model: setattr(model.config, "rms_norm_eps", 1e-3),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_model_is_not_given_out_again(name):
    disk = Disk()
    borrowed = in_float32(disk)
    with torch.no_grad():
        CHANGES[name](borrowed)
    again = in_float32(disk)
    assert again is not borrowed
    assert disk.reads == ["float32"] * 2
    assert torch.equal(again.lm_head.weight, random_model("llama").lm_head.weight)


def test_a_change_that_was_taken_back_costs_nothing():
    disk = Disk()
    borrowed = in_float32(disk)
    with all_weights_noised(borrowed, Noise(0.5, 1)):
        assert not torch.equal(borrowed.lm_head.weight, random_model("llama").lm_head.weight)
    assert in_float32(disk) is borrowed


def test_who_changes_a_model_has_it_alone():
    disk = Disk()
    kept = in_float32(disk)
    mine = in_float32(disk, is_lent=False)
    assert mine is kept  # no second copy in memory
    assert disk.reads == ["float32"]
    assert in_float32(disk) is not mine
    assert in_float32(disk, "b", is_lent=False) is not in_float32(disk, "b")
