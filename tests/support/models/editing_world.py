"""A tiny model that recites, with paragraphs it met and others it never met, for tests of editing."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from transformers import PreTrainedModel

from probes.editing.optimizer import AdamSettings
from probes.editing.runs_of_target import Program
from probes.editing.score_card import Passages, Ruler, Subject
from probes.scoring.generation import greedy_continuations
from tests.support.models.scoring_models import reciting_model

PREFIX, LENGTH = 12, 24


@functools.cache
def world(architecture: str = "gpt_neo") -> tuple[PreTrainedModel, Tensor, Tensor]:
    """The model, four recited paragraphs, and eight others that end in the model's own words, [paragraph, position]."""
    model, paragraphs = reciting_model(architecture)
    others = paragraphs[8:]
    own = torch.from_numpy(greedy_continuations(model, others[:, :PREFIX].numpy(), LENGTH - PREFIX))
    return model, paragraphs[:4], torch.cat([others[:, :PREFIX], own], dim=1)


def named(rows: Tensor, name: str) -> Passages:
    return Passages(tuple(f"{name} {index}" for index in range(len(rows))), rows)


def subject(architecture: str = "gpt_neo", target: int = 0) -> tuple[Subject, Tensor]:
    """One target with a replacement, other memorized paragraphs and controls; and the controls the KL reads."""
    _, recited, others = world(architecture)
    replacement = torch.cat([recited[target : target + 1, :PREFIX], others[7:, PREFIX:]], dim=1)
    rest = torch.cat([recited[:target], recited[target + 1 :]])
    sets = {"other_memorized": named(rest, "other"), "controls": named(others[3:6], "control")}
    return Subject("target 0", "single", named(recited[target : target + 1], "target"), replacement, sets), others[:3]


def program(**changes: object) -> Program:
    """Few steps, large enough to do something to so small a model."""
    settings = {
        "selections": ("all", "top:0.05", "random:0.05"),
        "adam": AdamSettings(2e-2),
        "step_count": 4,
        "watched_steps": (1,),
        "relearning_limit": 3,
        "ruler": Ruler(PREFIX, shorter_by=3, longer_by=4, perturbed_prefixes=2),
    }
    return Program(**(settings | changes))  # type: ignore[arg-type]


def snapshot(model: PreTrainedModel) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(model: PreTrainedModel, before: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
