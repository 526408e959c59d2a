"""Packed rows show every paragraph as often as the ladder says, at any offset, among other text of the corpus."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from corpus_stats.errors import CorpusError
from corpus_stats.paragraphs.packing import free_stretches, packed_rows, packing

LENGTH, ROW, SEPARATOR = 10, 32, 0


class Stream:
    """40 documents of 100 tokens; each token says where it is."""

    folder, token_count = "memory", 4000

    def read(self, offset: int, length: int) -> np.ndarray:
        places = np.arange(offset, offset + length)
        return np.where(places % 100 == 99, SEPARATOR, places + 1)


STREAM = Stream()
TAKEN = np.array([205, 1010, 3333])
PARAGRAPHS = 10_000 + np.arange(3 * LENGTH).reshape(3, LENGTH)
COPIES = np.array([400, 40, 0])


@pytest.fixture(scope="module")
def made() -> SimpleNamespace:
    layout = packing(COPIES, LENGTH, ROW, 6, seed=1)
    rows = packed_rows(layout, PARAGRAPHS, STREAM, TAKEN, SEPARATOR, seed=1)  # type: ignore[arg-type]
    return SimpleNamespace(layout=layout, rows=rows)


def _whole_exposures(rows: np.ndarray, paragraph: np.ndarray) -> tuple[int, set[int]]:
    windows = np.lib.stride_tricks.sliding_window_view(rows, LENGTH, axis=1)
    found = np.argwhere((windows == paragraph).all(axis=2))
    return len(found), set(found[:, 1].tolist())


def test_complete_exposures_are_those_one_finds_in_the_rows(made: SimpleNamespace) -> None:
    counted = made.layout.complete_counts(len(COPIES))
    assert counted.tolist() == [_whole_exposures(made.rows, paragraph)[0] for paragraph in PARAGRAPHS]
    assert 0 < counted[0] < COPIES[0] and counted[2] == 0


def test_exposures_begin_at_every_offset_of_a_row(made: SimpleNamespace) -> None:
    assert _whole_exposures(made.rows, PARAGRAPHS[0])[1] == set(range(ROW - LENGTH + 1))


def test_no_token_is_lost_but_those_behind_the_last_row(made: SimpleNamespace) -> None:
    tokens = made.rows.ravel()
    shown = np.isin(tokens, PARAGRAPHS).sum()
    assert COPIES.sum() * LENGTH - ROW < shown <= COPIES.sum() * LENGTH
    ends = (tokens == SEPARATOR).sum()
    assert ends >= COPIES.sum() - 3, "every document ends with the end-of-text token"


def test_other_text_is_real_and_never_a_measured_paragraph(made: SimpleNamespace) -> None:
    tokens = made.rows.ravel()
    other = tokens[(tokens != SEPARATOR) & (tokens < 10_000)] - 1
    measured = (TAKEN[:, None] + np.arange(LENGTH)).ravel()
    assert len(other) and not np.isin(other, measured).any()
    assert (np.diff(other) == 1).mean() > 0.5, "stretches of consecutive text, not single tokens"


def test_seed_decides_everything() -> None:
    def _rows(seed: int) -> np.ndarray:
        return packed_rows(packing(COPIES, LENGTH, ROW, 6, seed), PARAGRAPHS, STREAM, TAKEN, SEPARATOR, seed)  # type: ignore[arg-type]

    assert np.array_equal(_rows(3), _rows(3))
    assert not np.array_equal(_rows(3)[:50], _rows(4)[:50])


def test_impossible_requests_are_refused_in_one_sentence() -> None:
    with pytest.raises(CorpusError, match="use at least 20"):
        packing(COPIES, LENGTH, 19, 6, seed=1)
    with pytest.raises(CorpusError, match="too little text"):
        free_stretches(STREAM, np.array([150]), TAKEN, LENGTH, SEPARATOR, seed=1)  # type: ignore[arg-type]
