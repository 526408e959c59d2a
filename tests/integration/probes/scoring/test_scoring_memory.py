"""Scoring never holds logits of more than a tile, whatever the batch and the vocabulary."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import GPTNeoConfig, GPTNeoForCausalLM

from probes.forward.logits import VOCABULARY_TILES
from probes.scoring.screening import screen_paragraphs
from probes.scoring.teacher_forced import score_paragraphs


class LargestTensor(TorchDispatchMode):
    """Records the largest number of elements any operation gives back; a part of a larger storage is no new one."""

    largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, torch.Tensor) and function is not torch.ops.aten.t.default and _is_new(tensor):
                self.largest = max(self.largest, tensor.numel())
        return result


def _is_new(tensor: torch.Tensor) -> bool:
    return tensor._base is None and tensor.untyped_storage().nbytes() <= tensor.nbytes


@pytest.mark.parametrize("measure", [score_paragraphs, screen_paragraphs])
@pytest.mark.parametrize("vocabulary", [3000, 20_000])
def test_the_largest_tensor_is_a_tile(measure, vocabulary):
    kinds = [[["global"], 1]]
    config = GPTNeoConfig(
        hidden_size=16, num_layers=1, num_heads=2, attention_types=kinds, intermediate_size=32, vocab_size=vocabulary
    )
    model = GPTNeoForCausalLM(config).eval().requires_grad_(False)
    ids = torch.randint(0, vocabulary, (64, 100))
    watch = LargestTensor()
    with watch:
        measure(model, ids, 50, batch_size=64, tile=256)
    activations, one_paragraph = 64 * 99 * 32, 99 * vocabulary  # the model's own logits, which the head is checked by
    assert watch.largest <= max(256 * VOCABULARY_TILES["cpu"], activations, one_paragraph)
