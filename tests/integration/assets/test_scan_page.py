"""The page of a scan: the whole text and nothing but text, links that lead somewhere, secrets hidden when asked."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from assets.report.redaction import redact
from assets.scan.command import ScanRequest, scan
from assets.scan.page import ScanPage
from probes.scan import ScanPlan
from tests.support.scan_home import ScanHome, scan_home

HOSTILE = '<script>alert("x")</script></div></pre> & <img src=x onerror=alert(1)> {{ 7 * 7 }} \n'
SECRET = "AKIAABCDEFGHIJKLMNOP"


class Page(HTMLParser):
    """Elements, ids, links, and the text of the document's own region."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text, self.depth = "", 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if tag == "a" else []
        if tag == "div" and (found.get("class") == "text" or self.depth):
            self.depth += 1

    def handle_endtag(self, tag):
        self.depth -= tag == "div" and self.depth > 0

    def handle_data(self, data):
        self.text += data if self.depth else ""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> ScanHome:
    return scan_home(tmp_path_factory.mktemp("scan"))


def written(made: ScanHome, folder: Path, is_redacted: bool, *checkpoints: str) -> tuple[str, str]:
    """The document and its page."""
    file = folder / "hostile.txt"
    middle = made.text.index("\n", made.text.index(made.known) + len(made.known)) + 1
    text = made.text[:middle] + HOSTILE + f"key = {SECRET}\n" + made.text[middle:]
    file.write_text(text)
    page = ScanPage(made.home, is_redacted)
    plan = ScanPlan(16, 16, least_match=8, row_starts=30)
    scan(made.home, ScanRequest(str(file), checkpoints or ("reciting",), plan, triggers=True), on_scanned=page.add)
    page.write(folder / "page.html")
    return text, (folder / "page.html").read_text(encoding="utf-8")


def test_all_text_is_shown_as_text_and_every_link_leads_somewhere(made, tmp_path):
    text, html = written(made, tmp_path, is_redacted=False)
    page = Page(html)
    assert page.text == text
    assert (
        page.tags.count("script") == 1 and "img" not in page.tags and "49" not in html.partition("{{ 7 * 7 }}")[2][:3]
    )
    assert page.ids and len(set(page.ids)) == len(page.ids)
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert "://" not in html.partition("<main>")[0], "nothing is fetched"
    assert "Triggers" in html and "What the model writes" in html and made.known.split("\n")[1][:20] in html


def test_secrets_are_hidden_when_asked(made, tmp_path):
    text, html = written(made, tmp_path, is_redacted=True)
    assert SECRET not in html and "█" in html
    assert Page(html).text == redact(text)


def test_several_scans_stand_in_one_page(made, tmp_path):
    _, html = written(made, tmp_path, False, "blank", "reciting")
    page = Page(html)
    assert {"s0", "s1"} <= set(page.ids) and "What blank and reciting know by heart" in html
    assert "No stretch of 8 tokens or more is recited." in html
