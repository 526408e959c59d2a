"""No test that can award "supported" finds more in a null world than its level says, at 8 and at 30 clusters.

Few samples, so that this takes seconds: a test fails here where 8 % would show as many findings once in a thousand such
runs. docs/false_positives.md has the whole table, with hundreds of samples and 100 clusters.
"""

from __future__ import annotations

from collections import Counter

import pytest
from scipy.stats import binom

from tests.support.worlds.null_findings import FOOLED_BY_TASTE, PARTS, VERDICTS, findings
from tests.support.worlds.null_worlds import WORLDS

SAMPLES = {8: 30, 30: 12}


@pytest.mark.parametrize("clusters", list(SAMPLES))
@pytest.mark.parametrize("name", list(WORLDS))
def test_findings_are_as_rare_as_the_level_says(name, clusters):
    found, tested = Counter[str](), Counter[str]()
    for seed in range(SAMPLES[clusters]):
        for test, is_finding in findings(WORLDS[name], clusters, 10_000 + seed, permutations=99).items():
            if is_finding is not None:
                found[test] += is_finding
                tested[test] += 1
    fooled = (*FOOLED_BY_TASTE, "best head, over token types") if clusters < 12 else FOOLED_BY_TASTE
    guarded = [test for test in tested if not (WORLDS[name].taste and test in fooled)]
    assert {"rare_tokens_trigger_recital", "a_head_reads_rare_tokens_summed", "per doubling of copies"} <= set(guarded)
    too_many = {test: found[test] for test in guarded if found[test] > binom.ppf(0.999, tested[test], 0.08)}
    assert not too_many, f"of {SAMPLES[clusters]}"


def test_the_worlds_would_fool_a_test_over_clusters_alone():
    """Otherwise they would prove nothing: tastes look like rarity to every test over clusters."""
    fooled = [findings(WORLDS["token tastes"], 30, seed, permutations=99) for seed in range(8)]
    assert sum(bool(found["best head, over clusters"]) for found in fooled) >= 6
    assert not sum(bool(found["a_head_reads_rare_tokens_within"]) for found in fooled) > 2


def test_every_test_of_the_page_is_counted():
    assert set(findings(WORLDS["plain"], 8, 0)) == {*VERDICTS, *PARTS}
