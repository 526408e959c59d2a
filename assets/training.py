"""Training stage of the quickstart: a small model on the duplication ladder, saved as a checkpoint series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from assets.corpus.paragraphs import ladder_packing
from assets.corpus.text import tokens_folder
from assets.corpus.tokenizers import load_corpus_tokenizer
from assets.figures import previews
from assets.framework import progress
from assets.framework.errors import RequestError
from assets.framework.profile import Profile, settings_of
from assets.framework.stage import Frames, Scope, Shards, stage
from warehouse.files import digest
from warehouse.registrations import register


def _settings(profile: Profile) -> dict[str, Any]:
    return settings_of(profile.training) if profile.training else {}


def checkpoint_name(profile: Profile, step: int) -> str:
    """Checkpoint id of a step of the training run."""
    return f"{profile.name}-step-{step:05d}"


def trained_checkpoints(scope: Scope) -> list[str]:
    """Checkpoint ids the training run of the profile has saved, in order."""
    if scope.profile.training is None or scope.content("training_steps") is None:
        return []
    saved = scope.read("training_steps", ["checkpoint_id"])["checkpoint_id"].drop_nulls().to_list()
    return [checkpoint_name(scope.profile, 0), *saved]


def _folders(scope: Scope) -> list[Path]:
    return [scope.home.checkpoint_folder / name / "config.json" for name in trained_checkpoints(scope)]


def _learned(_: Scope, frames: Frames) -> list[str]:
    losses = frames["training_steps"]["loss_nats"]
    if not losses.is_finite().all():
        return ["the loss is not finite"]
    return [] if losses.tail(20).mean() < losses.head(20).mean() else ["the loss did not fall"]  # type: ignore[operator]


def register_trained(scope: Scope) -> list[str]:
    """Register the saved checkpoints as sources; returns their ids."""
    steps = {checkpoint_name(scope.profile, step): step for step in (0, *_saved_steps(scope))}
    for name, step in steps.items():
        facts = {
            "source": str(scope.home.checkpoint_folder / name),
            "training_step": step,
            "corpus_id": scope.profile.corpus_id,
        }
        register(scope.home, "checkpoints", name, facts)
    return list(steps)


def _saved_steps(scope: Scope) -> list[int]:
    rows = scope.read("training_steps", ["training_step", "checkpoint_id"])
    return rows.filter(pl.col("checkpoint_id").is_not_null())["training_step"].to_list()


@stage(
    tables=("training_steps",),
    reads=("paragraphs", "duplication_ladder", "tokenizers", "corpora", "documents"),
    settings=_settings,
    artifacts=_folders,
    checks={"training_steps.loss_falls_and_is_finite": _learned},
    group="training",
    kinds={"pytorch", "huggingface"},
    plots={"training_steps": previews.training_loss},
    new_checkpoints=register_trained,
)
def training_steps(scope: Scope) -> Shards:
    """Each paragraph of the ladder is shown as often as its rung says, in packed text: at any offset, among other text.

    Checkpoints are saved evenly, from the untrained model to the last, and registered as partitions.
    """
    if scope.profile.training is None:
        raise RequestError(f"profile {scope.profile.name} trains no model; materialize the checkpoints instead.")
    return Shards(1, lambda _: _train(scope))


def _train(scope: Scope) -> Frames:
    from probes.training import train

    plan, tokenizer = _plan(scope), load_corpus_tokenizer(scope)
    rows, order = _rows(scope, tokenizer.eos_token_id)
    work = scope.home.root / "training" / digest(training_steps.inputs(scope))[:16]
    with progress.task("training", plan.step_count(len(order)), "steps") as task:
        log = train(
            plan, rows, order, lambda step: scope.home.checkpoint_folder / checkpoint_name(scope.profile, step),
            tokenizer, work, on_step=lambda _, loss: task.advance(1, f"loss {loss:.2f}"),
        )  # fmt: skip
    names = {step: checkpoint_name(scope.profile, step) for step in plan.save_steps(len(order)) if step}
    saved = pl.Series([names.get(step) for step in log["training_step"]], dtype=pl.String)
    return {"training_steps": log.with_columns(checkpoint_id=saved)}


def _plan(scope: Scope) -> Any:
    from probes.training import TrainingPlan

    settings = scope.profile.training
    assert settings is not None
    shape = settings_of(settings, "rungs", "held_out", "background_count", "row_length", "unrelated_tokens")
    length = settings.row_length or max(128, scope.profile.paragraphs.length)
    vocabulary = int(scope.read("tokenizers")["vocabulary_count"][0])
    return TrainingPlan(vocabulary_size=vocabulary, context_length=length, **shape)


def _rows(scope: Scope, separator: int) -> tuple[np.ndarray, np.ndarray]:
    """Token ids, [row, position], and the order in which rows are shown, [presentation]."""
    from corpus_stats.paragraphs.packing import bare_row_order, packed_rows
    from corpus_stats.tokens.shards import TokenStream

    settings = scope.profile.training
    assert settings is not None
    ladder = scope.read("duplication_ladder").join(
        scope.read("paragraphs", ["paragraph_id", "token_ids"]), on="paragraph_id", maintain_order="left"
    )
    copies, paragraphs = ladder["copies_count"].to_numpy(), np.array(ladder["token_ids"].to_list())
    layout = ladder_packing(scope.profile, copies)
    if layout is None:
        background = _background(scope, settings.background_count)
        return np.concatenate([paragraphs, background]), bare_row_order(copies, len(background), settings.seed)
    taken = scope.read("paragraphs", ["token_offset"])["token_offset"].to_numpy()
    rows = packed_rows(layout, paragraphs, TokenStream(tokens_folder(scope)), taken, separator, settings.seed)
    return rows, np.arange(len(rows))


def _background(scope: Scope, count: int) -> np.ndarray:
    """Windows shown once, none of which overlaps a measured paragraph, [sequence, position]."""
    from corpus_stats.paragraphs.sampling import sample_windows
    from corpus_stats.tokens.shards import TokenStream

    stream = TokenStream(tokens_folder(scope))
    length, seed = scope.profile.paragraphs.length, scope.profile.paragraphs.seed
    taken = np.sort(scope.read("paragraphs", ["token_offset"])["token_offset"].to_numpy())
    windows = sample_windows(stream, scope.read("documents"), length, 2 * count + len(taken), seed + 1)
    offsets = windows["token_offset"].to_numpy()
    after = np.searchsorted(taken, offsets)
    gap_after = np.append(taken, np.iinfo(np.int64).max)[after] - offsets
    gap_before = offsets - np.insert(taken, 0, -length)[after]
    free = offsets[(gap_after >= length) & (gap_before >= length)]
    if len(free) < count:
        raise RequestError(
            f"the corpus has only {len(free)} free background windows; lower training.background_count from {count}."
        )
    return stream.windows(free[:count], length)
