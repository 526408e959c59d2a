"""Why transformers must be 5.4 or newer: below it sdpa ignores how GPT-2 configurations scale attention."""

from __future__ import annotations

import tomllib

import torch
from packaging.requirements import Requirement
from transformers import GPT2Config, GPT2LMHeadModel

from tests.support import REPOSITORY


def test_attention_is_scaled_by_layer_under_sdpa_as_in_plain_attention():
    """Logits of transformers 5.3 differ by 0.39 here, of 5.4 by 2e-6."""
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=50, n_embd=32, n_layer=4, n_head=4, scale_attn_by_inverse_layer_idx=True)
    model, logits = GPT2LMHeadModel(config).eval(), []
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
        for attention in ("eager", "sdpa"):
            model.set_attn_implementation(attention)
            logits.append(model(torch.arange(40)[None]).logits)
    assert torch.allclose(*logits, atol=1e-4)


def test_older_versions_are_refused_at_installation():
    named = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    (allowed,) = (r.specifier for r in map(Requirement, named) if r.name == "transformers")
    assert "5.3.9" not in allowed and "5.4.0" in allowed
