"""A Dagster UI of our own and a headless Chromium that looks at it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import REPOSITORY
from tests.support.acceptance_home import start

try:
    from selenium.common.exceptions import WebDriverException
except ImportError:  # the tests skip without selenium
    WebDriverException = OSError  # type: ignore[assignment,misc]

SHOTS = REPOSITORY / "tests" / "output"
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--window-size=1500,1100"),
)
GROUPS = ("corpus", "training", "checkpoints", "memorization", "localization", "analysis", "marts", "report")
WHERE = {"repositoryName": "__repository__", "repositoryLocationName": "rarecall"}
LATEST = "{assetOrError(assetKey:{path:[%s]}){... on Asset{assetMaterializations(limit:1){timestamp runId}}}}"


def wait_for(what: str, ask: Callable[[], Any], limit: float) -> Any:
    """The first truthy answer; an assertion that names what did not happen when the time is over.

    Limits are for machines with much other work; a test that passes never waits for one.
    """
    end = time.monotonic() + limit
    while time.monotonic() < end:
        try:
            if answer := ask():
                return answer
        except (OSError, WebDriverException):
            pass
        time.sleep(0.25)
    raise AssertionError(f"{what} did not happen within {limit:.0f} s")


@contextmanager
def user_interface(home: Path, profile: Path) -> Iterator[tuple[str, subprocess.Popen[str], set[int]]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (home.parent / "ui.log").open("w")
    two = {"RARECALL_PARALLEL_STEPS": "2"}
    process = start(home, "ui", "--port", port, "-p", profile, more=two, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for("the UI's start", lambda: urllib.request.urlopen(f"{url}/server_info", timeout=20).status == 200, 300)
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


def graphql(url: str, query: str, **variables: Any) -> Any:
    """Answer of the UI's own interface."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)["data"]


def latest_run(url: str, asset: str) -> str | None:
    """Run id of the newest materialization."""
    found = graphql(url, LATEST % json.dumps(asset))["assetOrError"].get("assetMaterializations")
    return found[0]["runId"] if found else None


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


def launch(url: str, job: str, partition: str = "") -> str:
    """Start a job as the button in the UI does; returns its run id."""
    mutation = """mutation($p: ExecutionParams!) {launchPipelineExecution(executionParams: $p)
        {__typename ... on LaunchRunSuccess {run {runId}} ... on PythonError {message}}}"""
    asked: dict[str, Any] = {"selector": {**WHERE, "pipelineName": job}, "mode": "default"}
    if partition:
        asked["executionMetadata"] = {"tags": [{"key": "dagster/partition", "value": partition}]}
    return graphql(url, mutation, p=asked)["launchPipelineExecution"]["run"]["runId"]


def backfill(url: str, assets: list[str], partitions: list[str]) -> str:
    """Start a backfill as the dialog in the UI does; returns its id."""
    mutation = """mutation($p: LaunchBackfillParams!) {launchPartitionBackfill(backfillParams: $p)
        {__typename ... on LaunchBackfillSuccess {backfillId} ... on PythonError {message}}}"""
    keys = [{"path": [name]} for name in assets]
    answer = graphql(url, mutation, p={"assetSelection": keys, "partitionNames": partitions, "fromFailure": False})
    return answer["launchPartitionBackfill"]["backfillId"]


def status_of_run(url: str, run_id: str) -> str:
    """For example SUCCESS."""
    return graphql(url, "query($r: ID!) {runOrError(runId: $r) {... on Run {status}}}", r=run_id)["runOrError"][
        "status"
    ]


def status_of_backfill(url: str, backfill_id: str) -> str:
    """For example COMPLETED_SUCCESS."""
    asked = "query($b: String!) {partitionBackfillOrError(backfillId: $b) {... on PartitionBackfill {status}}}"
    return graphql(url, asked, b=backfill_id)["partitionBackfillOrError"]["status"]


def listening(pids: set[int]) -> set[str]:
    """Addresses that processes listen on, as /proc/net/tcp and tcp6 write them."""
    sockets = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                sockets.add(str(link.readlink()).removeprefix("socket:[").removesuffix("]"))
            except OSError:
                continue
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and row[9] in sockets}


def plot_drawn(browser: Any) -> bool:
    """Whether the page holds an image that came with the metadata and that the browser could decode."""
    drawn = "return [...document.images].some(image => image.src.startsWith('data:') && image.naturalWidth > 100)"
    return bool(browser.execute_script(drawn))


def opened(browser: Any, seen: Callable[[], bool]) -> bool:
    """Whether the markdown of the first entry of the metadata shows what is looked for; opens it where it is closed.

    An open dialog covers the link it came from, and a click on it would be refused: its text may be long in coming, so
    that what is looked for comes first and the click only where no dialog is open.
    """
    if seen():
        return True
    if not browser.find_elements("css selector", "[role=dialog], .bp5-dialog, .bp4-dialog"):
        browser.find_element("xpath", "//*[text()='[Show Markdown]']").click()
    return False
