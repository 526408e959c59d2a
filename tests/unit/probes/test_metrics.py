"""The small formulas: exact match and its bins, likeness of two continuations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.errors import ProbeError
from probes.scoring.generation import likeness
from probes.scoring.teacher_forced import em_bin, leading_match, zlib_byte_counts

SEQUENCES = st.integers(1, 30).flatmap(
    lambda length: st.tuples(*[st.lists(st.integers(0, 5), min_size=length, max_size=length)] * 2)
)


@given(SEQUENCES)
def test_leading_match_counts_until_the_first_miss(pair):
    ours, theirs = pair
    expected = next((index for index in range(len(ours)) if ours[index] != theirs[index]), len(ours))
    assert leading_match(torch.tensor([ours]), torch.tensor([theirs])).tolist() == [expected]


def test_bins_are_those_of_the_paper():
    bins = {0: "0-10", 10: "0-10", 11: "11-29", 29: "11-29", 30: "30-49", 49: "30-49", 50: "50"}
    assert {match: em_bin(match) for match in bins} == bins


def test_bins_of_pythia_windows_keep_their_shares():
    assert [em_bin(match, 32) for match in (6, 7, 18, 19, 31, 32)] == ["0-6", "7-18", "7-18", "19-31", "19-31", "32"]


@given(st.integers(1, 300))
def test_bins_cover_every_match_once_and_in_order(length):
    names = list(dict.fromkeys(em_bin(match, length) for match in range(length + 1)))
    ends = [tuple(map(int, name.split("-"))) for name in names[:-1]]
    assert names[-1] == str(length)
    assert [match for low, high in ends for match in range(low, high + 1)] == list(range(length))


@pytest.mark.parametrize("match", [-1, 51])
def test_matches_out_of_range_are_refused(match):
    with pytest.raises(ProbeError, match=r"not in 0\.\.50"):
        em_bin(match)


def edit_distance(ours: list[int], theirs: list[int]) -> int:
    row = list(range(len(theirs) + 1))
    for i, one in enumerate(ours, 1):
        previous, row[0] = row[0], i
        for j, other in enumerate(theirs, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (one != other))
    return row[-1]


def common_subsequence(ours: list[int], theirs: list[int]) -> int:
    table = np.zeros((len(ours) + 1, len(theirs) + 1), dtype=int)
    for i, one in enumerate(ours, 1):
        for j, other in enumerate(theirs, 1):
            table[i, j] = table[i - 1, j - 1] + 1 if one == other else max(table[i - 1, j], table[i, j - 1])
    return int(table[-1, -1])


def plain_bleu(ours: list[int], theirs: list[int]) -> float:
    """BLEU-4 as Papineni et al. 2002 write it, for pairs with a match of every order and equal lengths."""
    precisions = []
    for n in range(1, 5):
        mine = [tuple(ours[i : i + n]) for i in range(len(ours) - n + 1)]
        true = [tuple(theirs[i : i + n]) for i in range(len(theirs) - n + 1)]
        precisions.append(sum(min(mine.count(gram), true.count(gram)) for gram in set(mine)) / len(mine))
    return math.prod(precisions) ** 0.25


@settings(max_examples=60, deadline=None)
@given(SEQUENCES)
def test_likeness_equals_the_textbook_tables(pair):
    ours, theirs = pair
    found = likeness(np.array(ours), np.array(theirs))
    assert found["levenshtein"] == edit_distance(ours, theirs)
    assert found["rouge_l"] == pytest.approx(common_subsequence(ours, theirs) / len(ours))
    assert found["token_accuracy"] == pytest.approx(np.mean(np.array(ours) == np.array(theirs)))
    assert 0 <= found["bleu"] <= 1 + 1e-12


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=8, max_size=30), st.integers(0, 25))
def test_bleu_without_smoothing_is_the_plain_formula(truth, spoiled_from):
    generated = [token if index < max(spoiled_from, 4) else 99 for index, token in enumerate(truth)]
    assert likeness(np.array(generated), np.array(truth))["bleu"] == pytest.approx(plain_bleu(generated, truth))


def test_zlib_counts_bytes_not_characters():
    repeated, varied = zlib_byte_counts(["ab" * 500, "".join(map(chr, range(200, 1200)))])
    assert repeated < 30 < 1000 < varied
    assert zlib_byte_counts(["\ud800", ""]) == [11, 8]
