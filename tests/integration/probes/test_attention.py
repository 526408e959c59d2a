"""Prefix attention against transformers' own output_attentions."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from probes.attention.weights import attention_array, prefix_attention
from probes.errors import ProbeError
from tests.support.models.triggers_models import FAMILIES, random_ids, small_model


def reference(model, ids: np.ndarray) -> np.ndarray:
    """[paragraph, layer, head, query, key] of the whole paragraph in one piece."""
    attentions = model(torch.from_numpy(ids), output_attentions=True).attentions
    return np.stack([layer.numpy() for layer in attentions], axis=1)


@pytest.mark.parametrize("family", FAMILIES)
def test_equals_output_attentions_of_the_whole_paragraph(family):
    model, ids = small_model(family), random_ids(5, 30)
    frame = prefix_attention(model, ids, prefix_length=20, batch_size=2)
    expected = reference(model, ids)[:, :, :, 20]  # also shows that tokens after the query do not matter
    assert np.allclose(attention_array(frame), expected[..., :20], atol=1e-6)
    assert np.allclose(frame["self_share"].to_numpy().reshape(5, 2, 4), expected[..., 20], atol=1e-6)
    assert frame.select("row", "layer", "head").rows() == list(np.ndindex(5, 2, 4))
    assert attention_array(frame).std() > 0.01  # the test would see nothing in even attention


def test_every_continuation_query():
    model, ids = small_model("gpt_neo"), random_ids(3, 30)
    frame = prefix_attention(model, ids, prefix_length=20, queries=[22, 29])
    expected = reference(model, ids)
    for query in (22, 29):
        part = frame.filter(pl.col("query_position") == query)
        assert np.allclose(attention_array(part), expected[:, :, :, query, :20], atol=1e-6)
        assert np.allclose(part["self_share"].to_numpy().reshape(3, 2, 4), expected[..., query, query], atol=1e-6)


def test_a_model_without_visible_weights_is_switched_and_switched_back():
    eager, fused = small_model("llama"), small_model("llama", attention="sdpa")
    ids = random_ids(2, 21)
    assert np.allclose(
        attention_array(prefix_attention(fused, ids, 20)), attention_array(prefix_attention(eager, ids, 20)), atol=1e-6
    )
    assert fused.config._attn_implementation == "sdpa"
    assert not any(module._forward_hooks for module in fused.modules())


def test_one_layers_weights_live_at_a_time(monkeypatch):
    """Weak references to every attention tensor: at most the current and the previous one may be alive."""
    import weakref

    import probes.attention.weights as attending

    seen, alive = [], []
    watched = attending.watched

    def spying(modules, keep):
        def spy(layer, weights):
            seen.append(weakref.ref(weights))
            alive.append(sum(ref() is not None for ref in seen))
            keep(layer, weights)

        return watched(modules, spy)

    monkeypatch.setattr(attending, "watched", spying)
    prefix_attention(small_model("gpt_neo"), random_ids(8, 21), 20, batch_size=2)
    assert len(alive) == 8 and max(alive) <= 2


@pytest.mark.parametrize("queries", [[19], [30], []])
def test_queries_outside_the_continuation_are_refused(queries):
    with pytest.raises(ProbeError, match="queries"):
        prefix_attention(small_model("gpt2"), random_ids(2, 30), 20, queries=queries)


def test_short_paragraphs_are_refused():
    with pytest.raises(ProbeError, match="longer paragraphs"):
        prefix_attention(small_model("gpt2"), random_ids(2, 20), 20)


def test_an_incomplete_frame_is_no_array():
    frame = prefix_attention(small_model("gpt2"), random_ids(2, 21), 20)
    with pytest.raises(ProbeError, match="15 rows"):
        attention_array(frame.head(15))


def test_broken_weights_are_not_measured():
    model = small_model("gpt2")
    model.transformer.h[1].attn.c_attn.weight[0, 0] = float("nan")
    with pytest.raises(ProbeError, match=r"head 1\.0 .*not finite"):
        prefix_attention(model, random_ids(2, 21), 20)
