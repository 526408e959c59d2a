"""The documentation does what it says: commands parse, questions and SQL blocks run, pictures are current."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import sql
from docs.build.flow import flow_svg
from docs.build.session import BEGIN, END, session, with_session
from orchestration.cli.main import app
from orchestration.cli.query_command import text_of
from tests.support.acceptance_home import rarecall
from warehouse.catalog.publish import publish_catalog
from warehouse.catalog.queries import query
from warehouse.home import Home

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for found, text in FENCE.findall(page.read_text()):
            if found == language:
                yield page, text


def commands() -> list[str]:
    """Lines after a prompt, with the lines they run on to while a quotation is open; comments are cut."""
    found: list[str] = []
    for _, text in blocks("console"):
        lines = iter(text.splitlines())
        for line in lines:
            if not line.startswith("$ "):
                continue
            whole = line.removeprefix("$ ")
            while whole.count('"') % 2:
                whole += "\n" + next(lines)
            found.append(whole)
    return list(dict.fromkeys([*found, *pasted()]))


def pasted() -> list[str]:
    """Commands of blocks that are meant to be pasted: one a line, or more while a quotation is open."""
    found: list[str] = []
    for _, text in blocks("bash"):
        lines = iter(text.splitlines())
        for line in lines:
            whole = line
            while whole.count('"') % 2:
                whole += "\n" + next(lines)
            found.append(whole)
    return found


def mentions() -> list[str]:
    """Commands named in running text; they may leave out what depends on the reader."""
    found = re.findall(r"`(rarecall [a-z][^`…]*)`", "\n".join(page.read_text() for page in PAGES))
    return sorted({line for line in found if "NAME" not in line and "|" not in line} - set(commands()))


def words(command: str) -> list[str]:
    return shlex.split(command.partition(" > ")[0], comments=True)


RARECALL = [command for command in commands() if command.startswith("rarecall ")]
MAKE = [command for command in commands() if command.startswith("make ")]


def parsed(arguments: list[str]) -> None:
    """Let the command line read the words without doing anything; fails where it would refuse them."""
    group, name = typer.main.get_command(app), "rarecall"
    while True:
        context = group.make_context(name, list(arguments))
        if not hasattr(group, "resolve_command"):
            return
        rest = [*getattr(context, "_protected_args", []), *context.args]
        if not rest:
            return
        name, group, arguments = group.resolve_command(context, rest)


def test_the_documents_show_enough_to_be_worth_testing():
    assert len(RARECALL) >= 12 and MAKE and len(list(blocks("sql"))) >= 40


def test_blocks_for_pasting_hold_commands_and_nothing_else() -> None:
    """No prompt, no comment: an interactive zsh knows neither."""
    known = ("rarecall ", "make ", ". .venv/bin/activate")
    assert len(pasted()) >= 30 and [c for c in pasted() if not c.startswith(known) or "#" in c] == []


def test_the_readme_shows_a_session_as_the_command_line_says_it(world: Home) -> None:
    readme = (ROOT / "README.md").read_text()
    shown = readme.partition(BEGIN)[2].partition(END)[0]
    assert re.search(r"^\S+ recites [\d,]+ of [\d,]+ paragraphs", shown, re.MULTILINE), "run `make session`"
    assert "vary with the text that a Python installation carries" in shown
    made = session(world)
    assert (
        rarecall(world.root, "report").stdout.split("\n\n")[0].split()
        == made.split("```text")[1].split("\n\n")[0].split()
    )
    again = with_session(readme, made)
    assert made in again and with_session(again, session(world)) == again


def test_every_kind_of_reader_has_a_first_page() -> None:
    readme = (ROOT / "README.md").read_text()
    pages = sorted(page.name for page in (ROOT / "docs").glob("start_*.md"))
    assert len(pages) == 4 and all(f"docs/{page}" in readme for page in pages)


@pytest.mark.parametrize("command", RARECALL)
def test_every_command_is_one(command: str) -> None:
    parsed(words(command)[1:])


@pytest.mark.parametrize("command", mentions())
def test_every_command_in_running_text_is_one(command: str) -> None:
    try:
        parsed(words(command)[1:])
    except Exception as error:  # Typer carries a Click of its own since 0.20
        assert type(error).__name__ in ("MissingParameter", "BadOptionUsage"), error


def test_a_command_that_is_none_would_be_noticed() -> None:
    for wrong in (["query", "--frmat", "csv"], ["quiery"], ["checkpoints", "ad", "x"]):
        with pytest.raises(Exception, match=r"[Nn]o such"):
            parsed(wrong)


@pytest.mark.parametrize(
    "command",
    [c for c in (*RARECALL, *mentions()) if c.startswith("rarecall query ") and any(w[0] != "-" for w in words(c)[2:])],
)
def test_every_query_of_the_documents_is_answered(world: Home, command: str) -> None:
    query(world, text_of(next(word for word in words(command)[2:] if not word.startswith("-"))))


def test_every_sql_block_is_answered(world: Home) -> None:
    for page, text in blocks("sql"):
        assert query(world, text).width, page


@pytest.mark.parametrize("command", MAKE)
def test_every_make_target_exists(command: str) -> None:
    assert re.search(rf"^{words(command)[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_picture_is_drawn_from_todays_assets() -> None:
    assert (ROOT / "docs" / "images" / "flow.svg").read_text() == flow_svg(), "run `make docs`"


def test_the_cookbook_page_holds_todays_questions() -> None:
    page = (ROOT / "docs" / "cookbook.md").read_text()
    for question in sql.load(sql.COOKBOOK).values():
        assert f"## {question.title}\n" in page and question.text.strip() in page, f"{question.name}: `make cookbook`"


@pytest.mark.skipif(
    not shutil.which("duckdb"), reason="the duckdb command line is not installed (pip install duckdb-cli)"
)
def test_the_duckdb_command_line_answers_every_question(world: Home) -> None:
    for file in sorted((ROOT / "sql" / "adhoc" / "cookbook").glob("*.sql")):
        asked = ["duckdb", "-readonly", "-csv", str(world.database)]
        result = subprocess.run(asked, stdin=file.open(), capture_output=True, text=True, timeout=120)
        assert result.returncode == 0 and not result.stderr, f"{file.name}: {result.stderr}"


def test_the_notebook_runs_and_draws_two_figures(world: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    monkeypatch.setenv("RARECALL_HOME", str(world.root.parent / "notebook"))
    copy = world.root.parent / "notebook" / "rarecall.duckdb"  # one process opens a file with one configuration
    copy.parent.mkdir(exist_ok=True)
    shutil.copy(world.database, copy)
    pyplot.close("all")
    notebook = json.loads((ROOT / "docs" / "first_look.ipynb").read_text())
    names: dict[str, object] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    drawn = [pyplot.figure(number) for number in pyplot.get_fignums()]
    names["warehouse"].close()
    assert len(drawn) == 2 and all(figure.axes[0].has_data() for figure in drawn)
    assert names["triggers"].height > 100
    pyplot.close("all")


def test_an_export_is_the_answer_in_polars_and_pandas(world: Home, tmp_path: Path) -> None:
    import polars as pl

    file = tmp_path / "answer.parquet"
    result = rarecall(world.root, "query", "which_tokens_trigger", "-f", "parquet", "-o", file)
    assert result.returncode == 0, result.stderr
    asked = query(world, sql.load(sql.COOKBOOK)["which_tokens_trigger"].text)
    assert pl.read_parquet(file).equals(asked) and asked.height == 10


def test_the_cookbook_is_answered_while_the_warehouse_is_rewritten(world: Home, tmp_path: Path) -> None:
    """Readers keep their answer while the published file is replaced again and again."""
    home = Home(tmp_path / "home")
    shutil.copytree(world.root, home.root, ignore=shutil.ignore_patterns("report", "copy.duckdb"))
    publish_catalog(home)
    stop = threading.Event()

    def _rewrite() -> None:
        while not stop.is_set():
            publish_catalog(home)

    writer = threading.Thread(target=_rewrite)
    writer.start()
    try:
        text = sql.load(sql.COOKBOOK)["which_tokens_trigger"].text
        assert [query(home, text).height for _ in range(8)] == [10] * 8
    finally:
        stop.set()
        writer.join(60)
