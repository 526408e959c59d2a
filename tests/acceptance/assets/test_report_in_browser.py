"""The report in a real browser: search, sort, open, walk by keyboard, by desk and phone; hostile text is text."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.acceptance_home import rarecall
from tests.support.results_world import HOSTILE, RIGHT_TO_LEFT, SECRET, published_world
from warehouse.home import Home

selenium = pytest.importorskip("selenium", reason="selenium drives the browser; install the extra `dev`")
CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed")
PARAGRAPHS = 60


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return published_world(tmp_path_factory.mktemp("world"), paragraphs=PARAGRAPHS)


@contextmanager
def opened(file: Path, width: int) -> Iterator[Any]:
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--window-size={width},900"):
        options.add_argument(flag)
    browser = Chrome(options=options, service=Service(DRIVER))
    try:
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.get(file.as_uri())
        yield browser
        assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []
    finally:
        browser.quit()


class Page:
    """Parts of the paragraph browser by name."""

    def __init__(self, browser: Any):
        self.browser = browser

    def __getitem__(self, name: str) -> Any:
        return self.browser.find_element("css selector", f'[data-part="{name}"]')

    def choose(self, name: str, value: str) -> None:
        from selenium.webdriver.support.ui import Select

        Select(self[name]).select_by_value(value)

    def column(self, name: str) -> list[str]:
        return [cell.text for cell in self.browser.find_elements("css selector", f'.meta [data-name="{name}"]')]

    def open_first(self) -> None:
        from selenium.webdriver.common.keys import Keys

        self.browser.find_element("css selector", "button.open").send_keys(Keys.ENTER)


def test_search_sort_open_and_walk_by_keyboard(home: Home) -> None:
    from selenium.webdriver.common.keys import Keys

    with opened(home.report, 1280) as browser:
        page = Page(browser)
        assert f"of {PARAGRAPHS} paragraphs" in page["count"].text
        matches = [int(text.split()[0]) for text in page.column("EM")]
        assert matches == sorted(matches, reverse=True)
        page.choose("sort", "nll")
        losses = [float(text) for text in page.column("NLL")]
        assert losses == sorted(losses) and len(set(losses)) > 5
        page["search"].send_keys("lovelace")
        assert page["count"].text == "1–1 of 1 paragraphs"
        page.open_first()
        assert HOSTILE in page["tokens"].text and browser.title.startswith("rarecall: world")
        assert re.match(r"Strongest trigger: |\d+ tokens each destroy ", page["answer"].text)
        page["tokens"].send_keys(Keys.HOME, Keys.ARROW_RIGHT)
        assert "position 1 (prefix); EM drop [tokens]:" in page["status"].text
        for quantity, unit in (
            ("delta", "ΔNLL"),
            ("attention", "attention"),
            ("nll", "token NLL"),
            ("drop", "EM drop"),
        ):
            page.choose("colour", quantity)
            assert page["low"].text.startswith(unit)
        page.choose("colour", "attention")
        before = page["tokens"].get_attribute("innerHTML")
        page.choose("head", "3")
        assert page["tokens"].get_attribute("innerHTML") != before


def test_a_newcomer_reads_what_triggers_a_paragraph_at_once(home: Home) -> None:
    with opened(home.report, 1280) as browser:
        page = Page(browser)
        browser.find_element("partial link text", "See which tokens trigger one").click()
        shown = "const r = arguments[0].getBoundingClientRect(); return r.top >= 0 && r.bottom <= window.innerHeight"
        assert browser.execute_script(shown, page["answer"]) and browser.execute_script(shown, page["tokens"])
        rows = [line.text.split() for line in page["strongest"].find_elements("css selector", "tbody tr")]
        drops = [float(cells[-5]) for cells in rows]
        assert 1 <= len(rows) <= 5 and drops == sorted(drops, reverse=True)
        assert page["colour"].get_attribute("value") == "drop"


def test_ties_are_said_and_broken_by_likelihood(home: Home) -> None:
    with opened(home.report, 1280) as browser:
        for row in browser.find_elements("css selector", "button.open")[:8]:
            row.click()
            said = browser.find_element("css selector", '[data-part="answer"]').text
            cells = [line.text.split() for line in browser.find_elements("css selector", ".strongest tbody tr")]
            tied = [float(some[-4].replace("−", "-")) for some in cells if some[-5] == cells[0][-5]]
            assert tied == sorted(tied, reverse=True)
            assert said.startswith("Strongest trigger") == (len(tied) == 1) or "No single token" in said


def test_on_a_phone_the_panel_opens_under_its_row_and_in_sight(home: Home) -> None:
    with opened(home.report, 390) as browser:
        row = browser.find_elements("css selector", "button.open")[5]
        browser.execute_script("arguments[0].click()", row)
        page = Page(browser)
        assert page["panel"].find_element("xpath", "..") == row.find_element("xpath", "..")
        top = browser.execute_script("return arguments[0].getBoundingClientRect().top", page["title"])
        assert 0 <= top < 200


@pytest.mark.parametrize("fragment", ["%E0%A4%A", "paragraph-", "paragraph-zzz", "<b>", "paragraph-%00"])
def test_a_malformed_fragment_does_no_harm(home: Home, fragment: str) -> None:
    with opened(home.report, 1280) as browser:
        browser.execute_script(f"location.hash = {fragment!r}")
        assert Page(browser)["answer"].is_displayed()


def test_the_head_map_opens_a_head(home: Home) -> None:
    from selenium.webdriver.common.keys import Keys

    with opened(home.report, 1280) as browser:
        page = Page(browser)
        page.choose("colour", "attention")
        cells = page["map"].find_elements("css selector", "button")
        assert [cell.get_attribute("tabindex") for cell in cells].count("0") == 1
        cells[0].send_keys(Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
        browser.switch_to.active_element.send_keys(Keys.ENTER)
        assert page["head"].get_attribute("value") == "3"


def test_fewer_than_twenty_tab_stops_lead_to_the_browser(home: Home) -> None:
    from selenium.webdriver.common.keys import Keys

    with opened(home.report, 1280) as browser:
        search = Page(browser)["search"]
        stops = 0
        while browser.switch_to.active_element != search and stops < 40:
            browser.switch_to.active_element.send_keys(Keys.TAB)
            stops += 1
        assert stops < 20


def test_enter_opens_and_escape_leads_back_to_the_row(home: Home) -> None:
    from selenium.webdriver.common.keys import Keys

    with opened(home.report, 1280) as browser:
        page = Page(browser)
        page.open_first()
        assert browser.switch_to.active_element == page["panel"]
        browser.switch_to.active_element.send_keys(Keys.TAB, Keys.ESCAPE)
        assert not page["panel"].is_displayed()
        assert browser.switch_to.active_element == browser.find_element("css selector", "button.open")


@pytest.mark.parametrize("width", [390, 1280])
def test_any_script_and_any_length_of_word_stays_in_its_place(home: Home, width: int) -> None:
    with opened(home.report, width) as browser:
        page = Page(browser)
        page["search"].send_keys(RIGHT_TO_LEFT.strip())
        assert page["count"].text == "1–1 of 1 paragraphs"
        row = browser.find_element("css selector", "button.open .text")
        assert row.text.startswith("🦜" * 90) and "�" not in row.text
        page.open_first()
        assert "␛[2J" in page["tokens"].text and "\x1b" not in page["tokens"].text
        page["tokens"].find_element("css selector", '[data-position="1"]').click()
        assert f"“\u2068{RIGHT_TO_LEFT}\u2069”, position 1" in page["status"].get_attribute("textContent")
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def test_on_a_phone_each_value_carries_its_name_and_no_header_peeps_in(home: Home) -> None:
    with opened(home.report, 390) as browser:
        heads = browser.find_elements("css selector", ".stack thead")
        assert len(heads) >= 2 and not any(head.is_displayed() for head in heads)
        inside = "return getComputedStyle(document.querySelector('td[data-name=recited]'), '::before').content"
        assert "recited" in browser.execute_script(inside)


def test_on_paper_an_opened_paragraph_is_kept_and_controls_are_not(home: Home) -> None:
    with opened(home.report, 1280) as browser:
        page = Page(browser)
        page.open_first()
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        assert page["tokens"].is_displayed() and page["truth"].is_displayed()
        assert not any(page[name].is_displayed() for name in ("search", "rows", "back", "colour"))


def test_divergence_is_marked_where_truth_and_model_part(home: Home) -> None:
    with opened(home.report, 390) as browser:
        page = Page(browser)
        assert browser.execute_script("return document.documentElement.scrollWidth") == 390
        page.choose("recited", "no")
        matched = int(page.column("EM")[0].split()[0])
        page.open_first()
        assert f"after {matched} tokens" in page["divergence"].text
        for side in ("truth", "written"):
            children = page[side].find_elements("xpath", "./*")
            assert [c.tag_name for c in children].index("b") == matched
            assert children[matched + 1].tag_name == "mark"


def test_the_command_line_writes_a_redacted_copy(home: Home) -> None:
    result = rarecall(home.root, "report", "--redact")
    assert result.returncode == 0, result.stderr
    copy = home.report.with_name("redacted.html")
    assert str(copy) in result.stdout
    assert "ada.lovelace" in home.report.read_text()
    assert "ada.lovelace" not in copy.read_text() and SECRET not in copy.read_text()
