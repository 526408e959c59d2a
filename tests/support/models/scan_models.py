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
def planted_text(architecture: str = "llama", steps: int = 250) -> PlantedText:
    """Trained on rows in which the stretch begins at a random place, after other tokens."""
    generator = torch.Generator().manual_seed(7)
    ids = torch.randint(VOCABULARY, (TOKENS,), generator=generator)
    model = random_model(architecture, seed=3).train().requires_grad_(True)
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    for _ in range(steps):
        rows = torch.randint(VOCABULARY, (8, 60), generator=generator)
        for row, offset in zip(rows, torch.randint(-30, 45, (8,), generator=generator).tolist(), strict=True):
            piece = ids[FIRST + max(0, -offset) : STOP]
            room = row[max(0, offset) : max(0, offset) + len(piece)]
            room.copy_(piece[: len(room)])
        model(input_ids=rows, labels=rows).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return PlantedText(model.eval().requires_grad_(False), ids.numpy())
