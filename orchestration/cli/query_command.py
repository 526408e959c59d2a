"""`rarecall query`: one's own SELECT, a question of the cookbook by name, or the list of questions."""

from __future__ import annotations

import codecs
import contextlib
import difflib
import enum
import os
import re
import select
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from warehouse.home import Home

PIPE_WAIT_S = 5.0
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
            help="One SELECT over the published warehouse, the name of a question, or - to read it from stdin (what is "
            "piped in is read without it); alone it lists questions by topic.",
            autocompletion=completions,
        ),
    ] = "",
    format: Annotated[
        Format | None, typer.Option("--format", "-f", help="table, csv, json or parquet; default: by the file's name.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to a file.")] = None,
    checkpoint: Annotated[str, typer.Option(help="Checkpoint the question is about; default: trained longest.")] = "",
    paragraph: Annotated[str, typer.Option(help="Paragraph it is about, by the beginning of its id.")] = "",
    set_: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE for a $NAME in the SELECT.")] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="Stop when no row has come for so long.")] = 600.0,
    show: Annotated[bool, typer.Option("--show", help="Print the SELECT of a question instead of asking it.")] = False,
    is_all: Annotated[bool, typer.Option("--all", help="List every question, with those behind the report.")] = False,
) -> None:
    """Ask the published warehouse, read-only, also while a run is writing."""
    from orchestration.cli.answers import write_answer
    from orchestration.cli.question_list import listing
    from orchestration.run.interruption import Interruption
    from warehouse.catalog.stream import Bounds, stream

    check = Interruption().check  # an import may swallow what Ctrl-C raises
    sql = sql if sql.strip() or is_all or not has_piped_text() else _read_input()
    if not sql.strip():
        print(listing(is_all))
        return
    text = text_of(readable(sql))
    if show:
        print(text)
        return
    home = Home.locate()
    variables = {"checkpoint": checkpoint, "paragraph": paragraph}
    require_known(home, checkpoint, paragraph)
    parameters = _parameters(home, text, checkpoint, set_ or [])
    _require_outside(home, output)
    chosen = {name: value for name, value in variables.items() if value}
    with (
        _left_at_once(),
        contextlib.closing(stream(home, text, parameters, chosen, Bounds(seconds, check=check))) as frames,
    ):
        write_answer(frames, (format or form_of(output)).value, output)


@contextlib.contextmanager
def _left_at_once() -> Iterator[None]:
    """End the process when somebody stopped a question, or it was stopped and goes on all the same."""
    from orchestration.run.failures import say_failure, say_on_stderr
    from warehouse.catalog.stream import is_stuck

    try:
        yield
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            os._exit(say_on_stderr("the query was interrupted.", 1))
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


def readable(argument: str) -> str:
    """An argument as the UTF-8 it is, where a locale without UTF-8 took its bytes for something else."""
    try:
        return os.fsencode(argument).decode("utf-8")
    except UnicodeError:
        return argument


def form_of(output: Path | None) -> Format:
    """How an answer is written that nobody named a format for: what the file's name says, else a table."""
    suffix = (output.suffix if output else "").lower().removeprefix(".").replace("pq", "parquet")
    return Format(suffix) if suffix in {form.value for form in Format} else Format.TABLE


def has_piped_text() -> bool:
    """Whether standard input is a file, or a pipe that somebody writes into or has closed.

    A pipe that stays open and empty for seconds (a scheduler's, an editor's) is nobody's question.
    """
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (AttributeError, OSError, ValueError):
        return False
    if stat.S_ISFIFO(mode):
        return bool(select.select([sys.stdin], [], [], PIPE_WAIT_S)[0])
    return stat.S_ISREG(mode)


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
    text, note = decoded(sys.stdin.buffer.read())
    if note:
        print(f"rarecall: {note}", file=sys.stderr)
    return text


def decoded(data: bytes) -> tuple[str, str]:
    """Text of a file of SQL in whatever encoding an editor gave it, and a note where that had to be guessed."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace"), ""
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError as error:
        note = f"standard input is not UTF-8 (byte {error.start}) and was read as Windows-1252."
        return data.decode("cp1252", errors="replace"), note


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
