"""Answers go where they were asked for: a device stays a device, a link a link, a mode a mode."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import polars as pl
import pytest

from orchestration.cli.answers import first_rows, write_answer
from warehouse.errors import WarehouseError
from warehouse.files import fill_file

PIECES = [pl.DataFrame({"a": numbers}, schema={"a": pl.Int64}) for numbers in ([], [1, 2], [], [3])]


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_pieces_make_one_file(tmp_path: Path, form: str) -> None:
    target = tmp_path / "answer"
    write_answer(PIECES, form, target)
    read = {"csv": pl.read_csv, "json": lambda p: pl.DataFrame(json.loads(p.read_text())), "parquet": pl.read_parquet}
    assert read[form](target)["a"].to_list() == [1, 2, 3]


@pytest.mark.parametrize("form, said", [("csv", "a\n"), ("json", "[]\n")])
def test_no_rows_are_an_answer_too(tmp_path: Path, form: str, said: str) -> None:
    write_answer(PIECES[:1], form, tmp_path / "answer")
    assert (tmp_path / "answer").read_text() == said
    write_answer(PIECES[:1], "parquet", tmp_path / "none.parquet")
    assert pl.read_parquet(tmp_path / "none.parquet").schema == PIECES[0].schema


def test_pieces_beyond_what_is_shown_are_not_asked_for() -> None:
    asked = []
    pieces = (asked.append(number) or pl.DataFrame({"a": range(10)}) for number in range(1000))
    shown, has_more = first_rows(pieces, 25)
    assert shown.height == 25 and has_more and len(asked) == 3
    assert first_rows(iter(PIECES), 3)[1] is False


def test_a_link_stays_a_link_and_the_mode_is_kept(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("before")
    file.chmod(0o640)
    link.symlink_to(file)
    write_answer(PIECES, "csv", link)
    assert link.is_symlink() and file.read_text() == "a\n1\n2\n3\n" and stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_link_into_nothing_makes_the_file_it_names(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_answer(PIECES, "csv", tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_text().startswith("a\n")


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_answer(PIECES, "csv", pipe)
    reader.join(5)
    assert read == ["a\n1\n2\n3\n"] and stat.S_ISFIFO(pipe.lstat().st_mode)


def test_a_device_is_written_into_and_a_full_one_says_so() -> None:
    write_answer(PIECES, "csv", Path("/dev/null"))
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with pytest.raises(WarehouseError, match="/dev/full"):
        write_answer(PIECES, "csv", Path("/dev/full"))


def test_a_folder_is_refused_and_a_failed_answer_leaves_what_was_there(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="is a folder"):
        fill_file(tmp_path, lambda path: path.write_text(""))
    (tmp_path / "file").write_text("before")

    def broken():
        yield PIECES[1]
        raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"):
        write_answer(broken(), "csv", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "before" and len(list(tmp_path.iterdir())) == 1
