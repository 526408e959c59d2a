"""The Dagster UI in a real browser: the graph, an asset's page, one asset materialized, nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from acceptance_home import REPOSITORY, command, environment
from conftest import Finished

selenium = pytest.importorskip("selenium", reason="selenium drives the browser; install the extra `dev`")
CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed")

SHOTS = REPOSITORY / "tests" / "output"
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--window-size=1500,1100"),
)
GROUPS = ("corpus", "training", "checkpoints", "memorization", "localization", "analysis", "marts", "report")
LATEST = "{assetOrError(assetKey:{path:[%s]}){... on Asset{assetMaterializations(limit:1){timestamp runId}}}}"


def wait_for(what: str, ask: Callable[[], Any], limit: float) -> Any:
    """The first truthy answer; an assertion that names what did not happen when the time is over."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        try:
            if answer := ask():
                return answer
        except (OSError, selenium.common.exceptions.WebDriverException):
            pass
        time.sleep(0.25)
    raise AssertionError(f"{what} did not happen within {limit:.0f} s")


@contextmanager
def user_interface(home: Path, profile: Path) -> Iterator[tuple[str, subprocess.Popen[str], set[int]]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (home.parent / "ui.log").open("w")
    asked = command("ui", "--port", port, "-p", profile)
    process = subprocess.Popen(asked, env=environment(home), cwd=home.parent, stdout=log, stderr=log, text=True)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for("the UI's start", lambda: urllib.request.urlopen(f"{url}/server_info", timeout=2).status == 200, 90)
        yield url, process, descendants(process.pid)
    finally:
        for number in descendants(process.pid):
            os.kill(number, signal.SIGKILL)
        process.kill()
        process.wait(10)


def descendants(pid: int) -> set[int]:
    """Living processes below a process."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
    found: set[int] = set()
    while more := {child for child, parent in parents.items() if parent in found | {pid}} - found:
        found |= more
    return found


def graphql(url: str, query: str) -> Any:
    body = json.dumps({"query": query}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)["data"]


def latest_run(url: str, asset: str) -> str | None:
    """Run id of the newest materialization."""
    found = graphql(url, LATEST % json.dumps(asset))["assetOrError"].get("assetMaterializations")
    return found[0]["runId"] if found else None


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'chromium'}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_page_load_timeout(45)
    SHOTS.mkdir(exist_ok=True)
    try:
        yield driver
    finally:
        driver.quit()


def body_of(browser: Any) -> str:
    return browser.find_element("tag name", "body").text


def shown(browser: Any, *texts: str) -> bool:
    page = body_of(browser).lower()
    return all(text.lower() in page for text in texts)


def press(browser: Any, label: str) -> bool:
    """Click the enabled button that carries this label."""
    for button in browser.find_elements("xpath", f"//button[contains(., '{label}')]"):
        if button.is_displayed() and button.get_attribute("disabled") is None:
            button.click()
            return True
    return False


def plot_drawn(browser: Any) -> bool:
    """Open the plot's dialog; whether it holds an image that the browser could decode."""
    drawn = "return [...document.images].some(image => image.src.startsWith('data:') && image.naturalWidth > 100)"
    if browser.execute_script(drawn):
        return True
    browser.find_element("xpath", "//*[text()='[Show Markdown]']").click()
    return False


def test_graph_page_and_materialization(finished: Finished, tmp_path: Path, browser: Any) -> None:
    home = finished.copy(tmp_path / "home")
    with user_interface(home, finished.profile) as (url, process, below):
        browser.get(f"{url}/asset-groups")
        try:
            wait_for("the asset graph", lambda: shown(browser, *GROUPS), 40)
        finally:
            browser.save_screenshot(str(SHOTS / "ui-graph.png"))
        browser.get(f"{url}/assets/unigrams")
        try:
            wait_for("the page of an asset", lambda: shown(browser, "unigrams", "surprisal_bits", "Row count"), 40)
        finally:
            browser.save_screenshot(str(SHOTS / "ui-asset.png"))
        before = latest_run(url, "unigrams")
        wait_for("the button", lambda: press(browser, "Materialize"), 20)
        try:
            wait_for("the materialization", lambda: latest_run(url, "unigrams") != before, 90)
        finally:
            browser.get(f"{url}/assets/unigrams?view=events")
            wait_for("the events of the asset", lambda: shown(browser, "plot", "preview"), 30)
            browser.save_screenshot(str(SHOTS / "ui-materialize.png"))
        try:
            wait_for("the plot", lambda: plot_drawn(browser), 20)
        finally:
            browser.save_screenshot(str(SHOTS / "ui-plot.png"))
        below |= descendants(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(40) == 0
        wait_for("the end of all processes", lambda: not any(Path(f"/proc/{n}").exists() for n in below), 20)
