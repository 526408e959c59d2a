"""Long documents in pieces: the ids of the pieces are those that the tokenizers library gives for the whole."""

from __future__ import annotations

import functools
import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from corpus_stats import Document
from corpus_stats.tokens import shards
from corpus_stats.tokens.pieces import cut_pattern, encoded_long, pieces_of
from corpus_stats.tokens.tokenizer import encoder, train_tokenizer

TEXTS = ["a a\n\n b1\n'é\n  a\tb\n\r\na b\r\nb ab.\n.\n\n it's 12345 we'll!\r\n\r\nx = [1, 2]\n" * 40]
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)


@functools.cache
def gpt2_like() -> Tokenizer:
    return encoder(train_tokenizer(TEXTS, 290))


@functools.cache
def llama3_like() -> Tokenizer:
    backend = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(_LLAMA3), "isolated")
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet))
    return backend


@functools.cache
def llama2_like() -> Tokenizer:
    """No pre-tokenizer: a whole document is one word, with spaces as ▁."""
    backend = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
    texts = [word for text in TEXTS for word in text.split(" ")] * 3
    backend.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=150))
    return backend


@pytest.mark.parametrize("make", [gpt2_like, llama3_like])
@settings(max_examples=150, deadline=None)
@given(text=st.text(alphabet="ab1'é \n\t\r\u2003\u00a0\x1c\u0308._", min_size=2, max_size=90), size=st.integers(1, 9))
def test_pieces_between_safe_places_give_the_ids_of_the_whole(make, text, size):
    encode = make()
    pattern = cut_pattern(encode)
    assert pattern is not None and "".join(pieces_of(text, pattern, size)) == text
    found = [i for piece in pieces_of(text, pattern, size) for i in encode.encode(piece, add_special_tokens=False).ids]
    assert found == encode.encode(text, add_special_tokens=False).ids


def test_where_nothing_is_known_nothing_is_cut():
    backend = Tokenizer(models.BPE())
    assert cut_pattern(backend) is None
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert cut_pattern(backend) is not None
    backend.normalizer = normalizers.Replace("\n", " ")
    assert cut_pattern(backend) is None
    backend.normalizer = normalizers.NFC()
    assert cut_pattern(backend) is not None
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    assert cut_pattern(backend) is None
    joined = Tokenizer(models.BPE({"a": 0, "Ġ": 1, "aĠ": 2}, [("a", "Ġ")]))
    joined.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    assert cut_pattern(joined) is None, "a token reaches over a space"


TEXT_KINDS = {
    "letters without a space": lambda draw: "".join(draw.choices("ab1", k=60_000)),
    "CRLF": lambda draw: "\r\n".join("".join(draw.choices("ab1 é.", k=30)) for _ in range(2_000)),
    "blank lines": lambda draw: "\n\n".join("".join(draw.choices("ab1é.", k=30)) for _ in range(2_000)),
    "white space": lambda draw: "a" + " \n" * 30_000 + "b",
}


@pytest.mark.parametrize("kind", TEXT_KINDS)
@pytest.mark.parametrize("make", [gpt2_like, llama3_like, llama2_like])
def test_texts_without_a_safe_place_give_the_ids_of_the_whole(make, kind):
    text, encode = TEXT_KINDS[kind](random.Random(1)), make()
    found = encoded_long(encode, text, 5_000)
    assert found.tolist() == encode.encode(text, add_special_tokens=False).ids


def test_the_name_of_a_special_token_in_a_text_is_text(tmp_path):
    tokenizer = train_tokenizer(TEXTS, 290)
    text = "before <|endoftext|> after"
    written = shards.write_token_shards([Document("d", "s", text)], tokenizer, tmp_path)
    ids = shards.TokenStream(tmp_path).read(0, written.token_count).tolist()
    assert tokenizer.eos_token_id not in ids and tokenizer.decode(ids) == text


PEAK = """
import resource, sys
from corpus_stats.documents import Document
from corpus_stats.tokens import shards
from corpus_stats.tokens.tokenizer import load_tokenizer
from pathlib import Path
tokenizer = load_tokenizer(sys.argv[1])
text = {text}
shards.BATCH_CHARACTERS = 200_000
shards.write_token_shards([Document("warm", "s", "a b c")], tokenizer, Path(sys.argv[2]) / "warm")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
shards.write_token_shards([Document("long", "s", text)], tokenizer, Path(sys.argv[2]) / "long")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, len(text) / 2**20)
"""


@pytest.mark.parametrize("text", ["'one two three.\\r\\n' * 250_000", "'acgtgca' * 600_000"])
def test_the_memory_of_a_long_document_is_that_of_its_pieces(tmp_path, text):
    train_tokenizer(TEXTS, 290).save_pretrained(tmp_path / "tok")
    code = PEAK.format(text=text)
    asked = [sys.executable, "-c", code, str(tmp_path / "tok"), str(tmp_path)]
    grown, megabytes = map(float, subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split())
    assert megabytes > 3.5 and grown < 30 * megabytes, "encoded at once it takes more than 100 bytes a character"
