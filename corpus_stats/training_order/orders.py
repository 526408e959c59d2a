"""Training orders as suites publish them: rows in order, chunks with a list of indices, and NeoX' three indices.

* `rows`: the tokens lie in the order they were read, in rows of equal length (Pythia's shuffled memory map with rows of
  2,049; the chunks of LLM360).
* `chunks`: every file is cut into sequences, its rest left out, and an array names them in the order of training
  (`global_indices.npy` of OLMo; its `MemMapDataset` and `IterableDataset`).
* `neox`: documents are put in an order (`doc_idx`), joined, cut into sequences that share one token (`sample_idx`), and
  these are shuffled (`shuffle_idx`), as `GPT2Dataset` of GPT-NeoX and Megatron-LM's `GPTDataset` do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from corpus_stats.errors import CorpusError
from corpus_stats.tokens.stream import TokenStream
from corpus_stats.training_order.pieces import Pieces, packed_pieces, places_of, spread

Layout = Literal["rows", "chunks", "neox"]
_CHECKED_DOCUMENTS = 1 << 20


class TrainingOrder(Protocol):
    """Says in which training sequences stretches of the corpus were read."""

    def pieces(self, starts: np.ndarray, length: int) -> Pieces:
        """Pieces of stretches; `sequence` counts training sequences in the order they were read, from 0.

        Args:
            starts: stream positions of the stretches, [stretch].
            length: tokens of each.
        """
        ...


@dataclass(frozen=True)
class ChunkedOrder:
    """Sequences that are chunks of the stream, each segment (a file, or the whole) cut from its beginning.

    Attributes:
        segments: first stream position of each segment and the one behind the last, [segment + 1].
        sequence_length: tokens of a sequence; what is left at the end of a segment is in none.
        order: chunk that is read at each place of the training, [training sequence]; None: as they lie.
    """

    segments: np.ndarray
    sequence_length: int
    order: np.ndarray | None = None

    def pieces(self, starts: np.ndarray, length: int) -> Pieces:
        """See TrainingOrder; a stretch across two files is in sequences of both."""
        chunk_counts = np.diff(self.segments) // self.sequence_length
        bases = np.cumsum(chunk_counts) - chunk_counts
        first = np.searchsorted(self.segments, starts, side="right") - 1
        last = np.searchsorted(self.segments, starts + length - 1, side="right") - 1
        rows, nth = spread(last - first + 1)
        parts = [
            self._in_segment(rows[first[rows] + nth == segment], starts, length, int(segment), bases)
            for segment in np.unique(first[rows] + nth)
        ]
        joined = _joined(parts)
        if self.order is None:
            return joined
        rows, places = places_of(joined.sequence, self.order)
        return joined.taken(rows, places)

    def _in_segment(self, rows: np.ndarray, starts: np.ndarray, length: int, segment: int, bases: np.ndarray) -> Pieces:
        begin, end = int(self.segments[segment]), int(self.segments[segment + 1])
        left, right = np.maximum(starts[rows], begin), np.minimum(starts[rows] + length, end)
        size, count = self.sequence_length, (end - begin) // self.sequence_length
        found = packed_pieces(left - begin, right - left, size, size, count)
        offsets = found.stretch_offset + (left - starts[rows])[found.stretch]
        sequences = found.sequence + int(bases[segment])
        return Pieces(rows[found.stretch], sequences, found.sequence_offset, offsets, found.token_count)


@dataclass(frozen=True)
class PackedOrder:
    """Documents in the order of `doc_idx`, joined and cut into sequences that share a token with the next, shuffled.

    Attributes:
        lengths: tokens of each document of the corpus, end of text included, [document].
        documents: documents in the order they are joined, several times for several epochs, [place].
        samples: first document (a place in `documents`) and offset in it of each sequence and the end, [sequence, 2].
        order: sequence that is read at each place of the training, [training sequence].
        sequence_length: tokens that a sequence teaches; it holds one more.
    """

    lengths: np.ndarray
    documents: np.ndarray
    samples: np.ndarray
    order: np.ndarray
    sequence_length: int

    def pieces(self, starts: np.ndarray, length: int) -> Pieces:
        """See TrainingOrder; a stretch across two documents of the corpus was not read as such and is in none."""
        bounds = np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])
        document = np.searchsorted(bounds, starts, side="right") - 1
        whole = np.flatnonzero(starts + length <= bounds[np.minimum(document + 1, len(bounds) - 1)])
        rows, joined_at = self._documents_at(document[whole])
        flat = joined_at + (starts[whole] - bounds[document[whole]])[rows]
        size, count = self.sequence_length, len(self.samples) - 1
        found = packed_pieces(flat, np.full(len(flat), length), size, size + 1, count)
        again, places = places_of(found.sequence, self.order)
        found = found.taken(again, places)
        held = whole[rows[found.stretch]]
        return Pieces(held, found.sequence, found.sequence_offset, found.stretch_offset, found.token_count)

    def _documents_at(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Index into `wanted`, and the position of the document in the joined stream, [occurrence of a document]."""
        rows, places = places_of(wanted, self.documents)
        starts = np.zeros(len(places), dtype=np.int64)
        by_place = np.argsort(places, kind="stable")
        for begin, ends in self._joined_ends():
            here = by_place[slice(*np.searchsorted(places[by_place], [begin, begin + len(ends) - 1]))]
            starts[here] = ends[places[here] - begin]
        return rows, starts

    def _joined_ends(self) -> Iterator[tuple[int, np.ndarray]]:
        """Pieces of the joined stream: first place in `documents`, positions of its documents and behind the last."""
        base = 0
        for begin in range(0, len(self.documents), _CHECKED_DOCUMENTS):
            piece = np.asarray(self.documents[begin : begin + _CHECKED_DOCUMENTS]).astype(np.int64)
            ends = np.concatenate([[base], base + np.cumsum(self.lengths[piece], dtype=np.int64)])
            yield begin, ends
            base = int(ends[-1])

    def check(self, name: str) -> None:
        """Compare the three indices with each other and with the documents.

        Raises:
            CorpusError: they belong to another corpus, or were packed in another way.
        """
        if len(self.documents) and int(self.documents.max()) >= len(self.lengths):
            raise CorpusError(f"{name}_doc_idx.npy names documents that the corpus does not have; it is another's.")
        starts = np.asarray(self.samples[:, 0])
        for begin, ends in self._joined_ends():
            first, last = np.searchsorted(starts, [begin, begin + len(ends) - 1])
            at = ends[starts[first:last] - begin] + np.asarray(self.samples[first:last, 1])
            if not np.array_equal(at, np.arange(first, last) * self.sequence_length):
                raise CorpusError(
                    f"{name}_sample_idx.npy does not cut the documents of this corpus into sequences of "
                    f"{self.sequence_length}; it belongs to another corpus or length, or was packed in another way."
                )


def read_order(
    layout: Layout,
    stream: TokenStream,
    sequence_length: int,
    index: Path | None = None,
    document_lengths: np.ndarray | None = None,
) -> TrainingOrder:
    """The training order of a corpus of token files.

    Args:
        layout: see the module.
        stream: the corpus.
        sequence_length: of rows and chunks all tokens of a sequence (2,049, 2,048); of `neox` the setting `seq-length`,
            one less than what a sequence holds.
        index: of `chunks` the array of indices, `.npy` or a memory map of uint32; of `neox` what the names of the three
            files have in common (`pile_train_indexmap_…ns_2048sl_1234s`).
        document_lengths: of `neox` tokens of each document, [document], from the `.idx`.

    Raises:
        CorpusError: files are missing, or contradict the corpus.
    """
    if layout == "rows":
        if stream.token_count % sequence_length:
            raise CorpusError(
                f"The {stream.token_count} tokens of {stream.folder} are no whole number of rows of {sequence_length}; "
                "correct training_order.sequence_length."
            )
        return ChunkedOrder(np.array([0, stream.token_count]), sequence_length)
    if index is None:
        raise CorpusError(f"A training order of layout {layout!r} needs its index; name it (training_order.index).")
    if layout == "chunks":
        return _chunks(stream, sequence_length, index)
    if document_lengths is None:
        raise CorpusError(
            "NeoX' indices speak of the documents of an .idx; register the .bin files with it beside them."
        )
    documents, samples, order = (_array(Path(f"{index}_{name}_idx.npy")) for name in ("doc", "sample", "shuffle"))
    found = PackedOrder(document_lengths, documents, samples, order, sequence_length)
    found.check(str(index))
    return found


def _chunks(stream: TokenStream, sequence_length: int, index: Path) -> ChunkedOrder:
    order = _array(index)
    segments = np.append(stream.starts, stream.token_count)
    found = ChunkedOrder(segments, sequence_length, order)
    chunk_count = int((np.diff(segments) // sequence_length).sum())
    if len(order) and int(order.max()) >= chunk_count:
        raise CorpusError(
            f"{index} names sequence {int(order.max())}, the corpus has {chunk_count} of {sequence_length} tokens; it "
            "belongs to other files, or sequence_length is wrong."
        )
    return found


def _array(file: Path) -> np.ndarray:
    """A `.npy`, or where there is no header a memory map of uint32; never read as a whole."""
    if not file.is_file():
        raise CorpusError(f"The index {file} of the training order does not exist; check training_order.index.")
    with file.open("rb") as content:
        has_header = content.read(6) == b"\x93NUMPY"
    found = np.load(file, mmap_mode="r", allow_pickle=False) if has_header else np.memmap(file, "<u4", mode="r")
    if found.dtype.kind not in "ui":
        raise CorpusError(f"{file} holds {found.dtype}, no indices; it cannot be an index of a training order.")
    return found


def _joined(parts: list[Pieces]) -> Pieces:
    names = ("stretch", "sequence", "sequence_offset", "stretch_offset", "token_count")
    empty = np.zeros(0, dtype=np.int64)
    return Pieces(*(np.concatenate([empty, *(getattr(part, name) for part in parts)]) for name in names))
