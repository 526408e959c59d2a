"""One edit as `rarecall edit` asks for it: its score card, and the edited checkpoint where wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.editing.roles import Cast, cast_of, passages, program_of, settings_of_edits, subject_of
from assets.framework.errors import RequestError
from assets.framework.stage import Scope
from assets.localization import samples
from warehouse.registrations import register, registered

if TYPE_CHECKING:
    from probes.editing.one_run import EditedRun
    from probes.editing.runs_of_target import Program

_NEEDED = ("checkpoints", "paragraphs", "scores", "generations", "minimal_perturbations")


@dataclass(frozen=True)
class EditRequest:
    """Paragraphs to edit (by id, or the first `count` memorized ones), how, and under which name to save the result."""

    paragraph_ids: tuple[str, ...] = ()
    count: int = 0
    control_ids: tuple[str, ...] = ()
    objective: str = "unlearn"
    selection: str = "top:0.001"
    steps: int | None = None
    learning_rate: float | None = None
    save: str | None = None


def edit_checkpoint(scope: Scope, request: EditRequest) -> pl.DataFrame:
    """Edit a measured checkpoint in memory; the files of the checkpoint are only read.

    Args:
        scope: home, profile and the checkpoint.
        request: what to do.

    Returns:
        The score card: evaluation set, exact match and NLL before and after, paragraphs.

    Raises:
        RequestError: the request cannot be met; nothing was written.
        ProbeError: the edit diverged; nothing was written.
    """
    from probes.errors import ProbeError

    _refuse_unmeasured(scope)
    _refuse_name(scope, request.save)
    try:
        program = _program(scope, request)
        cast = _cast(scope, request)
        _check(scope, request, cast)
    except ProbeError as error:
        raise RequestError(str(error)) from error
    return _run(scope, request, program, cast)


def _refuse_unmeasured(scope: Scope) -> None:
    for table in _NEEDED:
        if scope.content(table) is None:
            raise RequestError(
                f"checkpoint {scope.checkpoint_id} has no {table} yet; measure it with "
                f"`rarecall run --checkpoint {scope.checkpoint_id}` first."
            )


def _refuse_name(scope: Scope, name: str | None) -> None:
    from warehouse.home import check_name

    if name is None:
        return
    folder = scope.home.edited_folder / check_name(name, "checkpoint")
    if name in registered(scope.home, "checkpoints") or folder.exists():
        raise RequestError(f"there is a checkpoint {name!r} already; choose another name.")


def _program(scope: Scope, request: EditRequest) -> Program:
    from probes.editing.optimizer import AdamSettings

    settings = settings_of_edits(scope)
    rate = settings.learning_rate if request.learning_rate is None else request.learning_rate
    return program_of(
        scope, objectives=(request.objective,), selections=(request.selection,), relearning_limit=0,
        adam=AdamSettings(rate, weight_decay=settings.weight_decay),
        step_count=settings.steps if request.steps is None else request.steps, watched_steps=(),
    )  # fmt: skip


def _cast(scope: Scope, request: EditRequest) -> Cast:
    targets = _rows(scope, request.paragraph_ids) if request.paragraph_ids or not request.count else None
    if targets is None:
        sample = samples.measured_sample(scope)
        targets = sample.filter(pl.col("paragraph_group") == "MP").head(request.count)
    controls = _rows(scope, request.control_ids) if request.control_ids else None
    return cast_of(scope, targets, controls)


def _rows(scope: Scope, ids: tuple[str, ...]) -> pl.DataFrame:
    """Paragraphs with their scores, in the order asked for; an id may be given by its first characters."""
    scores = scope.read("scores", ["paragraph_id", "exact_match", "is_memorized"])
    known = scope.read("paragraphs").join(scores, on="paragraph_id", maintain_order="left")
    rows = [known.filter(pl.col("paragraph_id").str.starts_with(name)) for name in dict.fromkeys(ids)]
    for name, found in zip(dict.fromkeys(ids), rows, strict=True):
        if found.height != 1:
            raise RequestError(
                f"{found.height} paragraphs of corpus {scope.profile.corpus_id} have an id that starts with {name!r}; "
                "take the ids from table paragraphs."
            )
    return pl.concat(rows) if rows else known.clear()


def _check(scope: Scope, request: EditRequest, cast: Cast) -> None:
    from probes.editing.planning import check_targets
    from probes.errors import ProbeError

    targets, longest = cast.targets, scope.profile.paragraphs.continuation_length
    check_targets(targets["paragraph_id"].to_list(), targets["exact_match"].to_list(), longest)
    missing = [name for name in targets["paragraph_id"] if name not in cast.replacements]
    if request.objective == "edit" and missing:
        raise ProbeError(
            f"target {missing[0]} has no minimal perturbation to be edited into; take targets from table "
            "minimal_perturbations, or unlearn it."
        )


def _run(scope: Scope, request: EditRequest, program: Program, cast: Cast) -> pl.DataFrame:
    from assets.editing.stages import load_for_editing
    from probes.editing.runs_of_target import measure_subject

    model = load_for_editing(scope)
    subject = subject_of(scope, cast, "set", "set", cast.targets)
    keep = _saver(scope, request, program, cast) if request.save else _drop
    frames = measure_subject(model, subject, passages(cast.controls).token_ids, program, keep)
    last = frames["edits"].filter(pl.col("step") == pl.col("step").max())
    return last.select(
        "evaluation_set", "exact_match_before", "exact_match", "replacement_match", "nll_before_nats", "nll_nats",
        "paragraph_count", "weight_count",
    )  # fmt: skip


def _drop(model: Any, outcome: EditedRun) -> None:
    """Nothing is saved."""


def _saver(scope: Scope, request: EditRequest, program: Program, cast: Cast) -> Callable[[Any, EditedRun], None]:
    """What saves and registers the edited model."""

    def _save(model: Any, outcome: EditedRun) -> None:
        from assets.checkpoints.vocabulary import load_tokenizer_of
        from probes.editing.saving import save_checkpoint
        from probes.errors import ProbeError

        if outcome.is_diverged:
            raise ProbeError(
                f"the edit diverged with learning rate {program.adam.learning_rate:g}: it left text that was to be "
                "kept less likely than a guess; nothing was saved, lower the learning rate."
            )
        source = scope.read("checkpoints", ["source", "revision"]).row(0, named=True)
        folder = scope.home.edited_folder / str(request.save)
        save_checkpoint(model, load_tokenizer_of(source["source"], source["revision"]), folder)
        register(scope.home, "checkpoints", str(request.save), {
            "source": str(folder), "training_step": None, "corpus_id": scope.profile.corpus_id,
            "edit": _provenance(scope, request, program, cast),
        })  # fmt: skip

    return _save


def _provenance(scope: Scope, request: EditRequest, program: Program, cast: Cast) -> dict[str, Any]:
    """The row of table edited_checkpoints."""
    return {
        "parent_checkpoint_id": scope.checkpoint_id,
        "objective": request.objective,
        "selection": request.selection,
        "step_count": program.step_count,
        "learning_rate": program.adam.learning_rate,
        "target_ids": cast.targets["paragraph_id"].to_list(),
        "control_ids": cast.controls["paragraph_id"].to_list(),
    }
