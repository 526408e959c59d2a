"""Corpora that come as token ids: documents at end-of-text, matrices by row, everything broken refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import corpus_stats.tokens.pretokenized as pretokenized
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
    before, pretokenized.CHUNK_TOKENS = pretokenized.CHUNK_TOKENS, chunk
    try:
        found = list(pretokenized.Scan(stream, np.zeros(4, dtype=np.int64), 0, None).documents())
    finally:
        pretokenized.CHUNK_TOKENS = before
    text = "".join(map(str, ids))
    assert ["".join(map(str, part)) for _, part in found if len(part)] == [part for part in text.split("0") if part]
    assert all(ids[offset : offset + len(part)] == part.tolist() for offset, part in found)


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
    before, pretokenized.CHUNK_TOKENS = pretokenized.CHUNK_TOKENS, chunk
    try:
        found = list(pretokenized.Scan(stream, np.zeros(4, dtype=np.int64), 0, 6).documents())
    finally:
        pretokenized.CHUNK_TOKENS = before
    expected = [part for row in rows for part in "".join(map(str, row)).split("0") if part]
    assert ["".join(map(str, part)) for _, part in found] == expected
    assert all(flat[offset : offset + len(part)] == part.tolist() for offset, part in found)


def test_broken_token_files(tokenizer, tmp_path):
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
