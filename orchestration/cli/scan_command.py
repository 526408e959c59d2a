"""`rarecall scan`: which passages of a document does a checkpoint know by heart?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from warehouse.home import Home

if TYPE_CHECKING:
    from assets.scan.command import Scanned, ScanRequest


def scan(
    source: Annotated[str, typer.Argument(help="A text file, a folder of them, or - for standard input.")],
    checkpoint: Annotated[list[str], typer.Option(help="Registered, or a folder or hub id; two are compared.")],
    prefix: Annotated[int, typer.Option(min=2, help="Tokens that are shown.")] = 50,
    continuation: Annotated[int, typer.Option(min=1, help="Tokens that are to be recited.")] = 50,
    stride: Annotated[int, typer.Option(min=1, help="Tokens between two starts.")] = 1,
    method: Annotated[str, typer.Option(help="anchored (fast), screened, or exact; see docs/scan.md.")] = "anchored",
    least: Annotated[int, typer.Option(min=1, help="Recitals of fewer tokens make no passage.")] = 20,
    triggers: Annotated[bool, typer.Option("--triggers", help="Change each prefix token of long passages.")] = False,
    fail_over: Annotated[
        int | None, typer.Option(min=0, help="Exit with 1 when a passage is longer than so many tokens.")
    ] = None,
    redact: Annotated[
        bool, typer.Option("--redact", help="Hide addresses, keys and numbers in what is shown.")
    ] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write one HTML page.")] = None,
    null: Annotated[
        str | None, typer.Option(help="Text for the null that no model has seen; default: sentences shuffled.")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Of the files; default: UTF-8 or what their mark says.")] = None,
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16; doubtful windows in float32.")] = "float32",
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the work.")] = 1,
) -> None:
    """Scan a text for passages that a checkpoint recites, and show them by length with file and line."""
    from assets.framework import progress
    from assets.framework.errors import RequestError
    from assets.scan.command import ScanRequest
    from assets.scan.command import scan as scan_documents
    from assets.scan.page import ScanPage
    from orchestration.run.interruption import Interruption
    from orchestration.run.progress_display import reporter
    from probes.errors import ProbeError
    from probes.scan import ScanPlan

    home = Home.locate().prepare()
    progress.install(reporter(Interruption().check))
    try:
        plan = ScanPlan(prefix, continuation, stride, method, least_match=least)  # type: ignore[arg-type]
    except ProbeError as error:
        raise RequestError(str(error)) from error
    ids, unregistered = _checkpoints(home, checkpoint)
    request = ScanRequest(source, ids, plan, triggers, null, encoding, device, dtype, _engine(workers), unregistered)
    page = ScanPage(home, redact) if output is not None else None
    scanned = scan_documents(
        home, request, lambda said: typer.echo(f"Left out: {said}", err=True), page.add if page else None
    )
    _publish(home, scanned)
    _show(home, request, scanned, redact)
    if page is not None and output is not None:
        page.write(output)
        typer.echo(f"page {output}")
    _fail_over(home, scanned, fail_over)


def _checkpoints(home: Home, names: list[str]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Ids of the checkpoints, and what would be registered of those that are only named: folders and hub ids."""
    from assets.framework.checkpoint_names import checkpoint_id_of, split_revision
    from orchestration.sources.named import pinned, registration_of
    from warehouse.registrations import registered

    known, ids, facts = registered(home, "checkpoints"), [], {}
    for name in names:
        if name in known or not (Path(name).is_dir() or "/" in name):
            ids.append(name)
            continue
        source, revision = split_revision(name)
        ids.append(checkpoint_id_of(source, revision))
        if ids[-1] not in known:
            facts[ids[-1]] = pinned({**registration_of(source, revision, ""), "corpus_id": None})
    return tuple(dict.fromkeys(ids)), facts


def _engine(workers: int) -> Any:
    from probes.workers import EngineSettings

    return None if workers == 1 else EngineSettings(workers=workers, threads_per_worker=1)


def _publish(home: Home, scanned: list[Scanned]) -> None:
    from warehouse.catalog.publish import publish_catalog

    if any(one.is_new for one in scanned):
        publish_catalog(home)


def _show(home: Home, request: ScanRequest, scanned: list[Scanned], is_redacted: bool) -> None:
    """Sentences, the ten longest passages, and a ranking or a comparison where there are several."""
    from assets.scan import summary
    from orchestration.cli.answers import write_answer

    several = len({one.document for one in scanned}) > 1
    if several:
        write_answer([summary.ranking(home, scanned)], "table", None)
    else:
        for one in scanned:
            typer.echo("\n".join(summary.sentences(home, one)))
    longest = summary.longest_passages(home, scanned, is_redacted)
    if longest.height:
        typer.echo("")
        write_answer([longest], "table", None)
    if len(request.checkpoint_ids) > 1:
        typer.echo("")
        write_answer([summary.comparison(home, scanned)], "table", None)
    ids = ", ".join(one.scan_id for one in scanned[:3]) + (" …" if len(scanned) > 3 else "")
    typer.echo(f"\nTables scans, scan_positions, scan_passages, scan_reach, scan_triggers: scan_id {ids}.")


def _fail_over(home: Home, scanned: list[Scanned], most: int | None) -> None:
    """Exit with 1 when a passage is longer than it may be."""
    if most is None:
        return
    longest = max(scanned, key=lambda one: int(one.rows(home, "scans")["longest_passage_count"][0]))
    length = int(longest.rows(home, "scans")["longest_passage_count"][0])
    if length > most:
        typer.echo(
            f"rarecall: {longest.checkpoint_id} recites a passage of {length} tokens of {longest.document}, more than "
            f"{most}; see the table scan_passages.", err=True,
        )  # fmt: skip
        raise typer.Exit(1)
