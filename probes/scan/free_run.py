"""Free runs: how far a model goes on by itself once it has been shown the prefix of a passage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from probes.forward.fused import fused
from probes.forward.unembedding import greedy_ids, hidden_states
from probes.scan.plan import ScanPlan
from probes.scoring.teacher_forced import leading_match

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BEYOND = 64  # tokens behind the passage that are tried as well
TILE = 1024


def free_runs(
    model: PreTrainedModel, ids: np.ndarray, firsts: np.ndarray, counts: np.ndarray, plan: ScanPlan
) -> list[int]:
    """Tokens that greedy decoding gets right in one go from each passage's first token on, [passage].

    One forward pass per passage, by the teacher-forcing identity; cut where the model's context ends.

    Args:
        model: causal language model in eval mode.
        ids: token ids of the document, [token].
        firsts: first token of each passage, [passage].
        counts: tokens of each passage, [passage].
        plan: length of the prefix.
    """
    import torch

    context = getattr(model.config, "max_position_embeddings", None) or len(ids)
    found = []
    with torch.inference_mode(), fused(model):
        for first, count in zip(firsts.tolist(), counts.tolist(), strict=True):
            begin = first - plan.prefix_length
            stop = min(first + count + BEYOND, begin + context + 1, len(ids))
            row = torch.from_numpy(np.asarray(ids[begin:stop]).astype(np.int64))[None].to(model.device)
            hidden = hidden_states(model, row[:, :-1])[0, plan.prefix_length - 1 :]
            predicted, _ = greedy_ids(model, hidden, TILE)
            found.append(int(leading_match(predicted[None], row[:, plan.prefix_length :])))
    return found
