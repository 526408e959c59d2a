"""Packed training text: documents of unrelated real text with one ladder paragraph in each, joined and cut into rows.

Real models read text like that, and recite at any offset. Rows that always begin with the paragraph teach a position
key instead: one token in front, and nothing is recited any more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpus_stats.errors import CorpusError
from corpus_stats.tokens.stream import TokenStream

_DRAW_BATCH = 1 << 15
_MOST_BATCHES = 64


@dataclass(frozen=True)
class Packing:
    """Where every exposure lies in the packed stream. Nothing in it depends on the text.

    Attributes:
        paragraph: index of the paragraph of each document, [document].
        before: tokens of unrelated text before it, [document].
        after: tokens of unrelated text after it, [document].
        paragraph_length: tokens of a paragraph.
        row_length: tokens of a row.
    """

    paragraph: np.ndarray
    before: np.ndarray
    after: np.ndarray
    paragraph_length: int
    row_length: int

    @property
    def starts(self) -> np.ndarray:
        """Stream position of the first token of each exposure, [document]."""
        return self._ends() - 1 - self.after - self.paragraph_length

    @property
    def row_count(self) -> int:
        """Whole rows; tokens that do not fill a last row are dropped."""
        return int(self._ends()[-1]) // self.row_length if len(self.paragraph) else 0

    def is_complete(self) -> np.ndarray:
        """Whether an exposure lies within one row, so that it is read whole, [document]."""
        first, last = self.starts // self.row_length, (self.starts + self.paragraph_length - 1) // self.row_length
        return (first == last) & (last < self.row_count)

    def complete_counts(self, paragraph_count: int) -> np.ndarray:
        """Complete exposures, int64 [paragraph]."""
        return np.bincount(self.paragraph[self.is_complete()], minlength=paragraph_count)

    def _ends(self) -> np.ndarray:
        """Stream position behind each document and its end-of-text token, [document]."""
        return np.cumsum(self.before + self.paragraph_length + self.after + 1)


def packing(copies: np.ndarray, paragraph_length: int, row_length: int, unrelated_tokens: int, seed: int) -> Packing:
    """Order and place of all exposures.

    Args:
        copies: times each paragraph is shown, [paragraph]; zero or negative means never.
        paragraph_length: tokens of a paragraph.
        row_length: tokens of a row, at least those of two paragraphs.
        unrelated_tokens: mean tokens of unrelated text around an exposure, uniform between 0 and twice as many; a
            uniform share of them stands before it.
        seed: decides order and places.

    Raises:
        CorpusError: rows are too short to hold a paragraph at many offsets.
    """
    if row_length < 2 * paragraph_length:
        raise CorpusError(
            f"Rows of {row_length} tokens hold a paragraph of {paragraph_length} at few offsets; use at least "
            f"{2 * paragraph_length}."
        )
    generator = np.random.default_rng(seed)
    order = np.repeat(np.arange(len(copies)), np.maximum(copies, 0))
    generator.shuffle(order)
    around = generator.integers(0, 2 * unrelated_tokens, len(order), endpoint=True)
    before = generator.integers(0, around, endpoint=True)
    return Packing(order, before, around - before, paragraph_length, row_length)


def bare_row_order(copies: np.ndarray, background_count: int, seed: int) -> np.ndarray:
    """Order of rows that hold one paragraph each and nothing else, which teaches a position key: for comparison.

    Paragraph i appears copies[i] times, each background row (after them) once.

    Args:
        copies: times each paragraph is shown, [paragraph]; zero or negative means never.
        background_count: rows that follow the paragraphs and are shown once.
        seed: of the shuffle.

    Returns:
        int64 indices into the concatenation of paragraphs and background, [presentation].
    """
    repeated = np.repeat(np.arange(len(copies)), np.maximum(copies, 0))
    order = np.concatenate([repeated, len(copies) + np.arange(background_count)])
    np.random.default_rng(seed).shuffle(order)
    return order


def packed_rows(
    layout: Packing, paragraphs: np.ndarray, stream: TokenStream, taken: np.ndarray, separator: int, seed: int
) -> np.ndarray:
    """The rows themselves: every exposure at its place, unrelated text around it, `separator` behind each document.

    Args:
        layout: places of the exposures.
        paragraphs: token ids, [paragraph, position].
        stream: the corpus that unrelated text comes from.
        taken: stream positions of the measured paragraphs in the corpus, [paragraph]; unrelated text avoids them.
        separator: end-of-text id.
        seed: decides which unrelated text.

    Returns:
        int64 [row, position].

    Raises:
        CorpusError: the corpus has too little text outside the measured paragraphs.
    """
    lengths = np.stack([layout.before, layout.after], axis=1).ravel()
    offsets = free_stretches(stream, lengths, taken, layout.paragraph_length, separator, seed)
    places = np.stack([layout.starts - layout.before, layout.starts + layout.paragraph_length], axis=1).ravel()
    packed = np.full(int(places[-1] + lengths[-1]) + 1, separator, dtype=np.int64)
    for place, offset, length in zip(places.tolist(), offsets.tolist(), lengths.tolist(), strict=True):
        packed[place : place + length] = stream.read(offset, length)
    packed[layout.starts[:, None] + np.arange(layout.paragraph_length)] = paragraphs[layout.paragraph]
    return packed[: layout.row_count * layout.row_length].reshape(layout.row_count, layout.row_length)


def free_stretches(
    stream: TokenStream, lengths: np.ndarray, taken: np.ndarray, taken_length: int, separator: int, seed: int
) -> np.ndarray:
    """Random stretches of text within one document that touch none of the windows at `taken`.

    Args:
        stream: the corpus.
        lengths: tokens of each stretch, [stretch].
        taken: stream positions of windows to avoid, [window].
        taken_length: tokens of such a window.
        separator: end-of-text id, which no stretch holds.
        seed: of the draw.

    Returns:
        Stream positions, int64 [stretch].

    Raises:
        CorpusError: there is too little such text.
    """
    generator, offsets = np.random.default_rng(seed), np.zeros(len(lengths), dtype=np.int64)
    blocked = _blocked_until(stream, np.sort(taken), taken_length, separator)
    open_rows = np.flatnonzero(lengths > 0)
    for _ in range(_MOST_BATCHES):
        if not len(open_rows):
            return offsets
        draw = open_rows[:_DRAW_BATCH]
        places = generator.integers(0, stream.token_count, len(draw))
        fits = places + lengths[draw] <= blocked[places]
        offsets[draw[fits]] = places[fits]
        open_rows = np.concatenate([draw[~fits], open_rows[_DRAW_BATCH:]])
    if len(open_rows):
        raise CorpusError(
            f"The corpus in {stream.folder} has too little text outside the measured paragraphs for stretches of up "
            f"to {int(lengths.max())} tokens; use shorter ones or a larger corpus."
        )
    return offsets


def _blocked_until(stream: TokenStream, taken: np.ndarray, taken_length: int, separator: int) -> np.ndarray:
    """The first position at or after each one that a stretch must not hold, int64 [token]."""
    is_blocked = stream.read(0, stream.token_count) == separator
    for offset in taken.tolist():
        is_blocked[offset : offset + taken_length] = True
    positions = np.append(np.flatnonzero(is_blocked), stream.token_count)
    return positions[np.searchsorted(positions, np.arange(stream.token_count))]
