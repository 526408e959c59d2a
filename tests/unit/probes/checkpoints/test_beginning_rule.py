"""The default beginning of sequence follows what a suite was trained with."""

from __future__ import annotations

import pytest

from probes.checkpoints.beginning import beginning_asked_for, beginning_of_suite
from probes.errors import ProbeError


@pytest.mark.parametrize(
    ("architecture", "added", "bos_id", "bos_token", "expected"),
    [
        ("gpt_neo", None, 50256, "<|endoftext|>", None),
        ("gpt_neox", None, 0, "<|endoftext|>", None),  # Pythia
        ("gpt2", None, 50256, "<|endoftext|>", None),
        ("olmo2", None, 100257, "<|endoftext|>", None),
        ("llama", None, 0, "<|endoftext|>", None),  # SmolLM2, Hubble: a Llama's class and GPT-2's kind of tokenizer
        ("llama", None, 1, "<|im_start|>", None),  # begins a turn of a chat, no text
        ("llama", 128000, 128000, "<|begin_of_text|>", 128000),
        ("llama", None, 2, "<|begin_of_text|>", 2),  # Comma
        ("llama", 1, 1, "<s>", 1),
        ("gemma3_text", 2, 2, "<bos>", 2),
        ("gemma", None, 2, "<bos>", 2),
        ("opt", 2, 2, "</s>", 2),
        ("qwen3", None, None, None, None),
    ],
)
def test_suites(architecture, added, bos_id, bos_token, expected):
    assert beginning_of_suite(architecture, added, bos_id, bos_token)[0] == expected


def test_a_profile_may_say_otherwise():
    assert beginning_asked_for("auto", 100, 7, (3, ""))[0] == 3
    assert beginning_asked_for("auto", 100, 7, (100, ""))[0] is None  # an added token without a row
    assert beginning_asked_for("never", 100, 7, (3, ""))[0] is None
    assert beginning_asked_for("always", 100, 7, (None, ""))[0] == 7
    assert beginning_asked_for("always", 100, 7, (3, ""))[0] == 3
    assert beginning_asked_for(9, 100, 7, (None, ""))[0] == 9
    with pytest.raises(ProbeError, match=r"none of the model's 0\.\.99"):
        beginning_asked_for(100, 100, 7, (None, ""))
    with pytest.raises(ProbeError, match="names no beginning"):
        beginning_asked_for("always", 100, None, (None, ""))
