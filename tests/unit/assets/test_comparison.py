"""The page of two checkpoints: counts as in the tables, hostile text as text, drawings that say what they show."""

import re

import pytest

from assets.framework.errors import RequestError
from assets.report.comparison import Change, checkpoint_to_compare, render_comparison
from assets.report.drawings import crossing, evenly_chosen, multiples
from tests.support.results_world import SECRET
from warehouse.catalog.queries import query

BEFORE, AFTER = "world-step-00000", "world-step-00100"


@pytest.fixture(scope="module")
def html(world):
    return render_comparison(world, BEFORE, AFTER)


def test_the_sentence_counts_what_the_scores_say(world, html):
    counts = query(
        world,
        "SELECT sum((NOT b.is_memorized AND a.is_memorized)::INT) AS gained, "
        "sum((b.is_memorized AND NOT a.is_memorized)::INT) AS forgotten, sum(a.is_memorized::INT) AS now, "
        "count(*) AS n "
        "FROM scores a JOIN scores b USING (paragraph_id) WHERE a.checkpoint_id = $a AND b.checkpoint_id = $b",
        {"a": AFTER, "b": BEFORE},
    ).row(0, named=True)
    assert f"{counts['now']} of {counts['n']} paragraphs" in html
    assert f"{counts['gained']} gained" in html and f"{counts['forgotten']} forgotten" in html


def test_text_of_paragraphs_is_text_and_what_is_secret_can_be_hidden(world, html):
    assert "<script" not in html and "onerror=" not in re.sub(r"&lt;.*?&gt;", "", html)
    assert not re.search(r'(?:src|href)="(?!#|data:)', html)
    assert SECRET not in render_comparison(world, BEFORE, AFTER, is_redacted=True)


def test_the_one_before_is_the_one_before_in_the_series(world):
    assert checkpoint_to_compare(world, AFTER) == BEFORE and checkpoint_to_compare(world, BEFORE) is None


def test_what_cannot_be_compared_is_refused(world):
    with pytest.raises(RequestError, match="with itself"):
        render_comparison(world, AFTER, AFTER)
    with pytest.raises(RequestError, match="no paragraph was scored on both"):
        render_comparison(world, "nobody", AFTER)


def test_an_edit_is_told_by_its_targets():
    def row(before, after, target):
        return {"is_memorized_before": before, "is_memorized_after": after, "is_target": target}

    change = Change([row(True, False, True), row(True, True, True), row(True, False, False), row(True, True, False)])
    assert change.sentence == "forgets 1 of its 2 targets, and 1 of the 2 other paragraphs recited before."


def test_small_multiples_show_first_and_last_and_say_what_they_show():
    rows = [
        {"checkpoint_id": f"c{i}", "duplication_count": n, "memorized_share": i / 40 * n, "lower": None, "upper": None}
        for i in range(20)
        for n in (0, 1)
    ]
    summaries = [{"checkpoint_id": f"c{i}"} for i in range(20)]
    shown = multiples(rows, summaries)
    assert [s["checkpoint_id"] for s in (shown[0], shown[-1])] == ["c0", "c19"] and len(shown) == 8
    assert 'aria-label="Recited by copies: ×0 0 %, ×1 48 %"' in shown[-1]["svg"]
    assert multiples(rows, summaries[:1]) == [] and evenly_chosen([1, 2], 8) == [1, 2]


def test_circles_above_the_line_are_gains():
    drawn = crossing({(0, 50): 3, (50, 0): 1, (10, 10): 2}, 50)
    gain = re.search(r'class="gain" cx="([\d.]+)" cy="([\d.]+)"', drawn)
    loss = re.search(r'class="loss" cx="([\d.]+)" cy="([\d.]+)"', drawn)
    assert float(gain[1]) < float(loss[1]) and float(gain[2]) < float(loss[2])
    assert "3 paragraphs recited further than before, 1 less far, 2 as far" in drawn
