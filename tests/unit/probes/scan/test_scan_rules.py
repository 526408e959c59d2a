"""Rules of a scan that need no model: samples, stretches, marks, the null."""

import zlib
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from probes.errors import ProbeError
from probes.scan.anchored import run_lengths
from probes.scan.confirming import confirmed, spaced, united
from probes.scan.guessable import is_counting, mark, surprise_bits
from probes.scan.null import null_share, reach, shuffled_sentences
from probes.scan.passages import is_inside, longest_cover, merged
from probes.scan.plan import ScanPlan, refuse_short

LOGPROB = {"continuation_logprob_nats": pl.Float64}
PLAN = ScanPlan(prefix_length=4, continuation_length=4, least_match=2)


def exact_rows(matches: dict[int, int]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "position": list(matches),
            "exact_match": list(matches.values()),
            "is_memorized": [match == 4 for match in matches.values()],
            "continuation_logprob_nats": [-1.0 / (1 + match) for match in matches.values()],
        },
        schema_overrides={"position": pl.Int64, "exact_match": pl.Int32, "is_memorized": pl.Boolean, **LOGPROB},
    )


def test_starts_of_ranges_are_those_of_the_whole():
    plan = replace(PLAN, stride=3)
    whole = plan.starts(100)
    assert whole.tolist() == list(range(4, 97, 3))
    assert (
        np.concatenate([plan.starts(100, first, first + 10) for first in range(0, 100, 10)]).tolist() == whole.tolist()
    )


@pytest.mark.parametrize(("tokens", "stride"), [(300, 1), (5_000, 1), (400_000, 1), (5_000, 7)])
def test_one_start_of_each_block_is_sampled(tokens, stride):
    plan = ScanPlan(stride=stride)
    sample = plan.sampled(tokens)
    assert set(sample) <= set(plan.starts(tokens)) and 28 <= len(sample) <= 1001
    assert (np.diff(sample) > 0).all() and (plan.sampled(tokens) == sample).all()
    assert len(set(replace(plan, seed=2).sampled(tokens)) - set(sample)) > 0 or tokens == 300
    held = max(1, plan.block_length(tokens) // stride)
    assert len(sample) == -(-len(plan.starts(tokens)) // held)


def test_a_plan_that_cannot_be_met_is_refused_in_a_sentence():
    for wrong in ({"method": "fast"}, {"prefix_length": 1}, {"stride": 0}, {"continuation_length": 0}):
        with pytest.raises(ProbeError, match="scan"):
            ScanPlan(**wrong)
    with pytest.raises(ProbeError, match=r"note\.txt has 7 tokens, a window needs 8"):
        refuse_short(7, PLAN, "note.txt")


def test_runs_of_hits_end_at_the_miss_and_at_the_most():
    hits = np.array([[1, 1, 0, 1, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0, 0, 1]], dtype=bool)
    assert run_lengths(hits, 3).tolist() == [[2, 1, 0, 3, 3, 3, 2, 1], [0, 0, 2, 1, 0, 0, 0, 1]]


def test_stretches_that_overlap_or_touch_are_one():
    firsts, stops = united(np.array([0, 3, 5, 20, 22]), np.array([4, 5, 8, 30, 25]))
    assert (firsts.tolist(), stops.tolist()) == ([0, 20], [8, 30])


def test_passages_hold_the_union_of_their_recitals():
    found = merged(exact_rows({10: 4, 11: 4, 14: 2, 17: 3, 30: 2}))
    assert found.select("first_position", "token_count", "start_count", "memorized_start_count").rows() == [
        (10, 6, 3, 2), (17, 3, 1, 0), (30, 2, 1, 0),
    ]  # fmt: skip
    assert found["longest_match"].to_list() == [4, 3, 2] and found["best_position"].to_list() == [10, 17, 30]
    assert merged(exact_rows({})).is_empty()
    assert is_inside(found, np.array([10, 12, 13, 17, 0, 40]), 4).tolist() == [True, True, False, False, False, False]
    assert longest_cover(exact_rows({10: 4, 13: 2}), 16).tolist() == [0] * 10 + [4, 4, 4, 4, 2, 0]


def test_few_windows_confirm_a_long_stretch_and_closer_ones_are_tried_where_they_fail():
    asked = []

    def score(starts, recited=lambda start: True):
        asked.extend(starts.tolist())
        return exact_rows({int(start): 4 if recited(start) else 0 for start in starts})

    hints = pl.DataFrame({"position": np.arange(100), "anchored_match": np.full(100, 4, dtype=np.int32)})
    found = confirmed(hints, score, PLAN)
    assert asked == [*range(0, 100, 4), 97, 99] and found.height == 27
    asked.clear()
    found = confirmed(hints, lambda starts: score(starts, lambda start: start % 4 == 1), PLAN)
    assert merged(found.filter(pl.col("exact_match") >= 2)).select("first_position", "token_count").rows() == [(1, 100)]
    assert spaced(np.array([5, 6, 7, 9, 30]), 3).tolist() == [5, 9, 30]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (", ".join(str(n) for n in range(7, 60)), "counting"),
        ("\n".join(f"{n}. " for n in range(1, 40)), "counting"),
        ("ha " * 60, "repetition"),
        ("= - " * 40, "repetition"),
        ("In the beginning God created the heaven and the earth. And the earth was without form, and void", None),
        ("Copyright (C) 2007 Free Software Foundation, Inc. Everyone is permitted to copy and distribute", None),
    ],
)
def test_guessable_text_is_marked(text, reason):
    ids = np.array([zlib.crc32(word.encode()) % 5000 for word in text.replace(",", " ,").split()])
    assert mark(ids, text, "Some text before. ") == reason


def test_a_copy_of_the_prefix_surprises_less():
    text = "the quick brown fox jumps over the lazy dog while seven wizards hum"
    assert surprise_bits(text, text) < 0.3 * surprise_bits(text, "something else entirely")
    assert mark(np.arange(14), text, f"{text}. Once more: ") == "copied prefix"
    assert not is_counting("In 1914 and again in 1939 wars began; 1945 ended one, 1918 the other, 1871 a third. 12")


def test_shuffling_keeps_the_sentences_and_loses_their_order():
    text = "".join(f"Sentence {n} says {n * n}. " for n in range(80))
    mixed = shuffled_sentences(text, seed=1)
    assert sorted(mixed.split(". ")) == sorted(text.split(". ")) and mixed != text
    assert shuffled_sentences(text, seed=1) == mixed != shuffled_sentences(text, seed=2)
    code = "".join(f"value_{n} = call({n})\n" for n in range(90))
    assert sorted(shuffled_sentences(code, 1).splitlines()) == sorted(code.splitlines())
    assert shuffled_sentences("", 1) == "" and len(shuffled_sentences("one line without an end", 1)) > 20


def test_shares_stand_beside_an_interval_over_blocks():
    plan = ScanPlan()
    frame = pl.DataFrame({"position": np.arange(50, 20_050, 50), "exact_match": [50] * 40 + [12] * 60 + [0] * 300})
    found = reach(frame, 20_100, plan)
    assert found["match"].to_list() == [10, 20, 50]
    assert found["share"].to_list() == pytest.approx([0.25, 0.1, 0.1], abs=1e-9)
    assert (found["share_lower"] < found["share"]).all() and (found["share_upper"] > found["share"]).all()
    assert found["share_upper"][2] < 0.25 and found["start_count"].to_list() == [400] * 3
    assert reach(frame.clear(), 20_100, plan)["share"].null_count() == 3


def test_no_passage_is_rarer_than_the_null_can_tell():
    assert null_share(np.array([50, 20, 3]), np.array([0, 1, 2, 20, 30])).tolist() == [1 / 6, 3 / 6, 3 / 6]
