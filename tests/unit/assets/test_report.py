"""The report as a file: self-contained, escaped, traceable, and silent about what it was told to hide."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest

from assets.framework.profile import ReportSettings
from assets.report import write_report
from assets.report.browser import NOT_PERTURBED, as_script, browser_data, shown_token
from assets.report.redaction import MASK
from tests.support.results_world import CONTINUATION, HOSTILE, PREFIX, SECRET
from warehouse.catalog.queries import latest_checkpoint, query


@pytest.fixture(scope="module")
def home(world):
    return world


@pytest.fixture(scope="module")
def html(home):
    return home.report.read_text()


def packed_json(html):
    return json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.DOTALL)[1])


def unpacked(text, kind):
    return np.frombuffer(base64.b64decode(text), dtype=kind)


class Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_text_that_closes_a_script_stays_text(html):
    parser = Elements()
    parser.feed(html)
    tags = [tag for tag, _ in parser.found]
    assert tags.count("script") == 2 and "img" not in tags and "b" not in tags
    assert HOSTILE in packed_json(html)["tokens"]


def test_nothing_is_fetched_and_only_our_script_runs(html):
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)[1]
    script = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)[-1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy and f"script-src 'sha256-{digest}'" in policy.replace("&#39;", "'")
    assert not re.search(r'(?:src|href)="(?!#|data:)', html)


def test_every_number_has_its_query_checkpoint_and_hashes(home, html):
    summaries = re.findall(r"<summary>(Query: [^<]+)</summary>", html)
    assert len(summaries) >= 10 and len(set(summaries)) == len(summaries)
    assert "'world-step-00100'" in html.replace("&#39;", "'") and "$checkpoint_id" not in html
    assert "a" * 64 in html and "f" * 64 in html
    for table in ("paragraphs", "scores", "perturbations", "head_attention"):
        assert re.search(rf"<td>{table}</td>", html)


def test_packed_arrays_are_the_tables(home, html):
    data = packed_json(html)
    assert len(data["paragraphs"]) == 24 and data["heads"] == ["0.0", "0.1", "1.0", "1.1"]
    for shown in data["paragraphs"][:5]:
        rows = query(
            home,
            "SELECT * FROM triggers WHERE checkpoint_id = 'world-step-00100' AND paragraph_id = $id ORDER BY position",
            {"id": shown["id"]},
        )
        tokens = [data["tokens"][i] for i in unpacked(shown["t"], "<u4")]
        assert tokens[:PREFIX] == rows["token"].to_list()
        bits = [data["bits"][i] for i in unpacked(shown["t"], "<u4")][:PREFIX]
        assert bits == pytest.approx(rows["surprisal_bits"].to_list(), abs=0.006)
        drops = unpacked(shown["d"], "<i2")
        assert drops[0] == NOT_PERTURBED
        assert (drops[1:] / 100).tolist() == pytest.approx(rows["em_drop"].to_list()[1:], abs=0.006)
        weights = (unpacked(shown["a"], "u1").reshape(4, PREFIX) / 255) ** 2
        theirs = [
            dict(pairs)["1.0"] if not isinstance(pairs, dict) else pairs["1.0"]
            for pairs in map(_pairs, rows["attention"])
        ]
        assert weights[2].tolist() == pytest.approx(theirs, abs=0.01)
        nll = unpacked(shown["n"], "<u2") / 1000
        assert nll[: PREFIX - 1].tolist() == pytest.approx(rows["token_nll_nats"].to_list()[1:], abs=0.001)


def _pairs(value):
    return value if isinstance(value, dict) else {item["key"]: item["value"] for item in value}


def test_what_the_model_writes_agrees_up_to_the_divergence(html):
    for shown in packed_json(html)["paragraphs"]:
        if shown["g"] is None:
            assert shown["em"] == CONTINUATION
            continue
        truth, written = unpacked(shown["t"], "<u4")[PREFIX:], unpacked(shown["g"], "<u4")
        assert (truth[: shown["em"]] == written[: shown["em"]]).all() and truth[shown["em"]] != written[shown["em"]]


def test_a_redacted_report_does_not_hold_the_secret_anywhere(home, html, tmp_path):
    parts = ("ada.lovelace", "example.org")
    assert all(part in html for part in parts)
    write_report(home, latest_checkpoint(home), ReportSettings(redact=True), tmp_path / "redacted.html")
    hidden = (tmp_path / "redacted.html").read_text()
    assert not any(part in hidden for part in parts) and SECRET not in hidden
    assert MASK in packed_json(hidden)["tokens"] and "is hidden" in hidden


def test_a_report_about_the_papers_own_model_opens_with_their_numbers(home, html, tmp_path):
    opened = tmp_path / "opened.html"
    write_report(home, latest_checkpoint(home), ReportSettings(opens_with_claims=True), opened)
    first = re.findall(r'<section aria-labelledby="(\w+)"', opened.read_text())[0]
    assert first == "reported" and 'aria-labelledby="reported"' not in html


def test_a_trigger_in_a_secret_is_hidden_in_the_table_too(home):
    data = browser_data(home, "world-step-00100", 24, is_redacted=True)
    rows = query(home, "SELECT paragraph_id FROM paragraphs WHERE contains(text, 'ada.lovelace')")
    name = rows["paragraph_id"][0]
    position = 5  # the token 'ada.lovelace'
    assert shown_token(data, name, position) == MASK != shown_token(data, name, 20)
    assert shown_token(data, "nobody", 5) == MASK


def test_the_largest_samples_are_cut_half_to_what_was_measured(home):
    data = browser_data(home, "world-step-00100", 6, is_redacted=False)
    assert len(data["paragraphs"]) == 6
    best = query(home, "SELECT max(exact_match) AS best FROM scores WHERE checkpoint_id = 'world-step-00100'")["best"][
        0
    ]
    assert data["paragraphs"][0]["em"] == best


def test_more_attention_than_fits_leaves_the_heads_that_go_with_rarity_most(home, monkeypatch):
    monkeypatch.setattr("assets.report.browser.ATTENTION_BYTES", 24 * PREFIX * 2)
    data = browser_data(home, "world-step-00100", 24, is_redacted=False)
    order = "WHERE checkpoint_id = 'world-step-00100' ORDER BY abs(spearman) DESC LIMIT 2"
    strongest = query(home, f"SELECT head_ref FROM attention_against_rarity {order}")["head_ref"]
    assert set(data["heads"]) == set(strongest)
    assert len(unpacked(data["paragraphs"][0]["a"], "u1")) == 2 * PREFIX


@pytest.mark.parametrize("text", ["</script>", "<!--", "\u2028", '"', "\\", "<script", "é█"])
def test_any_text_survives_the_script_element(text):
    packed = as_script({"tokens": [text]})
    assert "<" not in packed and json.loads(packed) == {"tokens": [text]}


def test_a_home_without_scores_has_no_browser(tmp_path):
    from warehouse.catalog.publish import publish_catalog
    from warehouse.home import Home

    home = Home(tmp_path).prepare()
    publish_catalog(home)
    assert browser_data(home, "nobody", 10, is_redacted=False) is None
    assert isinstance(query(home, "SELECT 1"), pl.DataFrame)
