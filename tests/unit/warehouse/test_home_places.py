"""Where results go: links, odd characters, installed packages, copied checkouts, homes that can only be read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import polars as pl
import pytest

from orchestration.cli.housekeeping_commands import gc
from orchestration.home.doctor import examine
from tests.support.acceptance_home import REPOSITORY, rarecall
from warehouse import home as home_module
from warehouse.catalog.confinement import give_up_writing
from warehouse.catalog.publish import publish_catalog
from warehouse.catalog.spill import make_spill_folder, remove_spill_folder
from warehouse.catalog.stream import stream
from warehouse.errors import RefusedError
from warehouse.garbage import find_garbage
from warehouse.home import Home, default_root


def published(root: Path) -> Home:
    from warehouse.record.parts import TableStore

    home = Home(root).prepare()
    writer = TableStore.of(home, "duplication_ladder").writer("c1", {"upstream": {}}, 1)
    writer.write(
        0,
        pl.DataFrame(
            {"paragraph_id": ["a"], "duplication_group": "", "copies_count": 1, "complete_exposure_count": 1.0}
        ),
        corpus_id="c1",
    )
    writer.finish()
    publish_catalog(home)
    return home


@pytest.mark.parametrize("name", ["a[b", "a]b", "a*", "a?b", "a\\b", "a%20b", "a\nb", "a\x1bb"])
def test_paths_that_others_misread_are_refused_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("RARECALL_HOME", str(tmp_path / name))
    with pytest.raises(RefusedError, match="set RARECALL_HOME"):
        Home.locate()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a b'ä", 'a"#b', "-a{b};&日本"])
def test_other_odd_paths_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("RARECALL_HOME", str(tmp_path / name))
    home = published(Home.locate().root)
    (*_, frame) = stream(home, "SELECT copies_count FROM duplication_ladder")
    assert frame["copies_count"].to_list() == [1]
    assert {path.name for path in tmp_path.iterdir()} == {name}


def test_a_home_that_is_a_link_is_the_folder_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("RARECALL_HOME", str(tmp_path / "link"))
    assert Home.locate().root == tmp_path / "real"
    monkeypatch.delenv("RARECALL_HOME")
    monkeypatch.setattr(home_module, "default_root", lambda: tmp_path / "link")
    assert Home.locate().root == tmp_path / "real"


def test_installed_packages_are_no_place_for_results(tmp_path: Path) -> None:
    """A copy of the package without its checkout stands for a plain installation."""
    for room in ("warehouse", "sql"):
        shutil.copytree(REPOSITORY / room, tmp_path / "site" / room, ignore=shutil.ignore_patterns("data", "*.pyc"))
    script = "from warehouse.home import Home; print(Home.locate().root)"
    around = {k: v for k, v in os.environ.items() if k != "RARECALL_HOME"}
    around |= {"PYTHONPATH": str(tmp_path / "site"), "XDG_DATA_HOME": str(tmp_path / "share")}
    found = subprocess.run([sys.executable, "-c", script], env=around, cwd=tmp_path, capture_output=True, text=True)
    assert found.stdout.strip() == str(tmp_path / "share" / "rarecall"), found.stderr


def test_a_copied_checkout_does_not_write_into_the_original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "copy" / ".venv" / "bin" / "rarecall"
    program.parent.mkdir(parents=True)
    program.touch()
    (tmp_path / "copy" / "warehouse").mkdir()
    (tmp_path / "copy" / "warehouse" / "home.py").touch()
    monkeypatch.setattr(sys, "argv", [str(program)])
    with pytest.raises(RefusedError, match=r"copied; remove .*/copy/\.venv"):
        default_root()
    monkeypatch.setattr(sys, "argv", [str(REPOSITORY / ".venv" / "bin" / "rarecall")])
    assert default_root() == REPOSITORY / "warehouse" / "data"


def test_a_home_that_can_only_be_read_answers_and_is_examined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A thread that gave up writing stands for a read-only disk: it holds for root, too."""
    home, found = published(tmp_path / "home"), []

    def look() -> None:
        if not give_up_writing(Path("/dev")):  # libraries open /dev/null
            return
        os.environ["RARECALL_HOME"] = str(home.root)
        found.extend(remark for remark in examine(home) if str(home.root) in remark.what or "catalog" in remark.what)
        gc(delete=False, days=7.0, run_days=90.0)

    before = os.environ.get("RARECALL_HOME")
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    os.environ.pop("RARECALL_HOME", None) if before is None else os.environ.update(RARECALL_HOME=before)
    if not found:
        pytest.skip("this system has no Landlock")
    assert "can only be read here" in found[0].what and found[0].is_fine
    assert "Nothing to remove." in capsys.readouterr().out


def test_what_a_killed_question_left_on_the_disk_is_found(tmp_path: Path) -> None:
    home = published(tmp_path / "home")
    gone, mine = (home.root / f".rarecall-spill-0.{number}.tmp" for number in (999999999, os.getpid()))
    for folder in (gone, mine, home.root / "rarecall.duckdb.tmp"):
        folder.mkdir()
        (folder / "duckdb_temp_storage.tmp").write_bytes(b"x" * 1000)
    found = {garbage.path: garbage.byte_count for garbage in find_garbage(home)}
    assert found == {gone: 1000, home.root / "rarecall.duckdb.tmp": 1000}
    with closing(stream(home, "SELECT 1")) as frames:
        next(frames)
        assert not {garbage.path for garbage in find_garbage(home)} - set(found)


def test_what_a_killed_question_left_outside_the_home_is_found_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the home cannot be written, questions put what does not fit into memory into the system's own folder."""
    home, room = published(tmp_path / "home"), tmp_path / "system"
    room.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(room))
    with monkeypatch.context() as patched:
        patched.setattr("os.access", lambda *_: False)
        kept, _ = make_spill_folder(home), make_spill_folder(home)  # the other stays that of this process, which lives
    assert kept.parent == room and kept.stat().st_mode & 0o777 == 0o700
    gone = kept.rename(kept.with_name(kept.name.replace(str(os.getpid()), "999999999")))
    (gone / "duckdb_temp_storage.tmp").write_bytes(b"x" * 1000)
    found = find_garbage(home)
    assert [(garbage.path, garbage.byte_count) for garbage in found] == [(gone, 1000)]
    monkeypatch.setenv("RARECALL_HOME", str(home.root))
    gc(delete=True, days=7.0, run_days=90.0)
    assert not gone.exists() and len(list(room.iterdir())) == 1


def test_a_folder_that_is_still_being_filled_is_removed_all_the_same(tmp_path: Path) -> None:
    """As when a question is stopped under load: a file may come while the folder is being emptied."""
    folder = tmp_path / "spill"
    folder.mkdir()

    def fill() -> None:
        for number in range(10):
            with suppress(OSError):
                (folder / str(number)).write_bytes(b"")
            time.sleep(0.003)

    filling = threading.Thread(target=fill)
    filling.start()
    remove_spill_folder(folder)
    filling.join()
    assert not folder.exists()


@pytest.mark.parametrize(
    "words, streams, said",
    [
        (["query", "FROM range(3)", "-f", "csv"], {"stdout": "/dev/full"}, "standard output took no more"),
        (["query", b"SELECT \xff"], {}, "the query is not UTF-8"),
        (["ui", "--port", "99999"], {}, "65535"),
    ],
)
def test_a_failure_is_one_sentence_about_what_failed(tmp_path: Path, words: list, streams: dict, said: str) -> None:
    from tests.support.acceptance_home import environment

    home = published(tmp_path / "home")
    asked = [sys.executable, "-m", "orchestration.cli", *words]
    out = os.open(streams["stdout"], os.O_WRONLY) if "stdout" in streams else subprocess.DEVNULL
    done = subprocess.run(
        asked, env=environment(home.root), cwd=tmp_path, input=streams.get("stdin"), stdout=out, stderr=subprocess.PIPE
    )
    sentence = done.stderr.decode()
    assert done.returncode in (1, 2) and said in sentence and sentence.count("\n") == 1, sentence
    assert "Error" not in sentence and "Traceback" not in sentence


def test_modules_of_other_names_on_the_path_are_not_taken_for_ours(tmp_path: Path) -> None:
    home = published(tmp_path / "home")
    for name in ("assets.py", "warehouse.py", "probes.py", "sql.py", "corpus_stats.py"):
        (tmp_path / name).write_text("raise RuntimeError('the wrong file was imported')")
    script = "import orchestration.cli; from warehouse.home import Home; import assets, probes, sql, corpus_stats"
    around = {**os.environ, "PYTHONPATH": f".{os.pathsep}{REPOSITORY}", "RARECALL_HOME": str(home.root)}
    done = subprocess.run([sys.executable, "-c", script], env=around, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert rarecall(home.root, "query", "SELECT 1").returncode == 0
