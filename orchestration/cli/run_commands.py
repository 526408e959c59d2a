"""Commands that do and show: run, ui, report, doctor."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from warehouse.home import Home

if TYPE_CHECKING:
    from assets.framework.profile import Profile
    from orchestration.run.flow import Step

ProfileOption = Annotated[str, typer.Option("--profile", "-p", help="quickstart, pile, or the path of a .toml file.")]


def run(
    profile: ProfileOption = "",
    checkpoint: Annotated[str | None, typer.Option(help="Measure only this registered checkpoint.")] = None,
    size: Annotated[str, typer.Option(help="A smaller form of the profile, such as quick of paper.")] = "",
    data: Annotated[
        Path | None, typer.Option(help="Folder that holds the files a profile would fetch, for work without a network.")
    ] = None,
) -> None:
    """Materialize everything a profile asks for, then say in six lines what came out and where the report lies."""
    from assets.framework import progress
    from assets.framework.profile import default_profile, load_profile
    from assets.framework.stage import Scope
    from orchestration.run.interruption import Interruption
    from orchestration.run.progress_display import reporter
    from orchestration.run.runner import run_flow
    from orchestration.sources.releases import provide_releases

    profile = f"{profile or default_profile()}:{size}" if size else profile
    chosen = load_profile(profile or None)
    scope = Scope(Home.locate().prepare(), chosen)
    interruption = Interruption()
    progress.install(reporter(interruption.check))
    for note in provide_releases(scope, data):
        typer.echo(note, err=True)
    outcome = run_flow(scope, profile, only=checkpoint, before_step=interruption.check, at_once=None)
    for note in outcome.notes:
        typer.echo(note, err=True)
    if not outcome.done and not outcome.failed:
        typer.echo("Nothing changed since the last run; every table is current.", err=True)
    print_answers(scope.home, scope.profile)
    _say_failed(outcome.failed)


def print_answers(home: Home, profile: Profile | None = None, has_findings: bool = False) -> None:
    """What the profile's or the latest checkpoint does in six short lines, and the two paths to open, the report first.

    With `has_findings` every finding follows, with its interval and null.
    """
    from rich.console import Console
    from rich.text import Text

    from assets.framework.checkpoint_names import subject_checkpoint
    from assets.report.findings import findings
    from assets.report.headline import headline
    from warehouse.catalog.queries import latest_checkpoint

    console = Console(width=min(120, Console().width) if sys.stdout.isatty() else 120, highlight=False)
    checkpoint_id = subject_checkpoint(home, profile) if profile else latest_checkpoint(home)
    if checkpoint_id is None:
        console.print("No checkpoint is registered yet; add one with `rarecall checkpoints add FOLDER`.")
        return
    said = headline(home, checkpoint_id)
    first, *answers = said.lines() if said else [f"{checkpoint_id}: nothing has been scored yet."]
    console.print(Text(f"\n{first}", style="bold"))
    for line in answers:
        question, mark, answer = line.partition("? ")
        console.print(Text.assemble((f"{question}{mark}", "bold"), answer))
    for finding in findings(home, checkpoint_id) if has_findings else []:
        console.print(Text.assemble((f"{finding.title}. ", "bold"), finding.sentence))
    print(f"\nreport    {home.report}\nwarehouse {home.database}")


def _say_failed(failed: list[tuple[Step, BaseException]]) -> None:
    from orchestration.run.failures import exit_code, sentence_of

    for step, error in failed:
        if os.environ.get("RARECALL_DEBUG"):
            traceback.print_exception(error)
        print(f"rarecall: checkpoint {step.checkpoint_id} was not measured: {sentence_of(error)}", file=sys.stderr)
    if failed:
        raise typer.Exit(max(exit_code(error) for _, error in failed))


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 3000,
    profile: ProfileOption = "",
    host: Annotated[str, typer.Option(help="Address to listen on; think before changing it.")] = "127.0.0.1",
) -> None:
    """Open the Dagster UI, with a persistent instance in the home folder."""
    from assets.framework.profile import load_profile
    from orchestration.cli.ui_process import serve

    home = Home.locate().prepare()
    load_profile(profile or None)
    raise typer.Exit(serve(home, host, port, profile))


def report(
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    redact: Annotated[
        bool, typer.Option("--redact", help="Write redacted.html beside it, without addresses, keys and numbers.")
    ] = False,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--compare", metavar="BEFORE AFTER", help="Write comparison.html about two checkpoints beside it."
        ),
    ] = None,
    has_findings: Annotated[
        bool, typer.Option("--findings", help="Print every finding, with its interval and null.")
    ] = False,
) -> None:
    """Print what the checkpoint does in six lines, and the path of the report."""
    from assets.framework.errors import RequestError

    home = Home.locate()
    if not home.report.exists():
        raise RequestError(f"there is no report at {home.report} yet; run `rarecall run` first.")
    print_answers(home, has_findings=has_findings)
    shown = home.report
    if compare:
        shown = _write_comparison(home, *compare, redact)
        print(f"compared  {shown}")
    elif redact:
        shown = _write_redacted(home)
        print(f"redacted  {shown}")
    if open_browser:
        typer.launch(shown.as_uri())


def _write_comparison(home: Home, before: str, after: str, is_redacted: bool) -> Path:
    from assets.report.comparison import write_comparison
    from orchestration.cli.query_command import require_known

    for checkpoint_id in (before, after):
        require_known(home, checkpoint_id, "")
    target = home.report.with_name("comparison.html")
    write_comparison(home, before, after, target, is_redacted)
    return target


def _write_redacted(home: Home) -> Path:
    from assets.framework.profile import ReportSettings
    from assets.report import write_report
    from warehouse.catalog.queries import latest_checkpoint

    target = home.report.with_name("redacted.html")
    write_report(home, latest_checkpoint(home) or "", ReportSettings(redact=True), target)
    return target


def doctor(
    repair: Annotated[bool, typer.Option("--repair", help="Remove damaged parts, to be made again.")] = False,
) -> None:
    """Check environment, home and devices, and say what to do."""
    from orchestration.home.doctor import examine
    from warehouse.record.integrity import examine_record
    from warehouse.record.integrity import repair as remove_damaged

    home, problems = Home.locate(), 0
    if repair:
        damages = examine_record(home.prepare()).damages
        remove_damaged(home, damages)
        typer.echo(f"{len(damages)} damaged files were removed; `rarecall run` makes them again.")
    for finding in examine(home):
        problems += not finding.is_fine
        typer.echo(f"{'ok  ' if finding.is_fine else 'FIX '} {finding.what}")
    raise typer.Exit(1 if problems else 0)
