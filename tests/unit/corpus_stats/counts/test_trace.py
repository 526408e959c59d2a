"""Longest verbatim stretches, against what `str.find` says of the same ids written as characters."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import corpus_stats.counts.trace as trace
from corpus_stats import CorpusError
from corpus_stats.counts.trace import longest_stretches
from corpus_stats.tokens.stream import TokenStream


def stream_of(folder, ids, shard_tokens=10_000, dtype="<u2"):
    shards = []
    for begin in range(0, len(ids), shard_tokens):
        part = np.array(ids[begin : begin + shard_tokens], dtype=dtype)
        part.tofile(folder / f"{begin}.bin")
        shards.append({"file": f"{begin}.bin", "token_count": len(part)})
    return TokenStream(folder, {"dtype": dtype, "shards": shards})


def by_find(corpus: str, query: str, minimum: int) -> list[tuple[int, int, int, list[int]]]:
    """Offset, length, count and places of every maximal stretch of the query."""
    found, furthest = [], 0
    for begin in range(len(query)):
        end = begin
        while end < len(query) and query[begin : end + 1] in corpus:
            end += 1
        if end > furthest and end - begin >= minimum:
            places = [at for at in range(len(corpus)) if corpus.startswith(query[begin:end], at)]
            found.append((begin, end - begin, len(places), places))
        furthest = max(furthest, end)
    return found


@settings(max_examples=150, deadline=None)
@given(
    corpus=st.lists(st.integers(0, 2), min_size=1, max_size=80),
    queries=st.lists(st.lists(st.integers(0, 3), max_size=25), max_size=4),
    minimum=st.integers(2, 5), chunk=st.integers(1, 30), shard=st.integers(1, 90),
)  # fmt: skip
def test_stretches_are_those_that_find_tells(corpus, queries, minimum, chunk, shard, tmp_path_factory):
    stream = stream_of(tmp_path_factory.mktemp("trace"), corpus, shard)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(trace, "TRACE_CHUNK_TOKENS", chunk)
        frame = longest_stretches(stream, [np.array(q, dtype=np.int64) for q in queries], minimum, most_places=3)
    text = "".join(map(chr, (65 + i for i in corpus)))
    expected = [
        (row, offset, length, count, places[:3])
        for row, query in enumerate(queries)
        for offset, length, count, places in by_find(text, "".join(chr(65 + i) for i in query), minimum)
    ]
    assert frame.rows() == expected


def test_stretches_planted_in_a_large_corpus_are_found(tmp_path):
    generator = np.random.default_rng(1)
    corpus = generator.integers(0, 60_000, 400_000)
    queries = [generator.integers(0, 60_000, 300) for _ in range(20)]
    for row, query in enumerate(queries):
        for copy in range(row):
            at = 20_000 * copy + 700 * row
            corpus[at : at + 40] = query[100:140]
    frame = longest_stretches(stream_of(tmp_path, corpus, 90_000), queries, 16)
    assert frame.select("row", "query_offset", "token_count", "occurrence_count").rows() == [
        (row, 100, 40, row) for row in range(1, 20)
    ]
    assert frame["token_offsets"][2].to_list() == [20_000 * copy + 2100 for copy in range(3)]


def test_what_cannot_be_traced(tmp_path):
    stream = stream_of(tmp_path, [1, 2, 3])
    with pytest.raises(CorpusError, match="at least two"):
        longest_stretches(stream, [np.array([1, 2])], 1)
    with pytest.raises(CorpusError, match="must be token ids"):
        longest_stretches(stream, [np.array([-1, 2])], 2)
    assert longest_stretches(stream, [np.array([1])], 2).is_empty() and longest_stretches(stream, [], 2).is_empty()


@settings(max_examples=150, deadline=None)
@given(
    corpus=st.lists(st.integers(0, 1), min_size=1, max_size=70), at=st.integers(0, 60), length=st.integers(1, 20),
    minimum=st.integers(2, 5), chunk=st.integers(1, 30),
)  # fmt: skip
def test_the_place_a_text_stands_at_itself_can_be_left_out(corpus, at, length, minimum, chunk, tmp_path_factory):
    """Against every pair of a stretch and a place that is not the stretch's own."""
    stream = stream_of(tmp_path_factory.mktemp("trace"), corpus, 40)
    query = corpus[at : at + length]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(trace, "TRACE_CHUNK_TOKENS", chunk)
        both = [np.array(query, dtype=np.int64)] * 2
        frame = longest_stretches(stream, both, minimum, 100, own_places=[at, None])
    found, furthest = [], 0
    for begin in range(len(query)):
        for end in range(len(query), max(furthest, begin + minimum - 1), -1):
            size = end - begin
            places = [p for p in range(len(corpus) - size + 1) if corpus[p : p + size] == query[begin:end]]
            places.remove(at + begin)
            if places:
                found.append((0, begin, size, len(places), places))
                furthest = end
                break
    assert frame.filter(row=0).rows() == found
    assert (
        frame.filter(row=1).rows()
        == longest_stretches(stream, both[1:], minimum, 100).with_columns(row=pl.lit(1, dtype=pl.UInt32)).rows()
    )


def test_as_many_own_places_as_texts(tmp_path):
    with pytest.raises(CorpusError, match="1 own places of 2 texts"):
        longest_stretches(stream_of(tmp_path, [1, 2, 3]), [np.array([1, 2])] * 2, 2, own_places=[0])
