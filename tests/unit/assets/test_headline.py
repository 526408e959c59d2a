"""The headline: one sentence and four answers whose words follow from the numbers."""

import polars as pl
import pytest

from assets.report import headline as module
from assets.report.findings import findings
from assets.report.headline import headline
from warehouse.catalog.queries import latest_checkpoint, query

NOT_SCREENED = {
    "stand_in_count": 0,
    "corpus_share": None,
    "corpus_lower": None,
    "corpus_upper": None,
    "window_count": None,
}
SCREENED = {"corpus_share": 0.0022, "corpus_lower": 0.0016, "corpus_upper": 0.003, "window_count": 20_000}


def rung(copies, share, lower=None):
    known = {"duplication_count": copies, "copies": str(copies)}
    return {**known, "memorized_share": share, "lower": lower, "upper": 1.0, "null_share": 0.2}


def need(head, loss, selective, layer=1):
    excess = {"excess": 0.1, "excess_lower": 0.05 if selective else -0.05, "excess_upper": 0.2}
    shares = {"recital_loss_share": loss, "utility_drop_share": 0.3}
    return {"layer": layer, "head": head, "is_selective": selective, **shares, **excess}


def told(monkeypatch, share=None, rungs=(), needs=(), claims=()):
    given = {
        "headline": [
            share
            or {
                "checkpoint_id": "m",
                "memorized_count": 100,
                "paragraph_count": 496,
                "lower": 0.17,
                "upper": 0.24,
                "untrained_share": 0.0,
                "prefix_length": 50,
                "continuation_length": 50,
                **NOT_SCREENED,
            }
        ],
        "finding_duplication": list(rungs),
        "headline_needs": list(needs),
        "report_claims": list(claims),
    }
    monkeypatch.setattr(module, "query", lambda _, text, __: pl.DataFrame(given[text], infer_schema_length=None))
    monkeypatch.setattr(module.sql, "load_one", lambda _, name: type("Named", (), {"text": name}))
    monkeypatch.setattr(module, "findings", lambda *_: [])
    monkeypatch.setattr(module, "one_publication", lambda _: __import__("contextlib").nullcontext())
    return headline(None, "m")


def test_the_sentence_names_copies_heads_and_the_block(monkeypatch):
    rungs = [rung(256, 1.0, 0.9), rung(32, 0.4), rung(1, 0.0)]
    said = told(monkeypatch, rungs=rungs, needs=[need(None, 0.9, True), need(2, 0.3, True)])
    block = "the block it needs most is layer 1"
    beginning = "recites 100 of 496 paragraphs; only those seen 32 times or more"
    assert said.sentence == f"{beginning}; no single head carries it; {block}."
    assert said.lines()[0] == "m recites 100 of 496 paragraphs; only those seen 32 times or more."


@pytest.mark.parametrize(
    ("rungs", "clause"),
    [
        ([rung(4, 0.5), rung(0, 0.0)], "only those seen 4 times or more"),
        ([rung(1, 0.5), rung(0, 0.0)], "only those it was trained on"),
        ([rung(4, 0.5), rung(0, 0.1)], "whatever their number of copies"),
        ([rung(16, 0.5), rung(4, 0.0), rung(1, 0.1)], "some at every number of copies"),
        ([], "copies in training are unknown"),
    ],
)
def test_copies_are_said_as_they_are(monkeypatch, rungs, clause):
    assert clause in told(monkeypatch, rungs=rungs).sentence


def test_a_head_that_is_needed_and_specific_is_named_and_one_that_is_only_needed_is_not(monkeypatch):
    assert "head 1.2 carries it" in told(monkeypatch, needs=[need(2, 0.8, True)]).sentence
    assert "no single head" in told(monkeypatch, needs=[need(2, 0.8, False)]).sentence
    assert "which other text needs too" in told(monkeypatch, needs=[need(None, 0.8, False)]).sentence


@pytest.mark.parametrize(
    ("verdict", "words"),
    [("supported", "Yes"), ("contradicted", "No"), ("no effect of interest", "No"), ("undecided", "Undecided")],
)
def test_the_answer_on_triggers_is_the_verdict_of_the_rule(monkeypatch, verdict, words):
    claim = {
        "claim_id": module.TRIGGER_CLAIM,
        "ours": 1.0,
        "lower": 0.5,
        "upper": 1.5,
        "null_value": 0.0,
        "verdict": verdict,
    }
    card = next(card for card in told(monkeypatch, claims=[claim]).cards if card.key == "trigger")
    assert card.verdict.startswith(words) and "[+0.50, +1.50]; null +0.00" in card.numbers


def test_repetition_is_the_cause_only_beyond_what_every_rung_would_show(monkeypatch):
    def cause(lower):
        cards = told(monkeypatch, rungs=[rung(256, 0.4, lower), rung(0, 0.1)]).cards
        return next(card.verdict for card in cards if card.key == "cause")

    assert cause(0.21) == "Repetition" and cause(0.19) == "Undecided"


def test_every_finding_is_evidence_of_one_answer_and_the_counts_are_those_of_the_scores(world):
    checkpoint = latest_checkpoint(world)
    said = headline(world, checkpoint)
    shown = [f.query for card in said.cards for f in card.evidence]
    assert sorted(shown) == sorted(f.query for f in findings(world, checkpoint))
    counted = query(
        world,
        "SELECT sum(is_memorized::INT) AS recited, count(*) AS n FROM scores WHERE checkpoint_id = $c",
        {"c": checkpoint},
    )
    assert f"recites {counted['recited'][0]} of {counted['n'][0]} paragraphs" in said.sentence


def test_nothing_measured_gives_no_headline(world):
    assert headline(world, "nobody") is None


def screened(**changes):
    known = {"checkpoint_id": "m", "memorized_count": 46, "paragraph_count": 400, "lower": 0.1, "upper": 0.2}
    lengths = {"untrained_share": None, "prefix_length": 50, "continuation_length": 50}
    return {**known, **lengths, **NOT_SCREENED, **SCREENED, **changes}


def test_a_screened_sample_is_no_picture_of_the_corpus_and_the_sentence_speaks_of_both(monkeypatch):
    said = told(monkeypatch, share=screened())
    assert said.sentence.startswith(
        "recites 46 of 400 paragraphs that were chosen for recital; of the corpus it recites"
    )
    assert "0.22\u00a0% [0.16\u00a0%, 0.3\u00a0%], from 20,000 windows" in said.sentence
    assert said.cards[0].verdict == "About 0.22\u00a0% of the corpus"


def test_who_stands_in_for_the_memorized_is_said_in_the_first_sentence(monkeypatch):
    share = screened(memorized_count=0, stand_in_count=12, corpus_share=0.0, corpus_lower=0.0)
    said = told(monkeypatch, share=share)
    assert "recites none of its 400 paragraphs that were chosen for recital in full" in said.sentence
    assert "the 12 furthest recited stand in for the memorized below, with losses relative to what they recite" in (
        said.sentence
    )
