"""Token files in the layouts that the world publishes: read as headers and indexes say, refused where these lie."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from corpus_stats import CorpusError
from corpus_stats.tokens.pretokenized import look_at_token_files, register_token_files
from corpus_stats.tokens.stream import TokenStream
from corpus_stats.tokens.tokenizer import train_tokenizer

LENGTHS = [300, 100, 99, 250]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["one two three four " * 9], 270)


@pytest.fixture(scope="module")
def large():
    """A tokenizer of 70,000 ids, end of text the last."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {f"t{i}": i for i in range(69_999)} | {"<|endoftext|>": 69_999}
    backend = Tokenizer(models.WordLevel(words, unk_token="t0"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|endoftext|>", unk_token="t0")


def ids_without_end(seed: int, count: int, size: int = 270) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, size, count)


def write_index(path, sizes, code, documents=None, itemsize=2):
    """A Megatron index as MMapIndexedDataset.Index.writer lays it out."""
    sizes = np.array(sizes, dtype="<i4")
    pointers = np.concatenate([[0], np.cumsum(sizes[:-1], dtype=np.int64) * itemsize]).astype("<i8")
    bounds = np.arange(len(sizes) + 1) if documents is None else np.array(documents)
    head = b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, code, len(sizes), len(bounds))
    path.write_bytes(head + sizes.tobytes() + pointers.tobytes() + bounds.astype("<i8").tobytes())


def read_back(corpus, folder):
    stream = TokenStream(folder)
    rows = corpus.documents.iter_rows(named=True)
    return [stream.read(row["token_offset"], row["token_count"]).tolist() for row in rows]


def split_at(ids, lengths):
    return [part.tolist() for part in np.split(ids, np.cumsum(lengths)[:-1])]


@pytest.mark.parametrize(("code", "dtype"), [(8, "<u2"), (4, "<i4")])
def test_a_megatron_index_tells_documents_and_width(tokenizer, tmp_path, code, dtype):
    ids = ids_without_end(1, sum(LENGTHS))
    ids.astype(dtype).tofile(tmp_path / "pile_text_document.bin")
    write_index(tmp_path / "pile_text_document.idx", LENGTHS, code, itemsize=np.dtype(dtype).itemsize)
    corpus = register_token_files(str(tmp_path), tokenizer, tmp_path / ".out")
    assert (corpus.dtype, corpus.token_count, corpus.separator_count) == (dtype, 749, 0)
    assert read_back(corpus, tmp_path / ".out") == split_at(ids, LENGTHS)
    assert corpus.skipped == {}, "the index is read, not left out"
    with pytest.raises(CorpusError, match=r"idx says .*, not int64; leave dtype out"):
        register_token_files(str(tmp_path), tokenizer, tmp_path / ".out", dtype="int64")


def test_documents_of_several_sequences_and_parts_of_one_index(tokenizer, tmp_path):
    """Megatron groups sentences into documents; Pythia's stream is cut into parts that share one index."""
    ids = ids_without_end(2, sum(LENGTHS)).astype("<u2")
    for number, part in enumerate(np.array_split(ids, 3)):
        part.tofile(tmp_path / f"document-{number:05d}-of-00003.bin")
    write_index(tmp_path / "document.idx", LENGTHS, 8, documents=[0, 2, 4])
    corpus = register_token_files(str(tmp_path), tokenizer, tmp_path / ".out")
    assert read_back(corpus, tmp_path / ".out") == split_at(ids, [400, 349])
    (tmp_path / "document-00001-of-00003.bin").unlink()
    with pytest.raises(CorpusError, match=r"tells of 749 tokens, the files beside it hold \d+; parts are missing"):
        register_token_files(str(tmp_path), tokenizer, tmp_path / ".out")


def test_end_of_text_inside_a_packed_row_ends_a_document_too(tokenizer, tmp_path):
    rows = ids_without_end(3, 4 * 9).reshape(4, 9)
    rows[1, 4] = rows[2, 0] = rows[3, 8] = 0
    rows.astype("<u2").tofile(tmp_path / "rows.bin")
    write_index(tmp_path / "rows.idx", [9] * 4, 8)
    corpus = register_token_files(str(tmp_path), tokenizer, tmp_path / ".out")
    expected = [rows[0], rows[1, :4], rows[1, 5:], rows[2, 1:], rows[3, :8]]
    assert read_back(corpus, tmp_path / ".out") == [part.tolist() for part in expected]
    assert corpus.separator_count == 3


@pytest.mark.parametrize("damage", ["magic", "cut", "gap"])
def test_indexes_that_cannot_be_trusted(tokenizer, tmp_path, damage):
    ids_without_end(1, 30).astype("<u2").tofile(tmp_path / "a.bin")
    index = tmp_path / "a.idx"
    write_index(index, [10, 20], 8, itemsize=3 if damage == "gap" else 2)
    data = index.read_bytes()
    index.write_bytes({"magic": b"TNTIDX\0\0" + data[8:], "cut": data[:-9], "gap": data}[damage])
    with pytest.raises(CorpusError, match=r"a\.idx is no Megatron|a\.idx is damaged|sequences of .*a\.idx"):
        register_token_files(str(tmp_path), tokenizer, tmp_path / ".out")


def test_without_a_dtype_the_vocabulary_says_the_width(large, tmp_path):
    ids = np.append(ids_without_end(4, 4000, 69_999), 69_999)
    ids.astype("<u4").tofile(tmp_path / "tokens.bin")
    corpus = register_token_files(str(tmp_path / "tokens.bin"), large, tmp_path / "out")
    assert (corpus.token_count, corpus.dtype) == (4001, "<u4")
    with pytest.raises(CorpusError, match="of another kind: pass dtype = 'uint32'"):
        register_token_files(str(tmp_path / "tokens.bin"), large, tmp_path / "out", dtype="uint16")
    ids.astype(">u4").tofile(tmp_path / "tokens.bin")
    with pytest.raises(CorpusError, match="of another kind: pass dtype = '>u4'"):
        register_token_files(str(tmp_path / "tokens.bin"), large, tmp_path / "out")
    corpus = register_token_files(str(tmp_path / "tokens.bin"), large, tmp_path / "out", dtype=">u4")
    assert read_back(corpus, tmp_path / "out") == [ids[:-1].tolist()]


def test_wide_ids_of_a_small_vocabulary_are_not_read_as_halves(tokenizer, tmp_path):
    ids = np.append(ids_without_end(5, 200), 0)
    ids.astype("<u4").tofile(tmp_path / "tokens.bin")
    with pytest.raises(CorpusError, match=r"every second id is .*pass dtype = 'uint32'"):
        look_at_token_files(str(tmp_path / "tokens.bin"), vocabulary_size=270)
    with pytest.raises(CorpusError, match="every second id is"):
        register_token_files(str(tmp_path / "tokens.bin"), tokenizer, tmp_path / "out")
    corpus = register_token_files(str(tmp_path / "tokens.bin"), tokenizer, tmp_path / "out", dtype="uint32")
    assert corpus.token_count == 201


def test_headerless_npy_files_are_streams(tokenizer, tmp_path):
    """OLMo and Dolma call raw memory maps .npy; tables of metadata lie beside them."""
    texts = [ids_without_end(seed, 20 + seed) for seed in range(4)]
    for part in range(2):
        np.concatenate([np.append(t, 0) for t in texts[2 * part : 2 * part + 2]]).astype("<u2").tofile(
            tmp_path / f"part-{part}-00000.npy"
        )
        (tmp_path / f"part-{part}-00000.csv.gz").write_bytes(b"\x1f\x8b")
    corpus = register_token_files(str(tmp_path), tokenizer, tmp_path / ".out")
    assert read_back(corpus, tmp_path / ".out") == [text.tolist() for text in texts]
    assert corpus.skipped == {"file left out: no token file": 2}


@pytest.mark.parametrize("dtype", ["<u2", ">u2", ">u4", "<i8"])
def test_arrays_of_one_dimension_are_streams_in_any_byte_order(tokenizer, tmp_path, dtype):
    ids = np.append(ids_without_end(6, 50), [0, 7, 8, 9])
    np.save(tmp_path / "a.npy", ids.astype(dtype))
    corpus = register_token_files(str(tmp_path / "a.npy"), tokenizer, tmp_path / "out")
    assert read_back(corpus, tmp_path / "out") == [ids[:50].tolist(), [7, 8, 9]]
    assert corpus.dtype == dtype


@pytest.mark.parametrize(("magic", "version", "dtype"), [(20240520, 1, "<u2"), (20240801, 7, "<u4")])
def test_headers_of_llm_c(tokenizer, tmp_path, magic, version, dtype):
    """End of text stands in front of every document there."""
    texts = [ids_without_end(seed, 30) for seed in range(3)]
    ids = np.concatenate([np.insert(text, 0, 0) for text in texts])
    header = np.zeros(256, dtype="<i4")
    header[:3] = magic, version, len(ids)
    (tmp_path / "tinyshakespeare_000001.bin").write_bytes(header.tobytes() + ids.astype(dtype).tobytes())
    corpus = register_token_files(str(tmp_path), tokenizer, tmp_path / ".out")
    assert read_back(corpus, tmp_path / ".out") == [text.tolist() for text in texts]
    assert (corpus.separator_count, corpus.skipped) == (3, {})
    (tmp_path / "tinyshakespeare_000001.bin").write_bytes(header.tobytes() + ids.astype(dtype).tobytes()[:-4])
    with pytest.raises(CorpusError, match="tells of 93 tokens, it holds"):
        register_token_files(str(tmp_path), tokenizer, tmp_path / ".out")


@pytest.mark.parametrize("dtype", ["<u2", "<u4"])
def test_the_separator_of_infini_gram_is_no_token(tokenizer, tmp_path, dtype):
    texts, separator = [ids_without_end(seed, 30 + seed) for seed in range(5)], np.iinfo(dtype).max
    for part, chosen in enumerate([texts[:2], texts[2:]]):
        shard = np.concatenate([np.insert(text, 0, separator) for text in chosen]).astype(dtype)
        shard.tofile(tmp_path / f"tokenized.{part}")
        (tmp_path / f"offset.{part}").write_bytes(b"\0" * 8)
    corpus = register_token_files(str(tmp_path), tokenizer, tmp_path / ".out")
    assert read_back(corpus, tmp_path / ".out") == [text.tolist() for text in texts]
    assert corpus.token_count == sum(map(len, texts))


def test_the_splits_of_nanogpt_are_two_corpora(tokenizer, tmp_path):
    train, val = (np.append(ids_without_end(seed, 40), 0) for seed in (1, 2))
    train.astype("<u2").tofile(tmp_path / "train.bin")
    val.astype("<u2").tofile(tmp_path / "val.bin")
    (tmp_path / "meta.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(CorpusError, match=r"the splits train \(1 files\), validation \(1 files\); choose one"):
        register_token_files(str(tmp_path), tokenizer, tmp_path / ".out")
    corpus = register_token_files(str(tmp_path), tokenizer, tmp_path / ".out", split="train")
    assert read_back(corpus, tmp_path / ".out") == [train[:-1].tolist()]
    assert corpus.skipped == {"file left out: not of the split train": 2}
    corpus = register_token_files(str(tmp_path), tokenizer, tmp_path / ".out", split="all", subset_by="file")
    assert corpus.documents["subset"].to_list() == ["train", "val"]


def test_a_stream_in_which_nothing_ends_a_document_is_refused(tokenizer, tmp_path):
    for name, seed in (("a.bin", 1), ("b.bin", 2)):
        ids_without_end(seed, 99).astype("<u2").tofile(tmp_path / name)
    with pytest.raises(CorpusError, match=r"no end-of-text token \(id 0\) among its 198 tokens, so nothing tells"):
        register_token_files(str(tmp_path), tokenizer, tmp_path / ".out")
    assert not list((tmp_path / ".out").iterdir()), "nothing is left of it"
    corpus = register_token_files(str(tmp_path), tokenizer, tmp_path / ".out", documents="files")
    assert corpus.documents["token_count"].to_list() == [99, 99]


def test_layouts_are_not_mixed(tokenizer, tmp_path):
    ids_without_end(1, 9).astype("<u2").tofile(tmp_path / "a.bin")
    np.save(tmp_path / "b.npy", np.ones((2, 3), dtype=np.uint16))
    with pytest.raises(CorpusError, match=r"several layouts: a\.bin \(raw\), b\.npy \(numpy rows\)"):
        register_token_files(str(tmp_path), tokenizer, tmp_path / ".out")
    np.savez(tmp_path / "c.npy", x=np.ones(3))  # savez adds .npz
    (tmp_path / "c.npy.npz").rename(tmp_path / "c.npy")
    with pytest.raises(CorpusError, match=r"no \.bin or \.npy file"):
        register_token_files(str(tmp_path), tokenizer, tmp_path / ".out", include=["c.npy"])
