"""Every command as a stranger types it: what it prints, where, and with which exit code.

What works is asked of a process of its own; refusals, which are many, of the same entry point in this process.
"""

from __future__ import annotations

import csv
import io
import json
import re
import time
from pathlib import Path

import polars as pl
import pytest

from tests.support.acceptance_home import one_sentence, rarecall, typed, write_profile
from tests.support.finished_home import Finished


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty") / "home"


def test_run_ends_with_six_lines_and_an_existing_report(finished: Finished) -> None:
    said, paths = finished.stdout.strip().split("\n\n")
    assert re.match(r"small-step-\d+ recites ", said) and "Do rare tokens trigger it?" in said
    assert "Claims of the papers: " in said and len(said.splitlines()) <= 9
    assert [line.split()[0] for line in paths.splitlines()] == ["report", "warehouse"]
    report = Path(re.search(r"^report +(.+)$", finished.stdout, re.MULTILINE)[1])
    assert report.is_file() and "<html" in report.read_text()[:500]
    assert re.search(r"training: \d+/\d+ steps, [\d.,]+/s, \d+ s left", finished.stderr)


def test_second_run_does_nothing_and_says_so(finished: Finished) -> None:
    record = {file: file.stat().st_mtime_ns for file in finished.home.rglob("*.parquet")}
    before = time.monotonic()
    result = rarecall(finished.home, "run", "-p", finished.profile)
    assert result.returncode == 0 and "Nothing changed" in result.stderr
    assert result.stdout == finished.stdout
    assert time.monotonic() - before < 30
    assert record == {file: file.stat().st_mtime_ns for file in finished.home.rglob("*.parquet")}


def test_query_as_csv_is_header_and_rows_only(finished: Finished) -> None:
    text = "-- as in a file\n"
    text += "select checkpoint_id, layer_count, NULL as nothing, 'a,\"b' as odd from checkpoints order by 1"
    result = rarecall(finished.home, "query", "-f", "csv", text)
    rows = list(csv.reader(io.StringIO(result.stdout)))
    assert rows[0] == ["checkpoint_id", "layer_count", "nothing", "odd"]
    assert len(rows) == 3 and rows[1][1:] == ["2", "", 'a,"b'] and result.stderr == ""


def test_query_as_table_json_and_parquet(finished: Finished, tmp_path: Path) -> None:
    text = "select corpus_id, token_count, ['x', NULL] as list from corpora"
    table = rarecall(finished.home, "query", text)
    assert table.returncode == 0 and "token_count" in table.stdout and "library" in table.stdout
    answer = json.loads(rarecall(finished.home, "query", "-f", "json", text).stdout)
    assert answer[0]["list"] == ["x", None]
    asked = rarecall(finished.home, "query", "-f", "parquet", "-o", tmp_path / "answer.parquet", text)
    assert asked.returncode == 0 and asked.stdout == ""
    assert pl.read_parquet(tmp_path / "answer.parquet")["token_count"][0] == answer[0]["token_count"]


def test_report_doctor_and_lists(finished: Finished) -> None:
    assert str(finished.home / "report" / "index.html") in rarecall(finished.home, "report").stdout
    doctor = rarecall(finished.home, "doctor")
    assert doctor.returncode == 0, doctor.stdout
    assert "parts of the record agree with their checksums" in doctor.stdout and "FIX" not in doctor.stdout
    assert "library" in rarecall(finished.home, "corpus", "list").stdout
    assert "small-step-00000" in rarecall(finished.home, "checkpoints", "list").stdout


WRITING = {
    "insert": "INSERT INTO scores SELECT * FROM scores",
    "create": "CREATE TABLE mine AS SELECT 1",
    "copy": "COPY (SELECT 1) TO '{file}'",
    "attach": "ATTACH '{file}'",
    "two": "SELECT 1; DROP VIEW scores",
    "set": "SET enable_external_access = true",
    "pragma": "PRAGMA database_list",
    "read_csv": "SELECT * FROM read_csv('/etc/passwd')",
    "read_text": "SELECT * FROM read_text('/etc/passwd')",
    "explain": "EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}'",
}


@pytest.mark.parametrize("name", WRITING)
def test_queries_that_write_or_pry_are_refused(finished: Finished, tmp_path: Path, name: str) -> None:
    file = tmp_path / "stolen"
    before = finished.home.joinpath("rarecall.duckdb").read_bytes()
    result = typed(finished.home, "query", WRITING[name].format(file=file))
    assert result.returncode == 2 and result.stdout == ""
    one_sentence(result.stderr)
    assert not file.exists() and finished.home.joinpath("rarecall.duckdb").read_bytes() == before


def test_misspelt_names_keep_their_hint(finished: Finished) -> None:
    column = typed(finished.home, "query", "SELECT exact_mach FROM scores")
    table = typed(finished.home, "query", "SELECT * FROM scors")
    assert column.returncode == table.returncode == 2
    assert '"exact_match"' in one_sentence(column.stderr) and 'Did you mean "scores"?' in one_sentence(table.stderr)


def test_debug_shows_the_traceback(finished: Finished) -> None:
    result = rarecall(finished.home, "--debug", "query", "SELECT exact_mach FROM scores")
    assert result.returncode == 1 and "Traceback" in result.stderr and "QueryError" in result.stderr


@pytest.mark.parametrize("words", [("query", "SELECT 1"), ("report",), ("corpus", "list"), ("checkpoints", "list")])
def test_before_the_first_run_the_next_step_is_named(empty: Path, words: tuple[str, ...]) -> None:
    result = typed(empty, *words)
    assert result.returncode == 2 and "`rarecall " in one_sentence(result.stderr)
    assert not empty.exists()


@pytest.mark.parametrize(
    "words", [("frobnicate",), ("run", "--nope"), ("query", "-f", "xml", "SELECT 1"), ("ui", "--port", "x")]
)
def test_wrong_words_point_to_the_help(empty: Path, words: tuple[str, ...]) -> None:
    result = typed(empty, *words)
    assert result.returncode == 2 and "--help`" in one_sentence(result.stderr)


def test_unknown_profile_and_checkpoint_name_what_there_is(finished: Finished) -> None:
    profile = typed(finished.home, "run", "-p", "nope")
    assert profile.returncode == 2 and "quickstart" in one_sentence(profile.stderr)
    checkpoint = typed(finished.home, "run", "-p", finished.profile, "--checkpoint", "nope")
    assert checkpoint.returncode == 2 and "small-step-00000" in one_sentence(checkpoint.stderr)
    removed = typed(finished.home, "checkpoints", "remove", "nope")
    assert removed.returncode == 2 and "small-step-00000" in one_sentence(removed.stderr)


PROFILES = {
    "toml": ('name = "small"', 'name = "small', "TOML"),
    "type": ("vocabulary_size = 1024", 'vocabulary_size = "many"', "corpus.vocabulary_size"),
    "range": ("checkpoint_count = 2", "checkpoint_count = 1", "training.checkpoint_count"),
    "unknown": ("seed = 1", "sead = 1", "no setting paragraphs.sead"),
    "together": ("head_count = 2", "head_count = 3", "multiple of training.head_count"),
}


@pytest.mark.parametrize("name", PROFILES)
def test_wrong_profiles_name_the_place(tmp_path: Path, name: str) -> None:
    old, new, place = PROFILES[name]
    profile = write_profile(tmp_path, {old: new})
    result = typed(tmp_path / "home", "run", "-p", profile)
    assert result.returncode == 2
    sentence = one_sentence(result.stderr)
    assert place in sentence and profile.name in sentence
    assert not list((tmp_path / "home").glob("*"))


@pytest.mark.parametrize("place", ["file", "below a file", "proc"])
def test_home_that_cannot_be_written(tmp_path: Path, finished: Finished, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    places = {"file": tmp_path / "file", "below a file": tmp_path / "file" / "home", "proc": Path("/proc/home")}
    home = places[place]
    result = typed(home, "run", "-p", finished.profile)
    assert result.returncode == 1
    sentence = one_sentence(result.stderr)
    assert str(home) in sentence and "RARECALL_HOME" in sentence
    assert (tmp_path / "file").read_text() == "mine"
