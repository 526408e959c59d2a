"""`rarecall query`: one's own SELECT, a question of the cookbook by name, or the list of questions."""

from __future__ import annotations

import contextlib
import difflib
import enum
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from warehouse.home import Home

if TYPE_CHECKING:
    import sql as queries

_NAME = re.compile(r"[A-Za-z0-9_]+")


class Format(enum.StrEnum):
    """How an answer is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


class SqlCommand(TyperCommand):
    """A command whose argument may begin with a comment, as files of SQL do, and not be taken for an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Set a line break, which SQL does not mind, before what begins with two hyphens and white space."""
        return super().parse_args(ctx, [f"\n{text}" if re.match(r"--\s", text) else text for text in args])


def completions(incomplete: str) -> list[str]:
    """What the shell offers: questions for the first word; tables, views and marts inside a SELECT."""
    import sql as queries
    from warehouse.registry import TABLES

    head, space, word = incomplete.rpartition(" ")
    tables = {*TABLES, *queries.load("views"), *queries.load("marts")}
    names = tables if space else tables | queries.questions().keys()
    return sorted(head + space + name for name in names if name.startswith(word))


def query(
    sql: Annotated[
        str,
        typer.Argument(
            help="One SELECT over the published warehouse, the name of a question, or - to read it from stdin; without "
            "it the questions are listed.",
            autocompletion=completions,
        ),
    ] = "",
    format: Annotated[Format, typer.Option("--format", "-f", help="table, csv, json or parquet.")] = Format.TABLE,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to a file.")] = None,
    checkpoint: Annotated[str, typer.Option(help="Checkpoint the question is about; default: trained longest.")] = "",
    paragraph: Annotated[str, typer.Option(help="Paragraph it is about, by the beginning of its id.")] = "",
    set_: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE for a $NAME in the SELECT.")] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="Stop when no row has come for so long.")] = 600.0,
    show: Annotated[bool, typer.Option("--show", help="Print the SELECT of a question instead of asking it.")] = False,
) -> None:
    """Ask the published warehouse, read-only, also while a run is writing."""
    from orchestration.cli.answers import write_answer
    from warehouse.catalog.stream import Bounds, stream

    if not sql.strip():
        _list_questions()
        return
    text = text_of(sql)
    if show:
        print(text)
        return
    home = Home.locate()
    variables = {"checkpoint": checkpoint, "paragraph": paragraph}
    require_known(home, checkpoint, paragraph)
    parameters = _parameters(home, text, checkpoint, set_ or [])
    _require_outside(home, output)
    chosen = {name: value for name, value in variables.items() if value}
    with _left_at_once(), contextlib.closing(stream(home, text, parameters, chosen, Bounds(seconds))) as frames:
        write_answer(frames, format.value, output)


@contextlib.contextmanager
def _left_at_once() -> Iterator[None]:
    """End the process when somebody stopped a question, or it was stopped and goes on all the same."""
    from orchestration.run.failures import say, say_failure
    from warehouse.catalog.stream import is_stuck

    try:
        yield
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            os._exit(say("the query was interrupted.", 1))
        if is_stuck():
            os._exit(say_failure(error))
        raise


def _require_outside(home: Home, output: Path | None) -> None:
    """Refuse to write an answer over the record.

    Raises:
        RequestError: the file lies in the record or is the catalog.
    """
    from assets.framework.errors import RequestError

    file = output.resolve() if output else None
    if file and (file.is_relative_to(home.tables.resolve()) or file == home.database.resolve()):
        raise RequestError(f"{output} belongs to the warehouse; name a file outside {home.tables}.")


def text_of(asked: str) -> str:
    """The SELECT itself, the text of a named question, or what stdin holds.

    Raises:
        RequestError: a single word names neither a question nor a table.
    """
    import sql as queries
    from assets.framework.errors import RequestError

    if asked == "-":
        return _read_input()
    if not _NAME.fullmatch(asked.strip()):
        return asked
    name, known = asked.strip().lower(), queries.questions()
    if name in known:
        return known[name].text
    if name in completions(name):
        return f"FROM {name}"
    close = difflib.get_close_matches(name, completions(""), n=3)
    said = f"did you mean {' or '.join(close)}" if close else "`rarecall query` lists the questions"
    raise RequestError(f"there is no question or table {name!r}; {said}?")


def _read_input() -> str:
    from assets.framework.errors import RequestError

    if sys.stdin is None:
        raise RequestError("standard input is closed; write the SELECT into it, or name it as an argument.")
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(f"standard input is not UTF-8 (byte {error.start}); save the SELECT as UTF-8.") from error


def require_known(home: Home, checkpoint: str, paragraph: str) -> None:
    """Refuse a choice that would only give an empty answer.

    Raises:
        RequestError: there is no such checkpoint, or not exactly one paragraph whose id begins so.
    """
    import sql as queries
    from assets.framework.errors import RequestError
    from warehouse.catalog.queries import query as ask

    if checkpoint:
        known = ask(home, queries.load_one("adhoc", "checkpoint_names").text)["checkpoint_id"].to_list()
        if checkpoint not in known:
            raise RequestError(f"there is no checkpoint {checkpoint!r}; measured are {', '.join(known) or 'none'}.")
    if paragraph:
        text = queries.load_one("adhoc", "paragraphs_by_id").text
        count = ask(home, text, {"beginning": paragraph}).height
        if count != 1:
            found = f"{count} paragraphs have ids that begin" if count else "no paragraph has an id that begins"
            where = "the report and `rarecall query recited_paragraphs` show ids"
            raise RequestError(f"{found} with {paragraph!r}; {where}.")


def _parameters(home: Home, text: str, checkpoint: str, settings: list[str]) -> dict[str, str] | None:
    """Values of the $names in a SELECT: those set, and for $checkpoint_id the chosen or the last checkpoint.

    Raises:
        RequestError: a setting is not NAME=VALUE.
    """
    from assets.framework.errors import RequestError
    from warehouse.catalog.queries import latest_checkpoint

    given = dict(item.partition("=")[::2] for item in settings)
    if not all("=" in item for item in settings):
        raise RequestError("--set needs NAME=VALUE, as in --set limit=20.")
    if re.search(r"\$checkpoint_id\b", text):
        given.setdefault("checkpoint_id", checkpoint or latest_checkpoint(home) or "")
    return given or None


def _list_questions() -> None:
    import sql as queries

    print("Ask one with `rarecall query NAME`, see its SELECT with `rarecall query NAME --show`.\n")
    for heading, folder in (("Cookbook", queries.COOKBOOK), ("Behind the report", "adhoc")):
        _list(heading, queries.load(folder))


def _list(heading: str, found: dict[str, queries.Query]) -> None:
    width = max(len(name) for name in found)
    print(f"{heading}")
    for name, question in found.items():
        print(f"  {name:<{width}}  {question.title}")
