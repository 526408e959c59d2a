"""Arithmetic of packing: which sequences of a packed stream hold which tokens of a stretch of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_SCAN_ENTRIES = 1 << 22


@dataclass(frozen=True)
class Pieces:
    """Parts of stretches as sequences hold them, all [piece].

    Attributes:
        stretch: index of the stretch.
        sequence: number of the sequence, in the order of the packing or of the training.
        sequence_offset: place of the first held token in the sequence.
        stretch_offset: the same token's place in the stretch.
        token_count: held tokens.
    """

    stretch: np.ndarray
    sequence: np.ndarray
    sequence_offset: np.ndarray
    stretch_offset: np.ndarray
    token_count: np.ndarray

    def taken(self, rows: np.ndarray, sequence: np.ndarray | None = None) -> Pieces:
        """Some of the pieces, or pieces several times, with other sequence numbers where these are given."""
        chosen = self.sequence[rows] if sequence is None else sequence
        rest = (self.sequence_offset[rows], self.stretch_offset[rows], self.token_count[rows])
        return Pieces(self.stretch[rows], chosen, *rest)


def spread(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row i repeated counts[i] times, and the number of the repetition, both [repetition]."""
    rows = np.repeat(np.arange(len(counts)), counts)
    return rows, np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)


def packed_pieces(starts: np.ndarray, lengths: np.ndarray, stride: int, width: int, sequence_count: int) -> Pieces:
    """Pieces of stretches of a stream that is cut into sequences.

    Args:
        starts: first token of each stretch in the stream, [stretch].
        lengths: tokens of each, [stretch].
        stride: tokens between the beginnings of two sequences.
        width: tokens of a sequence; more than `stride` where the next repeats the last ones.
        sequence_count: whole sequences of the stream.
    """
    first = np.maximum(-((width - 1 - starts) // stride), 0)
    last = np.minimum((starts + lengths - 1) // stride, sequence_count - 1)
    rows, nth = spread(np.maximum(np.where(lengths > 0, last - first + 1, 0), 0))
    sequence = first[rows] + nth
    begins = np.maximum(starts[rows], sequence * stride)
    ends = np.minimum(starts[rows] + lengths[rows], sequence * stride + width)
    return Pieces(rows, sequence, begins - sequence * stride, begins - starts[rows], ends - begins)


def places_of(wanted: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where values stand in a long array, which is read piece by piece.

    Args:
        wanted: values, any order and number of times, [value].
        order: the array, possibly memory mapped, [place].

    Returns:
        index of the value and its place, both [hit], by value and then by place.
    """
    distinct, inverse = np.unique(wanted, return_inverse=True)
    values, places = [], []
    for begin in range(0, len(order), _SCAN_ENTRIES):
        piece = np.asarray(order[begin : begin + _SCAN_ENTRIES]).astype(np.int64, copy=False)
        at = np.minimum(np.searchsorted(distinct, piece), max(len(distinct) - 1, 0))
        hits = np.flatnonzero(distinct[at] == piece) if len(distinct) else np.zeros(0, dtype=np.int64)
        values.append(at[hits])
        places.append(hits + begin)
    found, where = (np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64) for parts in (values, places))
    by_value = np.argsort(found, kind="stable")
    found, where = found[by_value], where[by_value]
    bounds = np.searchsorted(found, np.arange(len(distinct) + 1))
    rows, nth = spread((bounds[1:] - bounds[:-1])[inverse] if len(distinct) else np.zeros(0, dtype=np.int64))
    return rows, where[bounds[inverse[rows]] + nth]
