"""Tokens with their places: the same ids whether a text comes whole or in pieces, and the text behind each token."""

import random

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from corpus_stats.errors import CorpusError
from corpus_stats.readers.plain_text import text_pieces
from corpus_stats.tokens import placed
from corpus_stats.tokens.placed import place_tokens
from corpus_stats.tokens.tokenizer import encoder, train_tokenizer

TEXT = "".join(
    random.Random(n).choice(
        ["def f(x):\n    return x\n", "größer als 日本語 🙂\n\n", "  \t spaces\r\n", "plain words. "]
    )
    for n in range(400)
)


@pytest.fixture(scope="module")
def encode() -> Tokenizer:
    return encoder(train_tokenizer([TEXT], 320))


def test_the_text_behind_the_tokens_is_the_text(encode, tmp_path):
    tokens = place_tokens([TEXT], encode, tmp_path)
    assert np.asarray(tokens.ids).tolist() == encode.encode(TEXT, add_special_tokens=False).ids
    assert "".join(tokens.text(token, token + 1) for token in range(len(tokens))) == TEXT
    assert tokens.character_count == len(TEXT) and tokens.characters(5, 20) == TEXT[5:20]
    for token in range(0, len(tokens), 7):
        assert tokens.lines[token] == TEXT[: tokens.character(token)].count("\n") + 1


class Counting:
    """A tokenizer that notes how long the texts were that it was given."""

    def __init__(self, encode):
        self.inner, self.lengths = encode, []

    def encode(self, text, **options):
        self.lengths.append(len(text))
        return self.inner.encode(text, **options)


def test_pieces_give_the_tokens_of_the_whole(encode, tmp_path, monkeypatch):
    whole = place_tokens([TEXT], encode, tmp_path / "whole")
    monkeypatch.setattr(placed, "PIECE_CHARACTERS", 150)
    counted = Counting(encode)
    pieces = place_tokens((TEXT[at : at + 333] for at in range(0, len(TEXT), 333)), counted, tmp_path / "pieces")
    assert max(counted.lengths) < 1000 < len(TEXT) / 5
    for name in ("ids", "ends", "lines"):
        assert np.array_equal(getattr(pieces, name), getattr(whole, name)), name
    assert pieces.sha256 == whole.sha256


def test_a_tokenizer_that_marks_the_beginning_of_a_text_gets_the_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(placed, "PIECE_CHARACTERS", 150)
    spaced = Tokenizer(models.BPE())
    spaced.train_from_iterator([TEXT])
    spaced.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokens = place_tokens([TEXT], spaced, tmp_path)
    assert np.asarray(tokens.ids).tolist() == spaced.encode(TEXT, add_special_tokens=False).ids


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_files_are_read_in_their_encoding_with_their_line_ends(tmp_path, encoding):
    file = tmp_path / "text"
    file.write_bytes(TEXT.encode(encoding))
    assert "".join(text_pieces(file)) == TEXT


def test_what_is_no_text_is_refused(tmp_path):
    file = tmp_path / "file.txt"
    for data, reason in (
        (b"", "is empty"),
        (b"a\0b", "is not text"),
        (b"ok \xff\xfe", "is not utf-8"),
        (b"\xc3", "byte"),
    ):
        file.write_bytes(data)
        with pytest.raises(CorpusError, match=reason):
            list(text_pieces(file))
    with pytest.raises(CorpusError, match="there is no encoding"):
        list(text_pieces(file, "klingon"))
    with pytest.raises(CorpusError, match="cannot be read"):
        list(text_pieces(tmp_path / "none"))
