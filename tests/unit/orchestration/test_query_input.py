"""Input of `rarecall query` and what stands around an answer: topics, encodings, file names, pipes, examples."""

import io
import os
import sys

import polars as pl
import pytest
import typer

import sql
from orchestration.cli.answers import visible, write_answer
from orchestration.cli.examples import EXAMPLES
from orchestration.cli.main import app
from orchestration.cli.query_command import decoded, form_of, has_piped_text, readable
from orchestration.cli.question_list import TOPICS, listing


def test_some_twenty_questions_are_listed_by_topic_and_all_of_them_on_demand() -> None:
    names = [name for some in TOPICS.values() for name in some]
    assert len(set(names)) == len(names) and 18 <= len(names) <= 26 and set(names) <= set(sql.load(sql.COOKBOOK))
    assert "figure_" not in listing() and "browser_" not in listing()
    assert all(name in listing(is_all=True) for name in sql.questions())


@pytest.mark.parametrize(
    ("data", "text", "is_guessed"),
    [
        ("select 'é'".encode(), "select 'é'", False),
        ("select 'é'".encode("utf-8-sig"), "select 'é'", False),
        ("select 'é'".encode("utf-16"), "select 'é'", False),
        ("select 'é'".encode("cp1252"), "select 'é'", True),
    ],
)
def test_a_file_of_sql_is_read_in_whatever_encoding_it_has(data: bytes, text: str, is_guessed: bool) -> None:
    read, note = decoded(data)
    assert read == text and bool(note) == is_guessed


def test_an_argument_is_utf8_whatever_the_locale_took_it_for() -> None:
    misread = "select 'é'".encode().decode("ascii", errors="surrogateescape")
    assert readable(misread) == "select 'é'" and readable("select 1") == "select 1"


@pytest.mark.parametrize(
    ("name", "form"),
    [("x.parquet", "parquet"), ("x.CSV", "csv"), ("x.json", "json"), ("x.txt", "table"), ("x", "table")],
)
def test_the_name_of_the_file_says_how_it_is_written(tmp_path, name: str, form: str) -> None:
    assert form_of(tmp_path / name).value == form and form_of(None).value == "table"


def test_what_is_piped_in_is_read_and_an_open_empty_pipe_is_not_waited_for(monkeypatch) -> None:
    monkeypatch.setattr("orchestration.cli.query_command.PIPE_WAIT_S", 0.05)
    reading, writing = os.pipe()
    with os.fdopen(reading) as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        assert not has_piped_text()
        os.write(writing, b"select 1")
        assert has_piped_text()
        os.close(writing)
    monkeypatch.setattr(sys, "stdin", io.StringIO("no file"))
    assert not has_piped_text()


def test_nothing_of_a_cell_is_hidden_and_nothing_steers_the_terminal(capsys) -> None:
    assert visible("  a b ") == "··a b·" and visible("a\u202eb\xa0") == "a⟨U+202E⟩b⟨U+00A0⟩"
    frame = pl.DataFrame({"odd\x1b[31m": [" lead"], "list": [["\x1b[2J"]]})
    write_answer([frame], "table", None)
    out = capsys.readouterr().out
    assert "odd␛[31m" in out and "·lead" in out and "\x1b" not in out


def commands(group: typer.Typer, prefix: str = "") -> list[tuple[str, str]]:
    found = []
    for info in group.registered_commands:
        name = info.name or info.callback.__name__.replace("_", "-")  # type: ignore[union-attr]
        found.append((prefix + name, info.epilog or ""))
    for inner in group.registered_groups:
        found += commands(inner.typer_instance, f"{prefix}{inner.name} ")  # type: ignore[arg-type]
    return found


def test_the_help_of_every_command_has_an_example() -> None:
    shown = commands(app)
    assert len(shown) >= 16 and [name for name, epilog in shown if not epilog.startswith("Example: ")] == []
    assert set(EXAMPLES) <= {name for name, _ in shown}
