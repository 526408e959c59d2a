"""Tokenizers: trained deterministically, saved and loaded as the same, told apart by what they do."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_stats import CorpusError
from corpus_stats.tokens.tokenizer import (
    load_tokenizer,
    paragraph_texts,
    token_strings,
    tokenizer_sha256,
    train_tokenizer,
)

TEXTS = ["the cat sat on the mat\n" * 20, "def cat(mat):\n    return mat\n" * 20, "naïve café ☕\n" * 5]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 285)


def test_training_is_deterministic_and_byte_level(tokenizer):
    assert tokenizer_sha256(tokenizer) == tokenizer_sha256(train_tokenizer(iter(TEXTS), 285))
    assert tokenizer_sha256(tokenizer) != tokenizer_sha256(train_tokenizer(TEXTS, 284))
    assert tokenizer.convert_tokens_to_ids("<|endoftext|>") == 0 == tokenizer.eos_token_id
    assert len(tokenizer) == 285


@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=40).filter(lambda text: "<|endoftext|>" not in text))
def test_every_text_round_trips(text):
    tokenizer = _cached()
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(ids) == text


@functools.cache
def _cached():
    return train_tokenizer(TEXTS, 285)


@pytest.mark.parametrize("model_type", [None, "gpt_neo", "gpt2", "gpt_neox", "llama"])
def test_saved_and_loaded_is_the_same(tokenizer, tmp_path, model_type):
    tokenizer.save_pretrained(tmp_path)
    if model_type:  # a checkpoint's config.json beside it must not change which tokenizer is built
        (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}), encoding="utf-8")
    loaded = load_tokenizer(str(tmp_path))
    assert tokenizer_sha256(loaded) == tokenizer_sha256(tokenizer)
    for text in ["  the cat\n\n  sat", "<|endoftext|>x", "☕ ,!?'s"]:
        assert loaded.encode(text) == tokenizer.encode(text)


def test_fingerprint_does_not_depend_on_the_wrapper(tokenizer):
    from transformers import GPT2Tokenizer

    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    other = GPT2Tokenizer(vocab=model["vocab"], merges=merges)
    assert type(other) is not type(tokenizer)
    assert len(other) == 285, "the keyword names of transformers 5 were taken"
    assert tokenizer_sha256(other) == tokenizer_sha256(tokenizer)
    assert tokenizer_sha256(GPT2Tokenizer(vocab=model["vocab"], merges=merges[::-1])) != tokenizer_sha256(tokenizer)


def test_token_strings_decode_each_id_alone(tokenizer):
    ids = tokenizer.encode(" cat☕", add_special_tokens=False)
    strings = token_strings(tokenizer, ids)
    assert strings[0] == " cat"
    assert "\ufffd" in "".join(strings[1:]) or strings[1:] == ["☕"]
    assert paragraph_texts(tokenizer, np.array([ids])) == [" cat☕"]


def test_what_cannot_be_loaded_or_trained(tmp_path):
    with pytest.raises(CorpusError, match="tokenizer"):
        load_tokenizer(str(tmp_path))
    with pytest.raises(CorpusError, match="cannot hold"):
        train_tokenizer(TEXTS, 256)
    config = {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", None]}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", encoding="utf-8")
    with pytest.raises(CorpusError):
        load_tokenizer(str(tmp_path))
    assert not (tmp_path / "ran").exists()
