"""Token shards, the stream over them, counts, samples, occurrences: against the plain definition of each."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_stats import CorpusError, Document
from corpus_stats.counts import occurrences
from corpus_stats.counts.occurrences import count_occurrences, count_occurrences_together
from corpus_stats.paragraphs.sampling import paragraph_id, paragraph_ids, permuted, sample_windows, unique_token_count
from corpus_stats.tokens.shards import TokenStream, write_token_shards
from corpus_stats.tokens.stream import count_tokens
from corpus_stats.tokens.tokenizer import train_tokenizer

DOCUMENTS = [
    Document(f"d{i}", "even" if i % 2 == 0 else "odd", f"document {i}: " + " ".join(str(i * j) for j in range(9 * i)))
    for i in range(1, 12)
]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer((d.text for d in DOCUMENTS), 300)


@pytest.fixture(scope="module", params=[97, 10_000])
def corpus(request, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    return folder, write_token_shards(DOCUMENTS, tokenizer, folder, shard_tokens=request.param)


def test_shards_hold_every_document_in_order(corpus, tokenizer):
    folder, written = corpus
    stream = TokenStream(folder)
    expected = [tokenizer.encode(d.text, add_special_tokens=False) for d in DOCUMENTS]
    assert stream.read(0, stream.token_count).tolist() == [i for ids in expected for i in ids]
    for row, ids in zip(written.documents.iter_rows(named=True), expected, strict=True):
        assert stream.read(row["token_offset"], row["token_count"]).tolist() == ids
    assert written.documents["sha256"][0] == hashlib.sha256(DOCUMENTS[0].text.encode()).hexdigest()
    assert written.token_count == stream.token_count == sum(len(s) for s in stream.shards)
    assert written.byte_count == sum(len(d.text.encode()) for d in DOCUMENTS)
    assert (written.dtype, written.document_count, written.skipped_document_count) == ("<u2", 11, 0)


def test_fingerprint_sees_names_contents_and_order(corpus, tokenizer, tmp_path):
    _, written = corpus

    def again(documents):
        return write_token_shards(documents, tokenizer, tmp_path, shard_tokens=50)

    same = again([*DOCUMENTS, Document("empty", "odd", "")])
    assert same.fingerprint == written.fingerprint
    assert same.skipped_document_count == 1
    assert again(DOCUMENTS[::-1]).fingerprint != written.fingerprint
    assert again([Document("x", d.subset, d.text) for d in DOCUMENTS]).fingerprint != written.fingerprint


def test_a_shorter_corpus_replaces_a_longer_one_and_a_failure_leaves_nothing(tokenizer, tmp_path):
    write_token_shards(DOCUMENTS, tokenizer, tmp_path, shard_tokens=50)
    write_token_shards(DOCUMENTS[:2], tokenizer, tmp_path, shard_tokens=50)
    stream = TokenStream(tmp_path)
    assert len(list(tmp_path.glob("tokens-*.bin"))) == len(stream.shards)

    def broken():
        yield DOCUMENTS[0]
        raise CorpusError("cut")

    with pytest.raises(CorpusError, match="cut"):
        write_token_shards(broken(), tokenizer, tmp_path / "new")
    assert not any((tmp_path / "new").iterdir())
    with pytest.raises(CorpusError, match="no text"):
        write_token_shards([], tokenizer, tmp_path / "new")


def test_chunks_hold_every_window_once(corpus):
    stream = TokenStream(corpus[0])
    whole = stream.read(0, stream.token_count)
    seen = []
    for begin, ids in stream.chunks(chunk_tokens=64, overlap=9):
        seen += [begin + i for i in range(len(ids) - 9)]
        assert ids.tolist() == whole[begin : begin + 73].tolist()
    assert seen == list(range(stream.token_count - 9))


def test_windows_equal_reads_wherever_shards_end(corpus):
    stream = TokenStream(corpus[0])
    offsets = np.arange(0, stream.token_count - 210, 13)
    expected = [stream.read(int(o), 210).tolist() for o in offsets]
    assert stream.windows(offsets, 210).tolist() == expected
    with pytest.raises(CorpusError, match="leave the stream"):
        stream.windows(np.array([stream.token_count - 5]), 6)


def test_damaged_shards_are_told(tokenizer, tmp_path):
    write_token_shards(DOCUMENTS, tokenizer, tmp_path, shard_tokens=100)
    shard = tmp_path / "tokens-00001.bin"
    data = shard.read_bytes()
    TokenStream(tmp_path).verify()
    shard.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(CorpusError, match=r"tokens-00001\.bin has changed"):
        TokenStream(tmp_path).verify()
    shard.write_bytes(data[:-1])
    with pytest.raises(CorpusError, match=r"tokens-00001\.bin has 199 bytes instead of 200"):
        TokenStream(tmp_path)
    shard.unlink()
    with pytest.raises(CorpusError, match="missing"):
        TokenStream(tmp_path)
    (tmp_path / "tokens.json").write_text("{")
    with pytest.raises(CorpusError, match="not JSON"):
        TokenStream(tmp_path)
    (tmp_path / "tokens.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(CorpusError, match="format"):
        TokenStream(tmp_path)
    with pytest.raises(CorpusError, match=r"no tokens\.json"):
        TokenStream(tmp_path / "absent")


@settings(max_examples=30, deadline=None)
@given(ids=st.lists(st.integers(0, 19), max_size=60), dtype=st.sampled_from(["<u2", "<u4", "int64"]))
def test_counts_equal_the_counter(ids, dtype):
    counts = count_tokens(np.array(ids, dtype=dtype), 20)
    assert counts.dtype == np.int64
    assert dict(Counter(ids)) == {i: c for i, c in enumerate(counts.tolist()) if c}


def test_ids_outside_the_vocabulary_are_refused():
    for bad in (np.array([3, 20], dtype=np.uint16), np.array([-1]), np.array([0.5])):
        with pytest.raises(CorpusError):
            count_tokens(bad, 20)


def test_samples_respect_documents_rules_and_seed(corpus):
    folder, written = corpus
    stream = TokenStream(folder)
    sample = sample_windows(stream, written.documents, 12, 40, seed=5)
    joined = sample.join(written.documents, on="document_id", suffix="_document")
    begin, end = pl.col("token_offset_document"), pl.col("token_offset_document") + pl.col("token_count")
    assert joined.filter((pl.col("token_offset") < begin) | (pl.col("token_offset") + 12 > end)).is_empty()
    offsets = sample["token_offset"].to_numpy()
    assert len(offsets) == 40
    assert (np.diff(offsets) >= 12).all(), "no overlap"
    windows = stream.windows(offsets, 12)
    assert all(len(set(row)) > 6 for row in windows.tolist())
    assert len(set(paragraph_ids(windows))) == 40
    assert sample.equals(sample_windows(stream, written.documents, 12, 40, seed=5))
    assert not sample.equals(sample_windows(stream, written.documents, 12, 40, seed=6))


def test_strata_and_impossible_samples(corpus):
    folder, written = corpus
    stream = TokenStream(folder)
    sample = sample_windows(stream, written.documents, 12, 0, seed=5, per_subset={"odd": 9, "even": 4})
    assert dict(sample["subset"].value_counts().iter_rows()) == {"odd": 9, "even": 4}
    with pytest.raises(CorpusError, match=r"has only \d+ of the 100000 windows"):
        sample_windows(stream, written.documents, 12, 100_000, seed=5)
    with pytest.raises(CorpusError, match="'third'"):
        sample_windows(stream, written.documents, 12, 0, seed=5, per_subset={"third": 1})


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 700), seed=st.integers(0, 2**63))
def test_the_draw_is_a_permutation(size, seed):
    assert sorted(permuted(np.arange(size), size, seed).tolist()) == list(range(size))


def test_the_draw_is_uniform():
    first = np.array([permuted(np.arange(3), 40, seed) for seed in range(4000)])
    counts = np.bincount(first[:, 0], minlength=40)
    chi_square = ((counts - 100) ** 2 / 100).sum()
    assert chi_square < 72.1, "39 degrees of freedom, p > 0.001"


def test_paragraph_ids_hash_the_ids_and_nothing_else():
    row = np.array([1, 70_000, 3])
    expected = hashlib.blake2b(b"\1\0\0\0\x70\x11\1\0\3\0\0\0", digest_size=16).hexdigest()
    assert paragraph_id(row) == expected == paragraph_id(row.astype(np.uint32)) == paragraph_ids(row[None])[0]
    assert unique_token_count(np.array([[1, 2, 1], [3, 3, 3]])).tolist() == [2, 1]


@settings(max_examples=30, deadline=None)
@given(data=st.data(), length=st.integers(1, 7), dtype=st.sampled_from(["<u2", "<u4"]))
def test_occurrences_equal_the_naive_scan(data, length, dtype):
    ids = np.array(data.draw(st.lists(st.integers(0, 2), min_size=length, max_size=120)), dtype=dtype)
    windows = np.lib.stride_tricks.sliding_window_view(ids, length)
    asked = np.vstack([windows[:: max(1, len(windows) // 5)], np.full((1, length), 9)])
    expected = [int((windows == row).all(axis=1).sum()) for row in asked]
    other = data.draw(st.integers(1, 9))
    others = np.lib.stride_tricks.sliding_window_view(ids, min(other, len(ids)))
    expected_others = [int((others == row).all(axis=1).sum()) for row in others]
    before = occurrences.CHUNK_TOKENS
    for occurrences.CHUNK_TOKENS in (5, before):
        stream = _ArrayStream(ids)
        assert count_occurrences(stream, asked).tolist() == expected
        together = count_occurrences_together(stream, [asked, others[:0], others])
        assert [counts.tolist() for counts in together] == [expected, [], expected_others]
    assert before == occurrences.CHUNK_TOKENS


class _ArrayStream:
    """A stream over an array."""

    def __init__(self, ids):
        self.ids = ids
        self.token_count = len(ids)

    def chunks(self, chunk_tokens, overlap, token_range):
        for begin in range(0, len(self.ids), chunk_tokens):
            yield begin, self.ids[begin : begin + chunk_tokens + overlap]


def test_occurrences_cross_shards_and_documents(corpus):
    stream = TokenStream(corpus[0])
    whole = stream.read(0, stream.token_count)
    windows = stream.windows(np.array([0, 80, 90, 300]), 30)
    every = np.lib.stride_tricks.sliding_window_view(whole, 30)
    expected = [int((every == row).all(axis=1).sum()) for row in windows]
    ticks = []
    assert count_occurrences(stream, windows, on_progress=ticks.append).tolist() == expected
    assert sum(ticks) == stream.token_count
    cuts = [0, 1, 85, 95, stream.token_count // 2, stream.token_count]
    parts = [count_occurrences(stream, windows, token_range=part) for part in itertools.pairwise(cuts)]
    assert sum(parts).tolist() == expected, "parts of several workers add up"
    with pytest.raises(CorpusError, match="leave the stream"):
        count_occurrences(stream, windows, token_range=(0, stream.token_count + 1))
    assert count_occurrences(stream, windows[:0]).tolist() == []
    with pytest.raises(CorpusError, match="window, position"):
        count_occurrences(stream, windows[0])
