"""`rarecall corpus`: add, inspect, list, remove; `rarecall import`: what other projects released."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from warehouse.home import Home

if TYPE_CHECKING:
    import polars as pl

app = typer.Typer(help="Corpora.", no_args_is_help=True)
import_app = typer.Typer(help="Import what other projects released, as corpora to measure.", no_args_is_help=True)

_TOKENIZER = "Folder or hub id of the tokenizer; text without one gets a byte-level BPE trained on it."
_RELEASED_TOKENIZER = "Folder or hub id of the tokenizer the ids were made with."
_GPT2_IDS = "EleutherAI/gpt-neo-125m"  # both releases hold GPT-2's ids


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name in the warehouse.")],
    source: Annotated[str, typer.Argument(help="Path of text, JSONL(.zst), Parquet or token files; hub id; 'python'.")],
    kind: Annotated[str | None, typer.Option(help="Kind of source; default: seen from its files.")] = None,
    tokenizer: Annotated[str | None, typer.Option(help=_TOKENIZER)] = None,
    vocabulary_size: Annotated[int | None, typer.Option(help="Of the tokenizer that is trained.")] = None,
    on_bad: Annotated[str, typer.Option(help="Broken documents: 'fail', or 'skip' and count them.")] = "fail",
    option: Annotated[list[str] | None, typer.Option("--option", help="NAME=VALUE for the reader; repeatable.")] = None,
) -> None:
    """Register a corpus after a look at its files; a profile then names it by corpus_id alone."""
    from pydantic import ValidationError

    from assets.framework.errors import RequestError
    from assets.framework.profile import CorpusSettings
    from corpus_stats.errors import CorpusError
    from orchestration.cli.corpus_look import first_look
    from warehouse.registrations import register

    home, options = Home.locate().prepare(), dict(_pair(text) for text in option or [])
    facts: dict[str, Any] = {"source": _resolved(source), "kind": kind, "tokenizer": _resolved(tokenizer)}
    facts |= {"options": options, "on_bad": on_bad, "vocabulary_size": vocabulary_size}
    facts = {key: value for key, value in facts.items() if value not in (None, {})}
    try:
        settings = CorpusSettings(corpus_id=name, **facts)
        facts["kind"], checked, what = first_look(settings)
        facts |= {"options": checked} if checked else {}
    except CorpusError as error:
        raise RequestError(str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise RequestError(f"{'.'.join(map(str, first['loc']))} is wrong ({first['msg']}); correct it.") from error
    register(home, "corpora", name, facts)
    typer.echo(f"{name}: {what}; read it with `rarecall run --profile {name}`.")


@app.command("inspect")
def inspect(
    source: Annotated[str, typer.Argument(help="What `corpus add` takes.")],
    kind: Annotated[str | None, typer.Option(help="Kind of source; default: seen from its files.")] = None,
    tokenizer: Annotated[str | None, typer.Option(help="Folder or hub id; counts the tokens of a sample.")] = None,
    documents: Annotated[int, typer.Option(help="Documents that are read for the look.", min=1)] = 1000,
    left_out: Annotated[bool, typer.Option("--left-out", help="Name every file that is left out.")] = False,
    option: Annotated[list[str] | None, typer.Option("--option", help="NAME=VALUE for the reader; repeatable.")] = None,
) -> None:
    """Look at a source: files by kind, first documents, what would be skipped, tokens estimated. Changes nothing."""
    from assets.framework.errors import RequestError
    from assets.framework.profile import CorpusSettings
    from corpus_stats.errors import CorpusError
    from orchestration.cli.corpus_look import inspection_lines

    options = dict(_pair(text) for text in option or [])
    settings = CorpusSettings(
        corpus_id="looked-at", source=_resolved(source) or source, kind=kind, tokenizer=tokenizer, options=options
    )
    try:
        for line in inspection_lines(settings, documents, left_out):
            typer.echo(line)
    except CorpusError as error:
        raise RequestError(str(error)) from error


@app.command("list")
def show() -> None:
    """Show corpora: tokens, documents, fingerprint; empty until they are read."""
    from assets.framework.errors import RequestError
    from orchestration.cli.answers import write_answer
    from warehouse.registrations import registered

    home = Home.locate()
    read, known = _read_corpora(home), registered(home, "corpora")
    if not read and not known:
        raise RequestError("no corpus has been read yet; add one with `rarecall corpus add`, or run `rarecall run`.")
    write_answer([_listed(read, known)], "table", None)


@app.command("remove")
def remove(name: Annotated[str, typer.Argument(help="Name in the warehouse.")]) -> None:
    """Forget a registration; files and results stay."""
    from warehouse.registrations import unregister

    unregister(Home.locate(), "corpora", name)
    typer.echo(f"{name} is no longer registered; its files and results stay.")


@import_app.command("lm-extraction-benchmark")
def import_extraction(
    folder: Annotated[Path, typer.Argument(help="Folder with *_prefix.npy, *_suffix.npy, *_preprefix.npy.")],
    name: Annotated[str, typer.Option(help="Name of the corpus.")] = "lm-extraction-benchmark",
    tokenizer: Annotated[str, typer.Option(help=_RELEASED_TOKENIZER)] = _GPT2_IDS,
) -> None:
    """Import the paragraphs of the Training Data Extraction Challenge, with the tokens before them."""
    _import("lm-extraction-benchmark", folder, name, tokenizer, None)


@import_app.command("localizing-paragraph-memorization")
def import_localizing(
    folder: Annotated[Path, typer.Argument(help="Folder with *_preds.pt and the csv of counts, EM and NLL.")],
    name: Annotated[str, typer.Option(help="Name of the corpus.")] = "localizing-paragraph-memorization",
    tokenizer: Annotated[str, typer.Option(help=_RELEASED_TOKENIZER)] = _GPT2_IDS,
    prefix_length: Annotated[int | None, typer.Option(help="Tokens of the prefix; default: half of a row.")] = None,
) -> None:
    """Import the paragraphs of Stoehr et al. 2024: prefixes and what GPT-Neo 125M wrote after them."""
    _import("localizing-paragraph-memorization", folder, name, tokenizer, prefix_length)


@import_app.command("pythia-memorized-evals")
def import_pythia(
    folder: Annotated[Path, typer.Argument(help="Clone of EleutherAI/pythia-memorized-evals, or some of its files.")],
    name: Annotated[str, typer.Option(help="Name of the corpus.")] = "pythia-memorized-evals",
    tokenizer: Annotated[str, typer.Option(help=_RELEASED_TOKENIZER)] = "EleutherAI/pythia-14m",
) -> None:
    """Import the 32 + 32 tokens of the Pile that Pythia models recite, with their place in the training order."""
    _import("pythia-memorized-evals", folder, name, tokenizer, None)


@import_app.command("texts-with-copies")
def import_copies(
    folder: Annotated[Path, typer.Argument(help="Parquet or JSON lines of texts, as of Hubble or Apertus.")],
    tokenizer: Annotated[str, typer.Option(help="Folder or hub id of the models' tokenizer.")],
    name: Annotated[str, typer.Option(help="Name of the corpus.")] = "texts-with-copies",
    text_field: Annotated[str, typer.Option(help="Dotted path of the text.")] = "text",
    copies_field: Annotated[str | None, typer.Option(help="Of the count; default: duplicates … or the path.")] = None,
    prefix_length: Annotated[int, typer.Option(help="Tokens of the prefix.", min=2)] = 50,
    continuation_length: Annotated[int, typer.Option(help="Tokens of the continuation.", min=1)] = 50,
) -> None:
    """Import texts whose number of copies in training is known, as a duplication ladder with a real cause."""
    options = {"text_field": text_field, "copies_field": copies_field, "continuation_length": continuation_length}
    _import("texts-with-copies", folder, name, tokenizer, prefix_length, options)


def trace(
    text: Annotated[str | None, typer.Argument(help="Text to look for; without one it is read from stdin.")] = None,
    profile: Annotated[str | None, typer.Option(help="Profile, or name of a registered corpus.")] = None,
    minimum: Annotated[int, typer.Option(help="Shortest stretch, in tokens.", min=2)] = 8,
    form: Annotated[str, typer.Option("--format", "-f", help="table, csv or json.")] = "table",
) -> None:
    """Find the longest stretches of a text that stand verbatim in the corpus: how often, and where first."""
    import sys

    from assets.corpus.trace import corpus_tokens, trace_text
    from assets.framework.errors import RequestError
    from assets.framework.profile import load_profile
    from assets.framework.stage import Scope
    from corpus_stats.errors import CorpusError
    from orchestration.cli.answers import write_answer

    home = Home.locate()
    scope = Scope(home, load_profile(profile, home))
    given = text if text is not None else sys.stdin.read()
    try:
        with typer.progressbar(length=2 * corpus_tokens(scope), label="corpus", file=sys.stderr) as bar:
            found = trace_text(scope, given, minimum, bar.update)
    except CorpusError as error:
        raise RequestError(str(error)) from error
    if found.is_empty():
        typer.echo(f"No stretch of {minimum} tokens of the text stands in the corpus {scope.profile.corpus_id}.")
    else:
        write_answer([found], form, None)


def _import(
    release: str,
    folder: Path,
    name: str,
    tokenizer: str,
    prefix_length: int | None,
    options: dict[str, Any] | None = None,
) -> None:
    from assets.corpus.releases import RELEASED, write_import
    from assets.framework.errors import RequestError
    from corpus_stats.errors import CorpusError
    from warehouse.catalog.publish import publish_catalog
    from warehouse.registrations import register

    home, notes = Home.locate().prepare(), list[str]()
    given = {**options, "tokenizer": _resolved(tokenizer)} if options else {}
    try:
        frame = write_import(home, name, release, folder, prefix_length, notes, **given)
    except CorpusError as error:
        raise RequestError(str(error)) from error
    facts = {"source": str(folder.resolve()), "kind": RELEASED, "tokenizer": _resolved(tokenizer)}
    register(home, "corpora", name, facts)
    publish_catalog(home)
    typer.echo(f"{name}: {_summary(frame)}. They are in the table released_paragraphs; to measure checkpoints on them,")
    typer.echo(f"say corpus_id = {name!r} in the [corpus] of a profile, or `rarecall run --profile {name}`.")
    for note in notes:
        typer.echo(f"Note: {note}.")


def _summary(frame: pl.DataFrame) -> str:
    by_model = int((frame["continuation_origin"] == "model").sum())
    distinct = frame["paragraph_id"].n_unique()
    written = f", {by_model:,} with a continuation that a model wrote" if by_model else ""
    return f"{len(frame):,} paragraphs, {distinct:,} of them distinct{written}"


def _read_corpora(home: Home) -> dict[str, dict[str, Any]]:
    from warehouse.record.parts import TableStore

    store = TableStore.of(home, "corpora")
    return {name: store.read(name).row(0, named=True) for name in store.partitions()}


def _listed(read: dict[str, dict[str, Any]], known: dict[str, dict[str, Any]]) -> pl.DataFrame:
    import polars as pl

    shown = ("document_count", "token_count", "fingerprint")
    rows = [
        {
            "corpus_id": name,
            "kind": known.get(name, {}).get("kind"),
            **{column: read.get(name, {}).get(column) for column in shown},
            "source": known.get(name, {}).get("source") or read[name]["source"],
        }
        for name in sorted({*read, *known})
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _pair(text: str) -> tuple[str, Any]:
    from assets.framework.errors import RequestError

    name, equals, value = text.partition("=")
    if not (name and equals):
        raise RequestError(f"--option {text!r} is not NAME=VALUE; write for example --option text_field=content.")
    return name, value


def _resolved(source: str | None) -> str | None:
    """Paths as absolute ones, names as they are."""
    path = Path(source).expanduser() if source else None
    return str(path.resolve()) if path is not None and source != "python" and path.exists() else source
