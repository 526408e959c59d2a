"""Training orders against sequences put together one token after the other, and Megatron's own index builder."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_stats import CorpusError
from corpus_stats.tokens.stream import TokenStream
from corpus_stats.training_order import exposures, read_order
from corpus_stats.training_order.orders import PackedOrder

Sequence = list[tuple[int, int]]


def stream_of(folder: Path, parts: list[np.ndarray]) -> TokenStream:
    """A stream of one file per part."""
    shards = []
    for number, part in enumerate(part for part in parts if len(part)):
        part.astype("<u2").tofile(folder / f"{number}.bin")
        shards.append({"file": f"{number}.bin", "token_count": len(part)})
    return TokenStream(folder, {"dtype": "<u2", "shards": shards})


def by_hand(
    trained: list[Sequence], ids: np.ndarray, paragraphs: np.ndarray, batch: int, ends: np.ndarray | None
) -> set:
    """What `exposures` says, from sequences of (token's stream position, how the sequence came by it)."""
    rows = set()
    length = paragraphs.shape[1]
    of_token = np.zeros(len(ids)) if ends is None else np.searchsorted(ends, np.arange(len(ids)), "right")
    for number, paragraph in enumerate(paragraphs):
        for at in range(len(ids) - length + 1):
            if not np.array_equal(ids[at : at + length], paragraph) or of_token[at] != of_token[at + length - 1]:
                continue
            for place, sequence in enumerate(trained):
                runs: dict[int, list[int]] = {}
                for offset, (position, visit) in enumerate(sequence):
                    if at <= position < at + length:
                        runs.setdefault(visit, []).append(offset)
                for held in runs.values():
                    first = sequence[held[0]][0] - at
                    rows.add((number, place, place // batch + 1, held[0], first, len(held), len(held) == length, at))
    return rows


def found(frame) -> set:
    """Rows of a frame without their number, which must count them."""
    for _, group in frame.group_by("row"):
        assert group["exposure"].to_list() == list(range(group.height))
        assert group["training_sequence"].is_sorted()
    rows = frame.drop("exposure").rows()
    assert len(set(rows)) == len(rows)
    return set(rows)


def drawn(ids: np.ndarray, generator: np.random.Generator, length: int, count: int = 5) -> np.ndarray:
    """Some paragraphs of a corpus, and one that it may not hold."""
    at = generator.integers(0, len(ids) - length + 1, count)
    return np.concatenate([ids[at[:, None] + np.arange(length)], [[9] * length]])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), width=st.integers(1, 12), rows=st.integers(1, 12), length=st.integers(1, 9))
def test_rows_in_order(seed, width, rows, length, tmp_path_factory):
    generator = np.random.default_rng(seed)
    ids = generator.integers(0, 3, width * rows)
    length = min(length, len(ids))
    stream = stream_of(tmp_path_factory.mktemp("rows"), np.split(ids, [len(ids) // 3]))
    paragraphs = drawn(ids, generator, length)
    frame = exposures(stream, read_order("rows", stream, width), paragraphs, 3)
    trained = [[(place, 0) for place in range(row * width, (row + 1) * width)] for row in range(rows)]
    assert found(frame) == by_hand(trained, ids, paragraphs, 3, None)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6), width=st.integers(1, 9), sizes=st.lists(st.integers(1, 25), min_size=1, max_size=4),
    length=st.integers(1, 12), epochs=st.integers(1, 2), header=st.booleans(),
)  # fmt: skip
def test_chunks_of_files_in_a_shuffled_order(seed, width, sizes, length, epochs, header, tmp_path_factory):
    """OLMo: each file is cut by itself, its rest is dropped, `global_indices` names chunks; several epochs, too."""
    folder, generator = tmp_path_factory.mktemp("chunks"), np.random.default_rng(seed)
    parts = [generator.integers(0, 3, size) for size in sizes]
    ids = np.concatenate(parts)
    chunks, base = [], 0
    for part in parts:
        chunks += [list(range(base + at, base + at + width)) for at in range(0, len(part) - width + 1, width)]
        base += len(part)
    order = np.concatenate([generator.permutation(len(chunks)) for _ in range(epochs)]).astype("<u4")
    stream = stream_of(folder, parts)
    if header:
        np.save(folder / "global_indices.npy", order)
    elif len(order):
        order.tofile(folder / "global_indices.npy")
    else:
        return
    paragraphs = drawn(ids, generator, min(length, len(ids)))
    frame = exposures(stream, read_order("chunks", stream, width, folder / "global_indices.npy"), paragraphs, 2)
    trained = [[(place, 0) for place in chunks[chunk]] for chunk in order.tolist()]
    assert found(frame) == by_hand(trained, ids, paragraphs, 2, None)


def slow_samples(lengths: list[int], documents: list[int], sequence_length: int) -> tuple[np.ndarray, list[Sequence]]:
    """Start of each sequence and its tokens: the documents joined, each sequence beginning at the last token of the one
    before (GPT-NeoX, `build_sample_idx`: "-1 here is for the same reason we have -1 in _num_epochs")."""
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    joined = [(visit, place) for visit, d in enumerate(documents) for place in range(bounds[d], bounds[d + 1])]
    count = (len(joined) - 1) // sequence_length
    starts, sequences = [], []
    for number in range(count + 1):
        visit, place = joined[number * sequence_length]
        starts.append((visit, place - bounds[documents[visit]]))
        held = joined[number * sequence_length : (number + 1) * sequence_length + 1]
        sequences.append([(place, visit) for visit, place in held])
    return np.array(starts), sequences[:count]


def neox(seed: int, lengths: list[int], epochs: int) -> tuple[np.ndarray, np.random.Generator]:
    """Documents of several epochs in a shuffled order, as `_build_doc_idx` makes them."""
    generator = np.random.default_rng(seed)
    documents = np.tile(np.arange(len(lengths)), epochs).astype(np.int32)
    generator.shuffle(documents)
    return documents, generator


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6), lengths=st.lists(st.integers(1, 15), min_size=2, max_size=8), width=st.integers(1, 8),
    length=st.integers(1, 8), epochs=st.integers(1, 3),
)  # fmt: skip
def test_documents_packed_as_neox_does(seed, lengths, width, length, epochs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("neox")
    documents, generator = neox(seed, lengths, epochs)
    ids = generator.integers(0, 3, sum(lengths))
    starts, sequences = slow_samples(lengths, documents.tolist(), width)
    shuffle = generator.permutation(len(sequences)).astype(np.uint32)
    for name, array in (("doc_idx", documents), ("sample_idx", starts.astype(np.int32)), ("shuffle_idx", shuffle)):
        np.save(folder / f"p_{name}.npy", array)
    stream = stream_of(folder, np.split(ids, [len(ids) // 2]))
    paragraphs = drawn(ids, generator, min(length, len(ids)))
    order = read_order("neox", stream, width, folder / "p", np.array(lengths))
    trained = [sequences[number] for number in shuffle.tolist()]
    frame = exposures(stream, order, paragraphs, 2)
    assert found(frame) == by_hand(trained, ids, paragraphs, 2, np.cumsum(lengths))


@pytest.mark.skipif(importlib.util.find_spec("megatron") is None, reason="needs `pip install --no-deps megatron-core`")
@pytest.mark.parametrize("seed", range(5))
def test_indices_of_megatrons_own_builder(seed, tmp_path):
    """A corpus of 300 documents over three epochs, indices and samples as Megatron-LM makes and reads them."""
    from megatron.core.datasets import gpt_dataset, helpers_cpp

    random = np.random.RandomState(seed)
    generator = np.random.default_rng(seed)
    lengths, width, epochs = generator.integers(1, 90, 300).astype(np.int32), 32, 3
    documents = gpt_dataset._build_document_index(np.arange(300), epochs, random, seed % 2 == 1)
    samples = helpers_cpp.build_sample_idx_int32(lengths, documents, width, epochs, int(lengths.sum()), True, 1)
    count = len(samples) - 1
    shuffle = gpt_dataset._build_shuffle_index(count - (count // 3 if seed % 2 else 0), count, random)
    for name, array in (("doc_idx", documents), ("sample_idx", samples), ("shuffle_idx", shuffle)):
        np.save(tmp_path / f"p_{name}.npy", array)
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    ids = generator.integers(0, 50, int(lengths.sum()))
    trained = []
    for number in shuffle.tolist():  # as GPTDataset reads a sample
        (first, begin), (last, end) = samples[number], samples[number + 1]
        places = []
        for visit in range(first, last + 1):
            left = bounds[documents[visit]] + (begin if visit == first else 0)
            right = bounds[documents[visit]] + end + 1 if visit == last else bounds[documents[visit] + 1]
            places += [(place, visit) for place in range(left, right)]
        assert len(places) == width + 1
        trained.append(places)
    stream = stream_of(tmp_path, [ids])
    paragraphs = drawn(ids, generator, 12, 20)
    frame = exposures(stream, read_order("neox", stream, width, tmp_path / "p", lengths), paragraphs, 16)
    assert found(frame) == by_hand(trained, ids, paragraphs, 16, np.cumsum(lengths))
    assert frame["is_whole"].any() and not frame["is_whole"].all()


def test_indices_of_another_corpus_are_refused(tmp_path):
    lengths = np.array([5, 6, 7])
    starts, sequences = slow_samples(lengths.tolist(), [2, 0, 1], 4)
    order = np.arange(len(sequences))
    PackedOrder(lengths, np.array([2, 0, 1]), starts, order, 4).check("p")
    for lengths_then, documents in ((lengths + 1, [2, 0, 1]), (lengths, [0, 1, 2])):
        with pytest.raises(CorpusError, match="does not cut the documents"):
            PackedOrder(lengths_then, np.array(documents), starts, order, 4).check("p")
    with pytest.raises(CorpusError, match="names documents"):
        PackedOrder(lengths[:2], np.array([2, 0, 1]), starts, order, 4).check("p")
    stream = stream_of(tmp_path, [np.arange(10)])
    with pytest.raises(CorpusError, match="no whole number of rows of 4"):
        read_order("rows", stream, 4)
    np.save(tmp_path / "global_indices.npy", np.array([0, 3], dtype=np.uint32))
    with pytest.raises(CorpusError, match="names sequence 3, the corpus has 2"):
        read_order("chunks", stream, 4, tmp_path / "global_indices.npy")
    with pytest.raises(CorpusError, match="does not exist"):
        read_order("chunks", stream, 4, tmp_path / "missing.npy")
    with pytest.raises(CorpusError, match="needs its index"):
        read_order("neox", stream, 4)
    with pytest.raises(CorpusError, match="register the"):
        read_order("neox", stream, 4, tmp_path / "p")
