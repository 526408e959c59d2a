"""Ends of a command: a swallowed signal is raised at the next check, once; a full disk is named."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterator

import pytest

from orchestration.run.failures import sentence_of
from orchestration.run.interruption import Interruption, signals_interrupt


@pytest.fixture
def interruption() -> Iterator[Interruption]:
    before = signal.getsignal(signal.SIGINT), sys.unraisablehook
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield Interruption()
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, before[0])
        sys.unraisablehook = before[1]


def test_swallowed_signal_is_raised_once(interruption: Interruption) -> None:
    interruption.check()
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        interruption.check()
    interruption.check()


def test_only_interruptions_go_unreported(interruption: Interruption, capsys: pytest.CaptureFixture[str]) -> None:
    class Careless:
        def __init__(self, error: BaseException):
            self.error = error

        def __del__(self) -> None:
            raise self.error

    Careless(KeyboardInterrupt())
    assert capsys.readouterr().err == ""
    Careless(ValueError("worth a report"))
    assert "worth a report" in capsys.readouterr().err


def test_a_full_disk_is_named_however_deep_it_lies() -> None:
    class FrameworkError(Exception):
        user_exception = OSError(errno.ENOSPC, "No space left on device")

    try:
        try:
            raise FrameworkError("Error occurred while executing op")
        except FrameworkError as error:
            raise RuntimeError("the note of it was not written") from error
    except RuntimeError as error:
        assert sentence_of(error).startswith("the disk is full; ")
    assert not sentence_of(OSError(errno.EIO, "broken")).startswith("the disk is full")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_ends_are_taken_for_ctrl_c_and_only_within_the_block(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), signals_interrupt():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before


def test_a_closed_terminal_ends_what_dagster_runs_by_dagsters_own_handler() -> None:
    """Dagster replaces the handler of SIGTERM while it works, to tidy up first; SIGHUP it does not know."""
    seen = []
    with signals_interrupt():
        signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
        os.kill(os.getpid(), signal.SIGHUP)
    assert seen == [signal.SIGTERM]


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_interrupt():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
