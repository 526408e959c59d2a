"""`rarecall checkpoints`: add, list, remove."""

from __future__ import annotations

from typing import Annotated

import typer

from warehouse.home import Home

checkpoints_app = typer.Typer(help="Checkpoints to measure.", no_args_is_help=True)


@checkpoints_app.command("add")
def add(
    source: Annotated[str, typer.Argument(help="Folder with a transformers checkpoint, or a hub id.")],
    name: Annotated[str | None, typer.Option(help="Name in the warehouse; default: from the source.")] = None,
    revision: Annotated[str | None, typer.Option(help="Hub revision.")] = None,
    step: Annotated[int | None, typer.Option(help="Training step; default: read from the name.")] = None,
    profile: Annotated[str, typer.Option("--profile", "-p", help="Profile whose corpus it is measured against.")] = "",
) -> None:
    """Register a checkpoint after a look at its files."""
    from assets.framework.errors import RequestError
    from assets.framework.profile import load_profile
    from orchestration.run.runner import checkpoint_id_of, resolved
    from orchestration.sources import step_in_name
    from probes.checkpoints.inspect import inspect_checkpoint
    from probes.errors import ProbeError
    from warehouse.registrations import register

    home, chosen = Home.locate().prepare(), load_profile(profile or None)
    try:
        facts = inspect_checkpoint(source, revision)
    except ProbeError as error:
        raise RequestError(str(error)) from error
    checkpoint_id = name or checkpoint_id_of(source, revision)
    step = step if step is not None else step_in_name(checkpoint_id)
    register(home, "checkpoints", checkpoint_id, {
        "source": resolved(source), "revision": revision, "training_step": step, "corpus_id": chosen.corpus_id,
    })  # fmt: skip
    typer.echo(
        f"{checkpoint_id}: {facts.architecture}, {facts.layer_count} layers × {facts.head_count} heads, "
        f"{facts.parameter_count:,} parameters; measure it with `rarecall run --checkpoint {checkpoint_id}`."
    )


@checkpoints_app.command("list")
def show() -> None:
    """Show what is registered and what is measured."""
    import polars as pl

    from assets.framework.errors import RequestError
    from orchestration.cli.answers import write_answer
    from warehouse.record.parts import TableStore
    from warehouse.registrations import registered

    home = Home.locate()
    known = registered(home, "checkpoints")
    if not known:
        raise RequestError("no checkpoint is registered; add one with `rarecall checkpoints add FOLDER`.")
    measured = set(TableStore.of(home, "scores").partitions())
    rows = [
        {
            "checkpoint_id": n,
            "training_step": f.get("training_step"),
            "corpus_id": f.get("corpus_id"),
            "measured": n in measured,
            "source": f["source"],
        }
        for n, f in known.items()
    ]
    write_answer([pl.DataFrame(rows, infer_schema_length=None)], "table", None)


@checkpoints_app.command("remove")
def remove(name: Annotated[str, typer.Argument(help="Name in the warehouse.")]) -> None:
    """Forget a registration; files and results stay."""
    from warehouse.registrations import unregister

    unregister(Home.locate(), "checkpoints", name)
    typer.echo(f"{name} is no longer registered; its files and results stay.")
