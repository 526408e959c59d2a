"""The page of a scan in a real browser: by keyboard, on a phone, in both themes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from assets.scan.command import ScanRequest, scan
from assets.scan.page import ScanPage
from probes.scan import ScanPlan
from tests.support.scan_home import scan_home

selenium = pytest.importorskip("selenium", reason="selenium drives the browser; install the extra `dev`")
CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed")


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("scan")
    made, shown = scan_home(root), ScanPage
    collected = shown(made.home)
    plan = ScanPlan(16, 16, least_match=8, row_starts=30)
    scan(made.home, ScanRequest(str(made.file), ("reciting",), plan, triggers=True), on_scanned=collected.add)
    collected.write(root / "page.html")
    return root / "page.html"


@contextmanager
def opened(file: Path, width: int, theme: str = "light") -> Iterator[Any]:
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
        features = [{"name": "prefers-color-scheme", "value": theme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.get(file.as_uri())
        yield browser
        assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []
    finally:
        browser.quit()


def test_keys_walk_through_the_passages_and_enter_opens_one(page):
    from selenium.webdriver.common.keys import Keys

    with opened(page, 1280) as browser:
        browser.find_element("tag name", "body").send_keys("n")
        assert browser.switch_to.active_element.get_attribute("id") == "t0-0"
        browser.switch_to.active_element.send_keys(Keys.ENTER)
        opened_details = browser.find_element("css selector", "details[open]")
        assert opened_details.get_attribute("id") == "p0-0" and "What the model writes" in opened_details.text
        assert browser.switch_to.active_element.tag_name == "summary"
        bar = browser.find_element("css selector", ".map a")
        bar.send_keys(Keys.ENTER)
        assert browser.current_url.endswith("#t0-0")


def test_a_phone_shows_all_of_it_in_its_width_in_both_themes(page):
    colors = set()
    for theme in ("light", "dark"):
        with opened(page, 390, theme) as browser:
            browser.execute_script("document.querySelector('details').open = true")
            assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
            shades = "return ['.c1', '.c4'].map(c => getComputedStyle(document.querySelector(c)).backgroundColor)"
            pale, strong = browser.execute_script(shades)
            assert pale != strong
            colors |= {pale, strong}
    assert len(colors) == 4
