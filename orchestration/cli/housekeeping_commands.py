"""Commands that keep a home in order: gc, relocate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from warehouse.home import Home, can_be_written

SHOWN = 20
RUN_HISTORY_DAYS = 90.0


def gc(
    delete: Annotated[bool, typer.Option("--delete", help="Remove what is listed; else nothing changes.")] = False,
    days: Annotated[float, typer.Option(min=0, help="Keep parts of interrupted runs for so many days.")] = 7.0,
    run_days: Annotated[float, typer.Option(min=0, help="Keep the UI's run history.")] = RUN_HISTORY_DAYS,
) -> None:
    """List what nothing reads any more: replaced parts, abandoned runs, tables of removed checkpoints, old history."""
    from orchestration.home.run_history import forget_runs, old_runs
    from warehouse.garbage import find_garbage, remove_garbage

    home = Home.locate()
    if delete or can_be_written(home):
        home.prepare()
    found = find_garbage(home, days)
    runs = old_runs(home, run_days) if can_be_written(home) else []  # opening the history may bring it up to date
    for garbage in found[:SHOWN]:
        typer.echo(f"{_size(garbage.byte_count):>10}  {_shown(home, garbage.path)}: {garbage.why}")
    if len(found) > SHOWN:
        typer.echo(f"{'…':>10}  and {len(found) - SHOWN} more")
    if runs:
        typer.echo(f"{len(runs):>10}  runs in the UI's history, older than {run_days:g} days")
    total = sum(garbage.byte_count for garbage in found)
    if not found and not runs:
        typer.echo("Nothing to remove.")
    elif delete:
        typer.echo(f"Removed {_size(remove_garbage(home, found))}.")
        forget_runs(home, runs)
    else:
        typer.echo(f"{_size(total)} in {len(found)} places; nothing was removed, `rarecall gc --delete` does.")


def _shown(home: Home, path: Path) -> Path:
    return path.relative_to(home.root) if path.is_relative_to(home.root) else path


def relocate() -> None:
    """After the home was moved or copied: bring paths up to date, without measuring anything again."""
    from orchestration.home.relocation import relocate_home

    home = Home.locate().prepare()
    changed = relocate_home(home)
    typer.echo(f"{changed} partitions name files in {home.root} now; the warehouse is published.")


def _size(byte_count: int) -> str:
    value, units = float(byte_count), iter(("B", "KB", "MB", "GB"))
    unit = next(units)
    while value >= 1000 and unit != "GB":
        value, unit = value / 1000, next(units)
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
