"""The report in a real browser: search, sort, open, walk by keyboard, by desk and phone; hostile text is text."""

from __future__ import annotations

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
        return [cell.text for cell in self.browser.find_elements("css selector", f'td[data-name="{name}"]')]

    def open_first(self) -> None:
        from selenium.webdriver.common.keys import Keys

        self.browser.find_element("css selector", "button.open").send_keys(Keys.ENTER)


def test_search_sort_open_and_walk_by_keyboard(home: Home) -> None:
    from selenium.webdriver.common.keys import Keys

    with opened(home.report, 1280) as browser:
        page = Page(browser)
        assert f"of {PARAGRAPHS} paragraphs" in page["count"].text
        matches = [int(text) for text in page.column("EM")]
        assert matches == sorted(matches, reverse=True)
        page.choose("sort", "nll")
        losses = [float(text) for text in page.column("NLL")]
        assert losses == sorted(losses) and len(set(losses)) > 5
        page["search"].send_keys("lovelace")
        assert page["count"].text == "1–1 of 1 paragraphs"
        page.open_first()
        assert HOSTILE in page["tokens"].text and browser.title.startswith("rarecall: world")
        assert "Strongest trigger" in page["status"].text
        page["tokens"].send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
        assert "position 1 (prefix); rarity [bits]:" in page["status"].text
        for quantity, unit in (("drop", "EM drop"), ("attention", "attention"), ("nll", "token NLL")):
            page.choose("colour", quantity)
            assert page["legend"].text.startswith(("perturbation effect: " if quantity == "drop" else "") + unit)
        page.choose("colour", "attention")
        before = page["tokens"].get_attribute("innerHTML")
        page.choose("head", "3")
        assert page["tokens"].get_attribute("innerHTML") != before


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
        row = browser.find_element("css selector", "button.open")
        assert row.text.startswith("🦜" * 90) and "�" not in row.text
        page.open_first()
        assert "␛[2J" in page["tokens"].text and "\x1b" not in page["tokens"].text
        page["tokens"].find_element("css selector", '[data-position="1"]').click()
        assert f"“\u2068{RIGHT_TO_LEFT}\u2069”, position 1" in page["status"].get_attribute("textContent")
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def test_on_a_phone_each_value_carries_its_name_and_no_header_peeps_in(home: Home) -> None:
    with opened(home.report, 390) as browser:
        heads = browser.find_elements("css selector", ".stack thead")
        assert len(heads) >= 3 and not any(head.is_displayed() for head in heads)
        inside = "return getComputedStyle(document.querySelector('td[data-name=EM]'), '::before').content"
        assert "EM" in browser.execute_script(inside)


def test_on_paper_an_opened_paragraph_is_kept_and_controls_are_not(home: Home) -> None:
    with opened(home.report, 1280) as browser:
        page = Page(browser)
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        assert not browser.find_element("id", "browser").is_displayed()
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "screen"})
        page.open_first()
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        assert page["tokens"].is_displayed() and page["truth"].is_displayed()
        assert not any(page[name].is_displayed() for name in ("search", "rows", "close", "colour"))


def test_divergence_is_marked_where_truth_and_model_part(home: Home) -> None:
    with opened(home.report, 390) as browser:
        page = Page(browser)
        assert browser.execute_script("return document.documentElement.scrollWidth") == 390
        page.choose("recited", "no")
        matched = int(page.column("EM")[0])
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
