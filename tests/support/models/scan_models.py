"""A model that recites one stretch of a document wherever it stands, and knows nothing of the rest of it."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from probes.scan import ScanModels, ScanPlan
from tests.support.models.scoring_models import VOCABULARY, random_model

FIRST, STOP, TOKENS = 100, 148, 260
PLAN = ScanPlan(prefix_length=8, continuation_length=8, row_starts=20, least_match=5)


@dataclass(frozen=True)
class PlantedText:
    """Token ids of the document, [token]; FIRST … STOP - 1 is what the model was trained on."""

    model: PreTrainedModel
    ids: np.ndarray

    @property
    def models(self) -> ScanModels:
        return ScanModels(self.model, lambda: self.model)


@functools.cache
def planted_text(architecture: str = "llama", steps: int = 350) -> PlantedText:
    """A model that was shown the stretch at random places, after other tokens."""
    ids = torch.randint(VOCABULARY, (TOKENS,), generator=torch.Generator().manual_seed(7))
    model = random_model(architecture, seed=3)
    learn(model, ids[FIRST:STOP], VOCABULARY, steps)
    return PlantedText(model, ids.numpy())


def learn(model: PreTrainedModel, stretch: torch.Tensor, vocabulary: int, steps: int, length: int = 60) -> None:
    """Train on rows of random tokens in which the stretch, or what fits of it, begins at a random place."""
    generator = torch.Generator().manual_seed(8)
    model.train().requires_grad_(True)
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    for _ in range(steps):
        rows = torch.randint(vocabulary, (8, length), generator=generator)
        offsets = torch.randint(12 - len(stretch), length - 12, (8,), generator=generator).tolist()
        for row, offset in zip(rows, offsets, strict=True):
            piece = stretch[max(0, -offset) :]
            room = row[max(0, offset) : max(0, offset) + len(piece)]
            room.copy_(piece[: len(room)])
        model(input_ids=rows, labels=rows).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval().requires_grad_(False)
