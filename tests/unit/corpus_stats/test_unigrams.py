"""Unigram rarity and word counts against their plain definitions."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import corpus_stats.counts.unigrams as unigrams
from corpus_stats import CorpusError, Document
from corpus_stats.counts.unigrams import count_by_subset
from corpus_stats.counts.words import count_words, words_of
from corpus_stats.tokens.stream import TokenStream

VOCABULARY = 12


def stream_of(folder, ids, shard_tokens):
    shards = []
    for begin in range(0, len(ids), shard_tokens):
        part = np.array(ids[begin : begin + shard_tokens], dtype="<u2")
        part.tofile(folder / f"{begin}.bin")
        shards.append({"file": f"{begin}.bin", "token_count": len(part)})
    return TokenStream(folder, {"dtype": "<u2", "shards": shards})


@settings(max_examples=60, deadline=None)
@given(data=st.data(), shard=st.integers(1, 40), piece=st.integers(1, 17), dense_cells=st.sampled_from([0, 1 << 26]))
def test_subset_counts_equal_a_loop(data, shard, piece, dense_cells, tmp_path_factory):
    ids = data.draw(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=60))
    expected: Counter = Counter()
    rows, position = [], 0
    while position < len(ids):  # documents of 1 to 9 tokens, some followed by a token of none
        length = min(data.draw(st.integers(1, 9)), len(ids) - position)
        subset = data.draw(st.sampled_from(["a", "b", "c"]))
        rows.append((subset, position, length))
        expected.update((subset, i) for i in ids[position : position + length])
        position += length
        if position < len(ids) and data.draw(st.booleans()):
            expected[None, ids[position]] += 1
            position += 1
    documents = pl.DataFrame(rows, schema=["subset", "token_offset", "token_count"], orient="row")
    stream = stream_of(tmp_path_factory.mktemp("s"), ids, shard)
    chosen = {"SUBSET_PIECE_TOKENS": piece, "DENSE_CELLS": dense_cells, "FOLDED_ROWS": 5}
    with pytest.MonkeyPatch.context() as patched:
        for name, value in chosen.items():
            patched.setattr(unigrams, name, value)
        frame = count_by_subset(stream, documents, VOCABULARY)
    assert {(s, i): c for s, i, c in frame.iter_rows()} == dict(expected)
    assert frame["token_count"].sum() == len(ids)


def test_each_of_thousands_of_subsets_is_counted(tmp_path):
    """As many subsets as the Pile has shards in some mirrors, side by side 1.2 billion counts."""
    count, size = 23_698, 50_257
    ids = np.random.default_rng(1).integers(0, size, 5 * count)
    ids.astype("<u2").tofile(tmp_path / "ids.bin")
    stream = TokenStream(tmp_path, {"dtype": "<u2", "shards": [{"file": "ids.bin", "token_count": len(ids)}]})
    names = [f"shard-{i:05d}" for i in range(count)]
    documents = pl.DataFrame({"subset": names, "token_offset": range(0, 5 * count, 5), "token_count": [5] * count})
    frame = count_by_subset(stream, documents, size)
    expected = (
        pl.DataFrame({"subset": np.repeat(names, 5), "token_id": ids.astype(np.int32)}).group_by(pl.all()).len("n")
    )
    joined = frame.join(expected, on=["subset", "token_id"])
    assert len(joined) == len(frame) == len(expected) and (joined["token_count"] == joined["n"]).all()


def test_subset_counts_refuse_foreign_ids(tmp_path):
    stream = stream_of(tmp_path, [1, 12], 2)
    documents = pl.DataFrame({"subset": ["a"], "token_offset": [0], "token_count": [2]})
    with pytest.raises(CorpusError, match="12 lies outside the vocabulary of 12"):
        count_by_subset(stream, documents, VOCABULARY)


def test_words():
    assert words_of("Don't RE-use foo_bar 42 naïve cafe\u0301") == [
        "don't",
        "re-use",
        "foo",
        "bar",
        "42",
        "naïve",
        "café",
    ]


@pytest.mark.parametrize("flush", [1, 1000])
def test_word_counts_by_subset(flush):
    documents = [Document("1", "x", "A a b"), Document("2", "x", "a"), Document("3", "y", "B c")]
    assert count_words(documents, flush_words=flush).rows() == [
        ("x", "a", 3, 2),
        ("x", "b", 1, 1),
        ("y", "b", 1, 1),
        ("y", "c", 1, 1),
    ]
