"""Ctrl-C, memory and time end a question of the real command line within about a second, with one sentence."""

from __future__ import annotations

import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.acceptance_home import command, environment, heed_interrupts
from warehouse.catalog.publish import publish_catalog
from warehouse.home import Home

STREAM = "FROM range(1000000000000)"
JOIN = "SELECT count(*) FROM range(9999999) a, range(9999999) b WHERE a.range = b.range + 0.5"
SORT = "SELECT * FROM range(300000000) ORDER BY random()"
DEAF = "SELECT list_sum(range(400000000))"
"""A function that neither looks up when it is interrupted nor counts its memory: 3.2 GB at once."""
MOST_BYTES = 12 << 30


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("stops") / "home").prepare()
    publish_catalog(home)
    return home


def limited() -> None:
    """Should a limit of ours fail, the system's ends the test and not the machine."""
    heed_interrupts()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))


def started(home: Home, *words: str) -> subprocess.Popen[str]:
    asked = command("query", *words, "-f", "csv")
    around = environment(home.root)
    return subprocess.Popen(
        asked, env=around, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=limited
    )


@pytest.mark.parametrize(
    "text, number",
    [*((text, signal.SIGINT) for text in (STREAM, JOIN, SORT, DEAF)), (SORT, signal.SIGTERM), (SORT, signal.SIGHUP)],
)
def test_an_interrupt_ends_a_question_at_once(home: Home, text: str, number: signal.Signals) -> None:
    process = started(home, text)
    is_asking = lambda: list(home.root.glob(f".rarecall-spill-*.{process.pid}.tmp"))  # noqa: E731
    end = time.monotonic() + 30
    while not is_asking() and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.7)
    sent = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1 and said == "rarecall: the query was interrupted.\n"
    assert time.monotonic() - sent < 10  # a second on an idle machine
    left = [file for folder in is_asking() for file in folder.iterdir()]
    assert not left, "what did not fit into memory was left; an empty folder may be, and `gc` removes it"


def test_time_and_memory_end_a_question_with_a_sentence(home: Home, tmp_path: Path) -> None:
    for words, sentence in (((JOIN, "--seconds", "0.5"), "after 0.5 s"), ((DEAF.replace("4", "9"),), "GB of memory")):
        _, said = started(home, *words).communicate(timeout=60)
        assert sentence in said and said.count("\n") == 1, said
