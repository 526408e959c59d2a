"""`rarecall edit`: make a checkpoint forget paragraphs, and say what else went with them."""

from __future__ import annotations

from typing import Annotated

import typer

from warehouse.home import Home


def edit(
    checkpoint: Annotated[str, typer.Argument(help="A registered and measured checkpoint.")],
    paragraph: Annotated[
        list[str] | None, typer.Option(help="Id of a memorized paragraph, or its first characters; repeat for more.")
    ] = None,
    memorized: Annotated[int, typer.Option(min=0, help="Instead: this many memorized paragraphs of the sample.")] = 0,
    keep: Annotated[list[str] | None, typer.Option(help="Id of a paragraph to keep as it is; repeat for more.")] = None,
    selection: Annotated[
        str, typer.Option(help="all, top:SHARE, top-per-component:SHARE, random:SHARE, head:LAYER.HEAD, layers:A-B.")
    ] = "top:0.001",
    objective: Annotated[str, typer.Option(help="unlearn, or edit (into the perturbed paragraph).")] = "unlearn",
    steps: Annotated[int | None, typer.Option(help="Optimizer steps; default: the profile's.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of Adam; default: the profile's.")] = None,
    save: Annotated[str | None, typer.Option(help="Save and register the edited checkpoint under this name.")] = None,
    profile: Annotated[str, typer.Option("--profile", "-p", help="Profile the checkpoint was measured with.")] = "",
) -> None:
    """Unlearn or edit memorized paragraphs and print the score card; the checkpoint's own files are only read."""
    from assets.editing.command import EditRequest, edit_checkpoint
    from assets.framework.profile import load_profile
    from assets.framework.stage import Scope
    from orchestration.cli.answers import write_answer
    from warehouse.registrations import registration

    home = Home.locate().prepare()
    registration(home, "checkpoints", checkpoint)
    request = EditRequest(
        tuple(paragraph or ()), memorized, tuple(keep or ()), objective, selection, steps, learning_rate, save
    )
    write_answer(
        [edit_checkpoint(Scope(home, load_profile(profile or None, home), checkpoint), request)], "table", None
    )
    if save:
        typer.echo(f"Saved as {save}; measure it with `rarecall run --checkpoint {save}`, then ask for the view "
                   "edited_checkpoint_before_after.")  # fmt: skip
