"""Filters and strata against their plain definitions and against the counts of the released data."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_stats import CorpusError
from corpus_stats.paragraphs.facts import unique_token_count
from corpus_stats.paragraphs.filters import FilterTally, contains_token_set, filter_strings, filter_token_sets
from corpus_stats.paragraphs.strata import occurrence_strata, stratified_rows, subset_coverage
from corpus_stats.tokens.tokenizer import train_tokenizer


def test_sixty_filter_strings():
    strings = filter_strings()
    assert len(strings) == len(set(strings)) == 60
    assert strings[:6] == ["TripAdvisor", " TripAdvisor", "TRIPADVISOR", " TRIPADVISOR", "Tripadvisor", " Tripadvisor"]


def test_token_sets_hold_no_special_tokens():
    tokenizer = train_tokenizer(["the license of the software " * 30], 280)
    sets = filter_token_sets(tokenizer, [" license", "<|endoftext|>ab"])
    assert set(sets[0]) == set(tokenizer.encode(" license"))
    assert tokenizer.eos_token_id not in sets[1], "the name of a special token is text"
    assert set(tokenizer.convert_tokens_to_ids(list("ab"))) <= set(sets[1])


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(0, 9), min_size=6, max_size=6), min_size=1, max_size=8),
    sets=st.lists(st.lists(st.integers(0, 11), max_size=4), max_size=4),
)
def test_token_sets_hit_as_sets_do(rows, sets):
    expected = [any(tokens and set(tokens) <= set(row) for tokens in sets) for row in rows]
    assert contains_token_set(np.array(rows), sets).tolist() == expected


def test_each_filter_reports_what_it_dropped():
    rows = np.array([[1, 2, 3, 4], [1, 1, 2, 2], [1, 2, 3, 9], [5, 6, 7, 8], [1, 1, 1, 9]])
    tally = FilterTally()
    kept = tally.add("occurs", np.array([1, 1, 1, 0, 1]) > 0)
    kept = tally.add("is_varied", unique_token_count(rows) > 2, kept)
    kept = tally.add("has_no_filter_string", ~contains_token_set(rows, [[9]]), kept)
    assert kept.tolist() == [True, False, False, False, False]
    assert tally.frame().drop("step").rows() == [
        ("occurs", 1, 1, 4),
        ("is_varied", 2, 2, 2),
        ("has_no_filter_string", 1, 2, 1),
    ]


def test_occurrence_strata_double_in_width():
    counts = np.array([0, 1, 2, 3, 4, 7, 8, 40_382])
    assert occurrence_strata(counts) == ["0", "1", "2-3", "2-3", "4-7", "4-7", "8-15", "32768-65535"]
    with pytest.raises(CorpusError, match="negative"):
        occurrence_strata(np.array([-1]))


def test_stratified_rows():
    strata = ["a"] * 50 + ["b"] * 3 + ["c"] * 20
    rows = stratified_rows(strata, 5, seed=2)
    assert [sum(strata[row] == name for row in rows) for name in "abc"] == [5, 3, 5]
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert rows.tolist() == stratified_rows(strata, 5, seed=2).tolist() != stratified_rows(strata, 5, seed=3).tolist()
    only_a = stratified_rows(strata, {"a": 5}, seed=2)
    assert only_a.tolist() == [row for row in rows.tolist() if row < 50], "strata do not disturb each other"


def test_subset_coverage_shows_what_a_sample_misses():
    documents = pl.DataFrame({"subset": ["a", "b", "a", "c"], "token_count": [10, 30, 10, 50]})
    sample = pl.DataFrame({"subset": ["c", "c", "c", "a"]})
    assert subset_coverage(sample, documents).rows() == [
        ("c", 50, 0.5, 3, 0.75),
        ("b", 30, 0.3, 0, 0.0),
        ("a", 20, 0.2, 1, 0.25),
    ]
    assert subset_coverage(sample.head(0), documents)["paragraph_share"].to_list() == [0, 0, 0]
