"""The UI's tree after its starter is gone, with signals ignored, and where modules of the same names lie about."""

from __future__ import annotations

import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestration.cli import ui_process
from orchestration.run.instance import close_left_runs, has_unfinished_runs, open_instance, ui_lock
from tests.support.acceptance_home import command, environment, write_profile
from tests.support.ui_browser import descendants, graphql, launch, status_of_run, wait_for
from warehouse.files import is_alive, process_mark
from warehouse.home import Home

LOCATIONS = """{workspaceOrError{... on Workspace{locationEntries{locationOrLoadError{__typename
    ... on RepositoryLocation{name} ... on PythonError{message}}}}}}"""


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def has_ipv6() -> bool:
    import socket

    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def odd_folder(folder: Path) -> Path:
    """Where one may stand: with a folder and files that are called like rooms of the project and like Dagster."""
    (folder / "sql").mkdir(parents=True)
    (folder / "sql" / "mine.sql").write_text("SELECT 1")
    for name in ("assets.py", "warehouse.py", "dagster.py", "probes.py", "orchestration.py"):
        (folder / name).write_text("raise RuntimeError('the wrong file was imported')")
    return folder


def ignoring_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def interface(home: Path, port: int, cwd: Path, **options) -> Iterator[tuple[subprocess.Popen, set[int], str, Path]]:
    log = home.parent / "ui.log"
    around = {k: v for k, v in environment(home).items() if k != "PYTHONPATH"} | options.pop("around", {})
    asked = command("ui", "--port", port, *options.pop("words", ()))
    with log.open("w") as out:
        process = subprocess.Popen(asked, env=around, cwd=cwd, stdout=out, stderr=out, **options)
    below: set[int] = set()
    try:
        host = "[::1]" if "::1" in asked else "127.0.0.1"
        url = f"http://{host}:{port}"
        wait_for("the UI's start", lambda: urllib.request.urlopen(f"{url}/server_info", timeout=20).status == 200, 300)
        below = descendants(process.pid)
        yield process, below, url, log
    finally:
        for number in below | descendants(process.pid):
            if Path(f"/proc/{number}").exists():
                os.kill(number, signal.SIGKILL)
        process.kill()
        process.wait(10)


def leave_a_run(home: Home) -> str:
    """A run as the UI leaves one when everything is killed."""
    import dagster as dg

    with open_instance(home) as instance:
        run = dg.DagsterRun(job_name="tail", status=dg.DagsterRunStatus.STARTED)
        instance.add_run(run)
    return run.run_id


def test_it_loads_anywhere_closes_what_was_left_and_stops_though_interrupts_were_ignored(tmp_path: Path) -> None:
    home, port = Home(tmp_path / "home").prepare(), free_port()
    run_id, here = leave_a_run(home), odd_folder(tmp_path / "here")
    where = {"around": {"PYTHONSAFEPATH": "1"}, "preexec_fn": ignoring_interrupts}
    with interface(home.root, port, here, **where) as (process, below, url, log):
        assert f"Closed 1 runs whose processes are gone: {run_id[:8]}" in log.read_text()
        assert not has_unfinished_runs(home)
        (entry,) = graphql(url, LOCATIONS)["workspaceOrError"]["locationEntries"]
        assert entry["locationOrLoadError"]["__typename"] == "RepositoryLocation", entry
        process.send_signal(signal.SIGINT)
        assert process.wait(300) == 0
        wait_for("the end of all processes", lambda: not any(Path(f"/proc/{n}").exists() for n in below), 120)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_its_children_end_with_it(tmp_path: Path, number: signal.Signals) -> None:
    """Asked for on the address of IPv6 that means this machine, too."""
    home, port = Home(tmp_path / "home").prepare(), free_port()
    where = ("--host", "::1") if number == signal.SIGHUP and has_ipv6() else ()
    with interface(home.root, port, tmp_path, words=where) as (process, below, _url, _log):
        assert len(below) >= 4
        process.send_signal(number)
        process.wait(300)
        wait_for("the end of all processes", lambda: not any(Path(f"/proc/{n}").exists() for n in below), 120)
    ui_process.refuse_taken_port("127.0.0.1", port)


def test_a_run_that_was_at_work_when_all_was_killed_does_not_block_the_next(tmp_path: Path) -> None:
    """Whole tree killed while a run launched in it is STARTED: the next UI closes it and begins the next run."""
    home, profile = Home(tmp_path / "home").prepare(), str(write_profile(tmp_path))
    with interface(home.root, free_port(), tmp_path, words=("-p", profile)) as (process, _, url, _log):
        killed = begun(url)
        for number in (process.pid, *descendants(process.pid)):
            os.kill(number, signal.SIGKILL)
    assert has_unfinished_runs(home)
    with interface(home.root, free_port(), tmp_path, words=("-p", profile)) as (process, _, url, log):
        assert f"Closed 1 runs whose processes are gone: {killed[:8]}" in log.read_text()
        assert status_of_run(url, killed) == "FAILURE"
        begun(url)
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 0
    assert not has_unfinished_runs(home)


def begun(url: str) -> str:
    """Launch a job as the button in the UI does, and wait until it is at work."""
    run_id = launch(url, "corpus")
    wait_for("the run's begin", lambda: status_of_run(url, run_id) == "STARTED", 120)
    return run_id


def test_processes_that_were_left_are_ended_by_the_next_start(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").prepare()
    home.dagster.mkdir()
    around = {**os.environ, "RARECALL_HOME": str(home.root)}
    left = subprocess.Popen(["sleep", "600"], env=around, start_new_session=True)
    wait_for(
        "the program, whose environment is empty while it is being loaded",
        Path(f"/proc/{left.pid}/environ").read_bytes,
        10,
    )
    ui_process.ui_note(home).write_text(f'{{"group": {left.pid}}}')
    try:
        assert list(ui_process.end_left_processes(Home(tmp_path / "another"))) == []
        assert left.poll() is None
        assert "Ended 1 processes" in next(ui_process.end_left_processes(home))
        assert left.wait(5) == -signal.SIGKILL
    finally:
        left.kill()


def test_a_run_closes_what_a_killed_ui_left_but_not_what_a_living_one_works_on(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").prepare()
    run_id = leave_a_run(home)
    holder = ui_lock(home)
    with holder:
        script = "import sys; from pathlib import Path; from warehouse.home import Home; "
        script += (
            "from orchestration.run.instance import close_left_runs; print(close_left_runs(Home(Path(sys.argv[1]))))"
        )
        asked = [*command()[:1], "-c", script, str(home.root)]
        other = subprocess.run(asked, env=environment(home.root), capture_output=True, text=True, check=True)
        assert other.stdout.strip() == "[]"
    assert close_left_runs(home) == [run_id] and not has_unfinished_runs(home)


def test_a_number_that_is_used_again_is_another_process() -> None:
    mark = process_mark()
    assert is_alive(mark) and is_alive(str(os.getpid()))
    assert not is_alive(f"{os.getpid()}-1") and not is_alive("") and not is_alive("99999999999999999999")
