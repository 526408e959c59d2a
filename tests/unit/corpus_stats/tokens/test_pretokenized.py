"""Corpora that come as token ids: documents at end-of-text, matrices by row, everything broken refused."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import corpus_stats.tokens.scan as scan
from corpus_stats import CorpusError
from corpus_stats.counts.occurrences import count_occurrences
from corpus_stats.paragraphs.sampling import sample_windows
from corpus_stats.tokens.pretokenized import register_token_files
from corpus_stats.tokens.shards import TokenStream, open_corpus
from corpus_stats.tokens.tokenizer import train_tokenizer

TEXTS = ["one two three four " * 9, "naïve ☕ " * 7, "x = [1, 2, 3]\n" * 11]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 270)


def _stream_of(tokenizer, texts):
    ids = []
    for text in texts:
        ids += [*tokenizer.encode(text, add_special_tokens=False), 0]
    return ids


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_documents_end_at_end_of_text_and_may_span_files(tokenizer, tmp_path, dtype):
    ids = np.array(_stream_of(tokenizer, ["", *TEXTS, ""])[:-1], dtype=dtype)
    (tmp_path / "in").mkdir()
    for part, piece in enumerate(np.array_split(ids, 3)):
        piece.tofile(tmp_path / "in" / f"document-{part:05d}-of-00003.bin")
    corpus = register_token_files(str(tmp_path / "in"), tokenizer, tmp_path / "out", dtype=dtype)
    stream = TokenStream(tmp_path / "out")
    decoded = [
        tokenizer.decode(stream.read(row["token_offset"], row["token_count"]))
        for row in corpus.documents.iter_rows(named=True)
    ]
    assert decoded == TEXTS
    assert corpus.skipped_document_count == 1, "the empty one in front; the last end of text has nothing behind it"
    assert corpus.byte_count == sum(len(text.encode()) for text in TEXTS)
    assert (corpus.token_count, corpus.dtype) == (len(ids), np.dtype(dtype).str)
    assert open_corpus(tmp_path / "out") == corpus
    assert len(sample_windows(stream, corpus.documents, 5, 3, seed=1, minimum_unique_share=0.1)) == 3


@settings(max_examples=30, deadline=None)
@given(ids=st.lists(st.integers(0, 3), min_size=1, max_size=60), chunk=st.integers(1, 9))
def test_splitting_does_not_depend_on_pieces(ids, chunk, tmp_path_factory):
    folder = tmp_path_factory.mktemp("split")
    np.array(ids, dtype=np.uint16).tofile(folder / "a.bin")
    stream = TokenStream(folder, {"dtype": "<u2", "shards": [{"file": "a.bin", "token_count": len(ids)}]})
    before, scan.CHUNK_TOKENS = scan.CHUNK_TOKENS, chunk
    try:
        found = list(scan.Scan(stream, np.zeros(4, dtype=np.int64), 0, None).documents())
    finally:
        scan.CHUNK_TOKENS = before
    parts, text = [ids[at : at + length] for at, length, _ in found], "".join(map(str, ids))
    expected = text.removesuffix("0").split("0")
    assert ["".join(map(str, part)) for part in parts] == expected, "empty ones between separators are told, too"
    assert [sha256 for *_, sha256 in found] == hashes(parts)


@pytest.mark.parametrize("dtype", ["uint16", "int32", "int64"])
def test_rows_of_a_matrix_are_documents(tokenizer, tmp_path, dtype):
    matrix = np.random.default_rng(0).integers(1, 270, (40, 12)).astype(dtype)
    np.save(tmp_path / "m.npy", matrix)
    corpus = register_token_files(str(tmp_path / "m.npy"), tokenizer, tmp_path / "out")
    stream = TokenStream(tmp_path / "out")
    assert stream.windows(corpus.documents["token_offset"].to_numpy(), 12).tolist() == matrix.tolist()
    assert count_occurrences(stream, matrix).tolist() == [1] * 40


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=1, max_size=9), chunk=st.integers(1, 20)
)
def test_rows_and_end_of_text_both_end_documents(rows, chunk, tmp_path_factory):
    folder, flat = tmp_path_factory.mktemp("rows"), [token for row in rows for token in row]
    np.array(flat, dtype=np.uint16).tofile(folder / "a.bin")
    stream = TokenStream(folder, {"dtype": "<u2", "shards": [{"file": "a.bin", "token_count": len(flat)}]})
    before, scan.CHUNK_TOKENS = scan.CHUNK_TOKENS, chunk
    try:
        found = list(scan.Scan(stream, np.zeros(4, dtype=np.int64), 0, 6, count_empty=False).documents())
    finally:
        scan.CHUNK_TOKENS = before
    expected = [part for row in rows for part in "".join(map(str, row)).split("0") if part]
    parts = [flat[at : at + length] for at, length, _ in found]
    assert ["".join(map(str, part)) for part in parts] == expected
    assert [sha256 for *_, sha256 in found] == hashes(parts)


def hashes(parts):
    return [hashlib.sha256(np.array(part, dtype="<u2").tobytes()).digest() for part in parts]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), chunk=st.integers(1, 9), separator=st.sampled_from([None, 0]))
def test_lengths_of_an_index_and_end_of_text_both_end_documents(data, chunk, separator, tmp_path_factory):
    lengths = np.array(data.draw(st.lists(st.integers(0, 7), min_size=1, max_size=9)))
    flat = data.draw(st.lists(st.integers(0, 3), min_size=int(lengths.sum()), max_size=int(lengths.sum())))
    if not flat:
        return
    folder = tmp_path_factory.mktemp("lengths")
    np.array(flat, dtype=np.uint16).tofile(folder / "a.bin")
    stream = TokenStream(folder, {"dtype": "<u2", "shards": [{"file": "a.bin", "token_count": len(flat)}]})
    before, scan.CHUNK_TOKENS = scan.CHUNK_TOKENS, chunk
    try:
        asked = scan.Scan(stream, np.zeros(4, dtype=np.int64), separator, lengths=lengths, count_empty=False)
        found = list(asked.documents())
    finally:
        scan.CHUNK_TOKENS = before
    pieces = np.split(np.array(flat), np.cumsum(lengths)[:-1])
    texts = ["".join(map(str, piece.tolist())) for piece in pieces]
    expected = [part for text in texts for part in (text.split("0") if separator == 0 else [text]) if part]
    assert ["".join(map(str, flat[at : at + length])) for at, length, _ in found] == expected


def test_broken_token_files(tokenizer, tmp_path):
    (tmp_path / "out").mkdir()

    def refused(name, match, **options):
        with pytest.raises(CorpusError, match=match):
            register_token_files(str(tmp_path / name), tokenizer, tmp_path / "out", **options)
        assert not list((tmp_path / "out").iterdir()), "never half a corpus"

    (tmp_path / "odd.bin").write_bytes(b"\1\0\1")
    refused("odd.bin", "3 bytes")
    np.array([1, 2, 300], dtype=np.uint16).tofile(tmp_path / "large.bin")
    refused("large.bin", "300 lies outside the vocabulary of 270")
    np.zeros(4, dtype=np.uint16).tofile(tmp_path / "empty.bin")
    refused("empty.bin", "no document")
    np.save(tmp_path / "cut.npy", np.ones((50, 9), dtype=np.int64))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-3])
    refused("cut.npy", "truncated")
    np.save(tmp_path / "negative.npy", np.array([[1, -1]]))
    refused("negative.npy", "negative")
    np.save(tmp_path / "floats.npy", np.ones((2, 2)))
    refused("floats.npy", "no matrix of integers")
    refused("absent.bin", "does not exist")
    np.arange(1, 9, dtype=np.uint16).tofile(tmp_path / "rows.bin")
    refused("rows.bin", "8 tokens, no multiple of rows of 3", row_length=3)
    refused("rows.bin", "end-of-text id 300 lies outside", end_of_text_id=300)


class _Bomb:
    def __reduce__(self):
        return (open, ("/tmp/corpus-bomb-went-off", "w"))


def test_pickles_are_not_run(tokenizer, tmp_path):
    np.save(tmp_path / "bomb.npy", np.array([[_Bomb()]], dtype=object), allow_pickle=True)
    with pytest.raises(CorpusError, match="no array of numbers"):
        register_token_files(str(tmp_path / "bomb.npy"), tokenizer, tmp_path / "out")
    from pathlib import Path

    assert not Path("/tmp/corpus-bomb-went-off").exists()
