"""Tokenizers agree by the ids they give: an unused token is none of the corpus' business, a normalizer is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from corpus_stats.tokens.agreement import first_disagreement
from corpus_stats.tokens.tokenizer import beginning_added, load_tokenizer, special_ids, train_tokenizer

TEXTS = ["The cat sat on the mat in 1999.\n" * 20, "def Cat(mat):\n    return mat\n" * 20, "naïve café ☕\n" * 5]


@pytest.fixture(scope="module")
def ours() -> PreTrainedTokenizerFast:
    return train_tokenizer(TEXTS, 285)


def changed(tokenizer: PreTrainedTokenizerFast, **parts: Any) -> PreTrainedTokenizerFast:
    """A copy with another normalizer or pre-tokenizer."""
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    for name, part in parts.items():
        setattr(backend, name, part)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|endoftext|>")


def used(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    return sorted({i for text in TEXTS for i in tokenizer.encode(text, add_special_tokens=False)})


def test_a_padding_token_that_no_text_holds_changes_nothing(ours, tmp_path: Path):
    theirs = changed(ours)
    theirs.add_special_tokens({"pad_token": "[PAD]"})
    theirs.save_pretrained(tmp_path)
    assert first_disagreement(ours, load_tokenizer(str(tmp_path)), used(ours), TEXTS) is None
    assert first_disagreement(ours, theirs, used(ours), [*TEXTS, "a [PAD] b"]) is None, "in a text it is text"


_NO_ACCENTS = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()])
_BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False)
_DIGITS = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _BYTES])


@pytest.mark.parametrize(
    "parts",
    [
        {"normalizer": normalizers.Lowercase()},
        {"normalizer": _NO_ACCENTS},
        {"pre_tokenizer": pre_tokenizers.ByteLevel(add_prefix_space=True)},
        {"pre_tokenizer": _DIGITS},
    ],
)
def test_a_changed_normalizer_or_pre_tokenizer_is_shown_by_an_example(ours, parts):
    theirs = changed(ours, **parts)
    found = first_disagreement(ours, theirs, used(ours), TEXTS)
    assert found is not None
    for tokenizer, ids in ((ours, found.ours), (theirs, found.theirs)):
        assert tuple(tokenizer.encode(found.text, add_special_tokens=False)) == ids
    assert f"{found.text!r} is [{', '.join(map(str, found.ours[:8]))}" in found.sentence()


def test_another_vocabulary_and_swapped_bytes_are_seen(ours):
    assert first_disagreement(ours, train_tokenizer(["quite another text " * 50], 270), used(ours), TEXTS) is not None
    whole = json.loads(ours.backend_tokenizer.to_str())
    vocabulary = whole["model"]["vocab"]
    first, second = [token for token in vocabulary if len(token) == 1 and ord(token) > 300][:2]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    theirs = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(whole)))
    everything = sorted(ours.backend_tokenizer.get_vocab().values())
    assert first_disagreement(ours, theirs, everything, []) is not None
    harmless = [i for i in everything if i not in (vocabulary[first], vocabulary[second])]
    assert first_disagreement(ours, theirs, harmless, ["The cat"]) is None


def test_a_long_text_is_shown_by_the_word_that_differs(ours):
    theirs = changed(ours, pre_tokenizer=_DIGITS)
    found = first_disagreement(ours, theirs, [], ["The cat sat on the mat " * 50 + "in 1999."])
    assert found is not None and len(found.text) <= len(" 1999.") and "9" in found.text


def test_special_tokens_and_what_stands_before_a_text(ours):
    from tokenizers.processors import TemplateProcessing

    theirs = changed(ours)
    assert special_ids(theirs) == [0] and beginning_added(theirs) is None
    theirs.add_special_tokens({"pad_token": "[PAD]", "bos_token": "<s>"})
    theirs.add_tokens([AddedToken("plain", special=False)])
    names = ["<|endoftext|>", "[PAD]", "<s>"]
    assert special_ids(theirs) == sorted(theirs.convert_tokens_to_ids(names)) and beginning_added(theirs) is None
    bos = theirs.convert_tokens_to_ids("<s>")
    theirs.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A <|endoftext|>", special_tokens=[("<s>", bos), ("<|endoftext|>", 0)]
    )
    assert beginning_added(theirs) == bos
    theirs.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", 0)]
    )
    assert beginning_added(theirs) is None
