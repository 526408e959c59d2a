"""All runs over one subject: every objective and selection from the same unedited weights, scored alike."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from probes.architectures import Adapter, adapter_for
from probes.editing.objective import Frozen, Kind, Objective, freeze, loss_of, target_gradient
from probes.editing.offload import Originals, aside, originals_of
from probes.editing.one_run import EditedRun, Recipe, Texts, diverged, run_edit
from probes.editing.optimizer import AdamSettings, MaskedAdam, no_gradients
from probes.editing.readout import NonFiniteReadout, read_out
from probes.editing.score_card import (
    TARGETS,
    WATCHED,
    Passages,
    Reading,
    Ruler,
    Subject,
    means,
    read_subject,
    score_frame,
)
from probes.editing.selections import Selection, editable_weights, select, weight_count

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter
    from transformers import PreTrainedModel

RUN_KEY = ("protocol", "objective", "selection", "target")


@dataclass(frozen=True)
class Program:
    """Which runs: objectives × selections with one recipe, when they are watched, how relearning is tried."""

    objectives: tuple[Kind, ...] = ("unlearn", "edit")
    selections: tuple[str, ...] = ("all", "top:0.001", "random:0.001")
    nll_weight: float = 0.1
    kl_weight: float = 1.0
    adam: AdamSettings = field(default_factory=lambda: AdamSettings(1e-5))
    step_count: int = 10
    watched_steps: tuple[int, ...] = ()
    relearning_limit: int = 20
    ruler: Ruler = field(default_factory=Ruler)

    def recipe(self, kind: Kind) -> Recipe:
        """The recipe of an objective."""
        objective = Objective(kind, self.nll_weight, self.kl_weight)
        return Recipe(objective, self.adam, self.step_count, self.ruler.prefix_length)

    def check(self) -> None:
        """Refuse settings that cannot work.

        Raises:
            ProbeError: names the setting.
        """
        for kind in self.objectives:
            self.recipe(kind).check()
        for text in self.selections:
            Selection.parse(text)


@dataclass(frozen=True)
class Bench:
    """A model on the bench: its editable weights, the way back, and the distribution that is to be kept."""

    model: PreTrainedModel
    adapter: Adapter
    weights: dict[str, Parameter]
    originals: Originals
    control_ids: Tensor
    frozen: Frozen
    keep: Callable[[PreTrainedModel, EditedRun], None]


def _keep_nothing(model: PreTrainedModel, outcome: EditedRun) -> None:
    """The edited weights are dropped."""


def measure_subject(
    model: PreTrainedModel,
    subject: Subject,
    control_ids: Tensor,
    program: Program,
    keep: Callable[[PreTrainedModel, EditedRun], None] = _keep_nothing,
) -> dict[str, pl.DataFrame]:
    """Every objective and selection on one subject; the model is as before afterwards, bit by bit.

    Args:
        model: causal language model of a supported architecture, float32.
        subject: targets and evaluation sets.
        control_ids: rows the KL term keeps, [control, position], none of them in an evaluation set.
        program: which runs.
        keep: handed the edited model after each run, before it is restored.

    Returns:
        `edits` (one row per run, evaluation set and step), `edit_scores` (per run, set and paragraph, last step) and
        `edit_robustness` (per run and probe).

    Raises:
        ProbeError: a run diverged.
    """
    adapter = adapter_for(model)
    weights, prefix = editable_weights(adapter), program.ruler.prefix_length
    with no_gradients(model), originals_of(weights) as originals:
        bench = Bench(model, adapter, weights, originals, control_ids, freeze(model, control_ids, prefix), keep)
        before = read_subject(model, subject, program.ruler)
        runs = [
            _runs_of_objective(bench, subject, before, program, kind)
            for kind in program.objectives
            if kind == "unlearn" or len(subject.replacements)
        ]
    frames: dict[str, list[pl.DataFrame]] = {}
    for run in (run for objective in runs for run in objective):
        for name, frame in run.items():
            frames.setdefault(name, []).append(frame)
    return {name: pl.concat(parts, how="diagonal_relaxed") for name, parts in frames.items()}


def _runs_of_objective(
    bench: Bench, subject: Subject, before: Reading, program: Program, kind: Kind
) -> list[dict[str, pl.DataFrame]]:
    """All selections with one objective; they share the gradient at the unedited weights."""
    recipe = program.recipe(kind)
    ids = subject.targets.token_ids if kind == "unlearn" else subject.replacements
    texts = Texts(ids, bench.control_ids, bench.frozen)
    with aside(target_gradient(bench.model, bench.weights, recipe.objective, ids, recipe.prefix_length)) as gradient:
        return [
            _one_run(bench, subject, before, program, recipe, texts, gradient, Selection.parse(text))
            for text in program.selections
        ]


def _one_run(
    bench: Bench, subject: Subject, before: Reading, program: Program, recipe: Recipe, texts: Texts,
    gradient: Mapping[str, Tensor], selection: Selection,
) -> dict[str, pl.DataFrame]:  # fmt: skip
    """Edit, read, let it relearn, restore."""
    chosen = select(bench.adapter, selection, gradient, _mask_seed(program.ruler.seed, subject.label))
    watched: dict[int, Reading] = {}

    def _watch(step: int) -> None:
        if step in program.watched_steps and step < program.step_count:
            watched[step] = read_subject(bench.model, subject, program.ruler, WATCHED, is_full=False)

    try:
        outcome = run_edit(bench.model, bench.weights, chosen, recipe, texts, gradient, _watch)
        after = read_subject(bench.model, subject, program.ruler)
    except NonFiniteReadout as error:
        raise diverged(recipe, recipe.step_count) from error
    bench.keep(bench.model, outcome)
    steps = _relearning(bench, subject, program, after) if recipe.objective.kind == "unlearn" else None
    bench.originals.restore()
    labels = dict(zip(RUN_KEY, (subject.protocol, recipe.objective.kind, str(selection), subject.label), strict=True))
    readings = {0: before, **watched, program.step_count: after}
    facts = {"weight_count": weight_count(chosen, bench.weights), **_outcome_facts(outcome)}
    return _frames(subject, labels, readings, facts, _robustness_rows(before, after, program, steps))


def _mask_seed(seed: int, label: str) -> int:
    """Seed of a target's own random weights: one mask for all would make its luck that of the whole baseline."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{label}".encode()).digest()[:8])


def _outcome_facts(outcome: EditedRun) -> dict[str, Any]:
    kl = outcome.terms[-1].kl_nats if outcome.terms else None
    return {"kl_nats": kl, "is_diverged": outcome.is_diverged}


def _frames(
    subject: Subject, labels: dict[str, str], readings: dict[int, Reading], facts: dict[str, Any],
    robustness: pl.DataFrame,
) -> dict[str, pl.DataFrame]:  # fmt: skip
    """Rows of the three tables for one run."""
    before, last = readings[0], max(readings)
    scored = {step: score_frame(subject, before, reading) for step, reading in readings.items()}
    named = {name: pl.lit(value) for name, value in labels.items()}
    steps = [
        means(frame).with_columns(step=pl.lit(step, dtype=pl.Int32), weight_count=pl.lit(facts["weight_count"]))
        for step, frame in scored.items()
    ]
    state = {"kl_nats": pl.lit(facts["kl_nats"], dtype=pl.Float64), "is_diverged": pl.lit(facts["is_diverged"])}
    return {
        "edits": pl.concat(steps).with_columns(**named, **state),
        "edit_scores": scored[last].with_columns(**named),
        "edit_robustness": robustness.with_columns(**named),
    }


def _robustness_rows(before: Reading, after: Reading, program: Program, relearned: int | None) -> pl.DataFrame:
    """One row per probe; relearning counts steps, limit + 1 where the recital did not come back."""
    rows = [(name, before.robustness[name], value, False) for name, value in after.robustness.items()]
    if relearned is not None:
        rows.append(("relearning_steps", 0.0, float(relearned), relearned > program.relearning_limit))
    schema = {"probe": pl.String, "before": pl.Float64, "after": pl.Float64, "is_censored": pl.Boolean}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _relearning(bench: Bench, subject: Subject, program: Program, after: Reading) -> int | None:
    """Steps of plain fine-tuning of all weights on the targets until all are recited again; 0 if they still are."""
    if not program.relearning_limit:
        return None
    if after.sets[TARGETS].is_match.all():
        return 0
    return steps_to_recital(bench.model, bench.weights, subject.targets.token_ids, program)


def steps_to_recital(model: PreTrainedModel, weights: dict[str, Parameter], token_ids: Tensor, program: Program) -> int:
    """Adam steps on all weights, with the program's rate, until every paragraph is recited to its end.

    Args:
        model: at the weights to start from; moved, the caller restores it.
        weights: what `editable_weights` returns.
        token_ids: [paragraph, position].
        program: optimizer, limit and prefix.

    Returns:
        Steps taken; one more than the limit where it did not suffice.
    """
    import math

    import torch

    recipe = Recipe(Objective("edit", 1.0, 0.0), program.adam, program.relearning_limit, program.ruler.prefix_length)
    optimizer = MaskedAdam(weights, dict.fromkeys(weights), program.adam)
    nothing = Frozen(torch.empty(0), 0.0)
    with torch.enable_grad(), optimizer.during_backward():
        for step in range(program.relearning_limit):
            optimizer.begin_step()
            loss, _ = loss_of(model, recipe.objective, token_ids, token_ids[:0], nothing, recipe.prefix_length)
            if not math.isfinite(float(loss.detach())):
                raise diverged(recipe, step)
            loss.backward()
            if read_out(model, token_ids, recipe.prefix_length).is_match.all():
                return step + 1
    return program.relearning_limit + 1


def relearning_of(model: PreTrainedModel, passages: Passages, program: Program) -> pl.DataFrame:
    """How many steps paragraphs that were never memorized need, one by one: the null of relearning.

    Returns:
        Rows of `edit_robustness`, protocol never_memorized; the model is as before afterwards.
    """
    weights = editable_weights(adapter_for(model))
    rows = []
    with no_gradients(model), originals_of(weights) as originals:
        for name, ids in zip(passages.names, passages.token_ids, strict=True):
            steps = steps_to_recital(model, weights, ids[None], program)
            rows.append(("never_memorized", "none", "none", name, "relearning_steps", 0.0, float(steps)))
            originals.restore()
    schema = dict.fromkeys((*RUN_KEY, "probe"), pl.String) | {"before": pl.Float64, "after": pl.Float64}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return frame.with_columns(is_censored=pl.col("after") > program.relearning_limit)
