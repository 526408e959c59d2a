"""The Dagster UI in a real browser: the graph, an asset's page, one asset materialized, a failing check, a backfill."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.acceptance_home import contents
from tests.support.finished_home import Finished
from tests.support.ui_browser import (
    FLAGS,
    GROUPS,
    SHOTS,
    backfill,
    descendants,
    latest_run,
    launch,
    listening,
    opened,
    plot_drawn,
    press,
    shown,
    status_of_backfill,
    status_of_run,
    user_interface,
    wait_for,
)

selenium = pytest.importorskip("selenium", reason="selenium drives the browser; install the extra `dev`")
CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed")

LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
SERIES = ["small-step-00000", "small-step-00142"]
INDEPENDENT = ["generations", "head_attention"]
CHECK = "memorized_means_full_match"


@dataclass(frozen=True)
class Interface:
    """A running UI over a copy of the finished home; one for all tests of this file, which build on each other."""

    home: Path
    url: str
    process: Any
    below: set[int]


@pytest.fixture(scope="module")
def ui(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Interface]:
    home = finished.copy(tmp_path_factory.mktemp("ui") / "home")
    with user_interface(home, finished.profile) as (url, process, below):
        yield Interface(home, url, process, below)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_page_load_timeout(180)
    SHOTS.mkdir(exist_ok=True)
    try:
        yield driver
    finally:
        driver.quit()


def look(browser: Any, address: str, shot: str, *texts: str) -> None:
    """Open a page, wait until it shows the texts, and keep a picture either way."""
    browser.get(address)
    try:
        wait_for(f"{texts} on {address}", lambda: shown(browser, *texts), 240)
    finally:
        browser.save_screenshot(str(SHOTS / f"ui-{shot}.png"))


def test_the_graph_loads_in_its_groups(ui: Interface, browser: Any) -> None:
    look(browser, f"{ui.url}/asset-groups", "graph", *GROUPS)


def test_an_asset_shows_its_schema(ui: Interface, browser: Any) -> None:
    look(browser, f"{ui.url}/assets/unigrams", "asset", "unigrams", "surprisal_bits", "Row count")


def test_nothing_listens_beyond_this_machine(ui: Interface) -> None:
    found = listening({ui.process.pid, *descendants(ui.process.pid)})
    assert found and found <= LOOPBACK


def test_an_asset_materialized_from_its_page_turns_green_with_plot(ui: Interface, browser: Any) -> None:
    before = latest_run(ui.url, "unigrams")
    browser.get(f"{ui.url}/assets/unigrams")
    wait_for("the button", lambda: press(browser, "Materialize"), 240)
    run_id = wait_for("the materialization", lambda: _other(latest_run(ui.url, "unigrams"), before), 600)
    wait_for("the end of the run", lambda: status_of_run(ui.url, run_id) == "SUCCESS", 600)
    look(browser, f"{ui.url}/assets/unigrams?view=events", "materialize", "plot", "preview", "Materialized")
    try:
        wait_for("the plot", lambda: opened(browser, lambda: plot_drawn(browser)), 240)
    finally:
        browser.save_screenshot(str(SHOTS / "ui-plot.png"))


def _other(now: str | None, before: str | None) -> str | None:
    return now if now != before else None


def test_a_backfill_over_the_series_measures_again_what_is_missing(ui: Interface, finished: Finished) -> None:
    """Two checkpoints, two stages that do not depend on each other, two steps at once in processes of their own."""
    for table in INDEPENDENT:
        shutil.rmtree(ui.home / "tables" / table)
    started = backfill(ui.url, INDEPENDENT, SERIES)
    wait_for("the backfill", lambda: status_of_backfill(ui.url, started).startswith("COMPLETED"), 1200)
    assert status_of_backfill(ui.url, started) == "COMPLETED_SUCCESS"
    again, before = contents(ui.home), contents(finished.home)
    for table in INDEPENDENT:
        for name in SERIES:
            assert again[table, name] == before[table, name]


def test_a_failing_check_shows_its_rows(ui: Interface, browser: Any) -> None:
    paragraph = _claim_full_match(ui.home, SERIES[1])
    run_id = launch(ui.url, "tail")
    wait_for("the run", lambda: status_of_run(ui.url, run_id) in ("SUCCESS", "FAILURE"), 600)
    assert status_of_run(ui.url, run_id) == "FAILURE"
    look(browser, f"{ui.url}/assets/catalog?view=checks&checkDetail={CHECK}", "check", CHECK, "Failed")
    try:
        wait_for("the violating rows", lambda: opened(browser, lambda: shown(browser, paragraph[:12])), 240)
    finally:
        browser.save_screenshot(str(SHOTS / "ui-check-rows.png"))


def _claim_full_match(home: Path, checkpoint_id: str) -> str:
    """Write scores in which one paragraph counts as memorized although it is not; returns its id."""
    import polars as pl

    from warehouse.home import Home
    from warehouse.record.parts import TableStore

    store = TableStore.of(Home(home), "scores")
    rows, manifest = store.read(checkpoint_id), store.manifest(checkpoint_id)
    chosen = rows.filter(pl.col("exact_match") < 10)["paragraph_id"][0]
    writer = store.writer(checkpoint_id, {**manifest.inputs, "spoilt": True}, 1)
    writer.write(0, rows.with_columns(is_memorized=pl.col("is_memorized") | (pl.col("paragraph_id") == chosen)))
    writer.finish()
    return str(chosen)


def test_stopping_it_leaves_nothing_behind(ui: Interface) -> None:
    below = ui.below | descendants(ui.process.pid)
    ui.process.send_signal(signal.SIGINT)
    assert ui.process.wait(300) == 0
    wait_for("the end of all processes", lambda: not any(Path(f"/proc/{n}").exists() for n in below), 120)
