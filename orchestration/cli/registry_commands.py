"""`rarecall checkpoints`: add, convert, list, remove."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from warehouse.home import Home

if TYPE_CHECKING:
    from assets.framework.stage import Scope

checkpoints_app = typer.Typer(help="Checkpoints to measure.", no_args_is_help=True)


@checkpoints_app.command("add")
def add(
    source: Annotated[str, typer.Argument(help="Folder with a transformers checkpoint, or a hub id.")],
    name: Annotated[str | None, typer.Option(help="Name in the warehouse; default: from the source.")] = None,
    revision: Annotated[str | None, typer.Option(help="Hub revision.")] = None,
    step: Annotated[int | None, typer.Option(help="Training step; default: read from the name.")] = None,
    profile: Annotated[str, typer.Option("--profile", "-p", help="Profile whose corpus it is measured against.")] = "",
) -> None:
    """Register a checkpoint, or an adapter merged into its base model; what `run` would refuse is refused here."""
    from assets.checkpoints.merging import is_adapter_source
    from assets.framework.checkpoint_names import checkpoint_id_of, split_revision
    from assets.framework.profile import load_profile
    from assets.framework.stage import Scope
    from orchestration.sources.named import pinned, registration_of

    home, chosen = Home.locate().prepare(), load_profile(profile or None)
    if is_adapter_source(source):
        _add_merged(Scope(home, chosen), source, name, step)
        return
    plain, at = (source, revision) if revision else split_revision(source)
    facts = pinned(registration_of(plain, at, chosen.corpus_id, step))
    _add_fit(Scope(home, chosen), name or checkpoint_id_of(plain, at), facts)


def _add_fit(scope: Scope, checkpoint_id: str, facts: dict[str, Any]) -> None:
    """Refuse what `run` would refuse, register the rest, and say what will be measured."""
    from assets.checkpoints.preflight import refuse_unfit
    from probes.architectures import unmeasured
    from probes.checkpoints.inspect import inspect_checkpoint
    from warehouse.registrations import register

    refuse_unfit(scope, {checkpoint_id: facts})
    found = inspect_checkpoint(facts["source"], facts.get("revision"))
    register(scope.home, "checkpoints", checkpoint_id, facts)
    typer.echo(
        f"{checkpoint_id}: {found.architecture}, {found.layer_count} layers × {found.head_count} heads, "
        f"{found.parameter_count:,} parameters; measure it with `rarecall run --checkpoint {checkpoint_id}`."
    )
    typer.echo(unmeasured(found.architecture) or "Everything is measured: its family has an adapter.")


def _add_merged(scope: Scope, source: str, name: str | None, step: int | None) -> None:
    """Merge an adapter folder into its base model and add the sum; what is refused leaves no folder behind."""
    from assets.checkpoints.merging import merged_checkpoint
    from assets.framework.errors import RequestError
    from orchestration.sources.named import registration_of
    from probes.errors import ProbeError

    try:
        checkpoint_id, folder, origin = merged_checkpoint(scope.home, source, name)
    except ProbeError as error:
        raise RequestError(str(error)) from error
    typer.echo(f"{source} is merged into {origin['merged']['base']}; both are in {folder}.")
    try:
        _add_fit(scope, checkpoint_id, registration_of(str(folder), None, scope.profile.corpus_id, step) | origin)
    except Exception:
        shutil.rmtree(folder, ignore_errors=True)
        raise


@checkpoints_app.command("convert")
def convert(
    source: Annotated[str, typer.Argument(help="Folder with pickled weights, or a hub id, also owner/name@revision.")],
    folder: Annotated[Path, typer.Argument(help="New folder for the same checkpoint as safetensors.")],
) -> None:
    """Write a pickled checkpoint as safetensors; only weights are unpickled, no code runs."""
    from assets.framework.checkpoint_names import split_revision
    from assets.framework.errors import RequestError
    from probes.checkpoints.convert import convert_checkpoint
    from probes.checkpoints.hub import resolve_folder
    from probes.errors import ProbeError

    try:
        files, count = convert_checkpoint(resolve_folder(*split_revision(source), allow_pickle=True), folder)
    except ProbeError as error:
        raise RequestError(str(error)) from error
    typer.echo(
        f"{count} tensors of {', '.join(files)} are in {folder} as safetensors, the same names and bits; "
        f"add it with `rarecall checkpoints add {folder}`."
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
