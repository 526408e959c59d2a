"""Roles in the editing stage: targets, their replacements, controls, and everything that is only watched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from assets.corpus.paragraphs import true_paragraphs
from assets.framework import model_stage
from assets.framework.profile import EditSettings
from assets.framework.stage import Scope
from assets.localization import samples
from assets.localization.perturbations import reference_ids
from assets.training import trained_checkpoints

if TYPE_CHECKING:
    from probes.editing.runs_of_target import Program
    from probes.editing.score_card import Passages, Subject


@dataclass(frozen=True)
class Cast:
    """Frames of paragraphs (columns of paragraphs, exact_match); `token_ids` of controls end in the model's own words.

    `replacements` maps a target to its prefix followed by its PMP's continuation.
    """

    targets: pl.DataFrame
    replacements: dict[str, list[int]]
    controls: pl.DataFrame
    watched: dict[str, pl.DataFrame]

    @property
    def pairs(self) -> list[str]:
        """Targets that have something to be edited into."""
        return [name for name in self.targets["paragraph_id"] if name in self.replacements]


def settings_of_edits(scope: Scope) -> EditSettings:
    """The profile's section, else the paper's settings."""
    return scope.profile.edits or EditSettings()


def reason_to_skip(scope: Scope) -> str | None:
    """Why nothing is edited on this checkpoint as far as can be said without its scores."""
    settings = scope.profile.edits
    if settings is None:
        return f"profile {scope.profile.name} has no section [edits]"
    series = trained_checkpoints(scope)
    if not settings.every_checkpoint and scope.checkpoint_id in series[:-1]:
        return "it is not the last checkpoint of its training run (edits.every_checkpoint)"
    return None


def program_of(scope: Scope, **changes: Any) -> Program:
    """The runs the profile asks for."""
    from probes.editing.optimizer import AdamSettings
    from probes.editing.runs_of_target import Program
    from probes.editing.score_card import Ruler

    s = settings_of_edits(scope)
    ruler = Ruler(
        scope.profile.paragraphs.prefix_length, s.temperatures, s.perturbed_prefixes, s.shorter_by, s.longer_by,
        scope.profile.probes.seed,
    )  # fmt: skip
    settings: dict[str, Any] = {
        "objectives": s.objectives, "selections": s.selections, "nll_weight": s.nll_weight, "kl_weight": s.kl_weight,
        "adam": AdamSettings(s.learning_rate, weight_decay=s.weight_decay), "step_count": s.steps,
        "watched_steps": s.watched_steps, "relearning_limit": s.relearning_limit, "ruler": ruler,
    }  # fmt: skip
    program = Program(**(settings | changes))
    program.check()
    return program


def cast_of(scope: Scope, targets: pl.DataFrame | None = None, controls: pl.DataFrame | None = None) -> Cast:
    """Draw everybody from the measured sample, no cluster twice.

    Args:
        scope: home, profile, checkpoint.
        targets: rows to edit; the first memorized ones of the sample if not given.
        controls: rows to keep; the first non-memorized ones of the sample if not given.

    Raises:
        ProbeError: targets and controls share a cluster.
    """
    from probes.editing.planning import check_disjoint

    settings, sample = settings_of_edits(scope), samples.measured_sample(scope)
    memorized = sample.filter(pl.col("paragraph_group") == "MP")
    chosen = memorized.head(settings.targets) if targets is None else targets
    others = _beside(sample, [chosen] if controls is None else [chosen, controls])
    free = others.filter(pl.col("paragraph_group") == "NMP")
    kept = free.head(settings.controls) if controls is None else controls
    check_disjoint(chosen["near_duplicate_cluster"].to_list(), kept["near_duplicate_cluster"].to_list())
    watched = {
        "other_memorized": others.filter(pl.col("paragraph_group") == "MP").head(settings.evaluated),
        "controls": _in_own_words(scope, _beside(free, [kept]).head(settings.evaluated)),
        "unrelated": _unrelated(scope, [sample, chosen, kept]).head(settings.evaluated),
    }
    return Cast(chosen, _replacements(scope, chosen), _in_own_words(scope, kept), watched)


def _beside(rows: pl.DataFrame, taken: list[pl.DataFrame]) -> pl.DataFrame:
    """Rows of clusters that are not taken."""
    used = pl.concat([frame.select("near_duplicate_cluster") for frame in taken])
    return rows.join(used, on="near_duplicate_cluster", how="anti", maintain_order="left")


def _unrelated(scope: Scope, taken: list[pl.DataFrame]) -> pl.DataFrame:
    """Text of clusters nobody else is from: what was held out from training where there is such text."""
    rest = _beside(true_paragraphs(scope), taken)
    held_out = rest.filter(pl.col("duplication_count") == 0)
    return held_out if held_out.height else rest


def _in_own_words(scope: Scope, rows: pl.DataFrame) -> pl.DataFrame:
    """The paragraphs with the continuation the unedited model writes in place of the true one."""
    if rows.is_empty():
        return rows
    prefix = scope.profile.paragraphs.prefix_length
    ids = np.concatenate([model_stage.token_matrix(rows)[:, :prefix], reference_ids(scope, rows)], axis=1)
    return rows.with_columns(token_ids=pl.Series(ids.tolist(), dtype=pl.List(pl.Int64)))


def _replacements(scope: Scope, targets: pl.DataFrame) -> dict[str, list[int]]:
    """Prefix and PMP continuation of each target whose minimal perturbation changes anything (method, section 3)."""
    prefix = scope.profile.paragraphs.prefix_length
    changed = scope.read("minimal_perturbations").filter(pl.col("impact_position").is_not_null())
    pairs = targets.join(changed.select("paragraph_id", "generated_ids"), on="paragraph_id", how="inner")
    return {
        row["paragraph_id"]: [*row["token_ids"][:prefix], *row["generated_ids"]] for row in pairs.iter_rows(named=True)
    }


def passages(rows: pl.DataFrame) -> Passages:
    """A frame as named token ids."""
    import torch

    from probes.editing.score_card import Passages

    ids = model_stage.token_matrix(rows) if rows.height else np.empty((0, 2), dtype=np.int64)
    return Passages(tuple(rows["paragraph_id"]), torch.from_numpy(ids))


def subject_of(scope: Scope, cast: Cast, protocol: str, label: str, rows: pl.DataFrame) -> Subject:
    """One run's targets with the sets it is scored on.

    Only targets that all have a replacement are edited, the pairs of Stoehr et al. 2024; others are unlearned alone.
    """
    import torch

    from probes.editing.score_card import Subject

    near = true_paragraphs(scope).join(
        rows.select("near_duplicate_cluster"), on="near_duplicate_cluster", how="semi", maintain_order="left"
    ).join(rows.select("paragraph_id"), on="paragraph_id", how="anti", maintain_order="left")  # fmt: skip
    rest = cast.targets.join(rows.select("paragraph_id"), on="paragraph_id", how="anti", maintain_order="left")
    frames = {
        "near_duplicates": near.head(settings_of_edits(scope).evaluated),
        "held_out_targets": rest if protocol == "held_out" else rest.clear(),
        **cast.watched,
    }
    paired = [cast.replacements[name] for name in rows["paragraph_id"] if name in cast.replacements]
    replacements = torch.tensor(paired if len(paired) == rows.height else [], dtype=torch.int64)
    others = {name: passages(frame) for name, frame in frames.items() if frame.height}
    return Subject(label, protocol, passages(rows), replacements, others)


def subjects_of(scope: Scope, cast: Cast) -> list[tuple[str, str, pl.DataFrame]]:
    """Protocol, label and targets of every unit of work the profile asks for."""
    from probes.editing.planning import folds

    settings, targets = settings_of_edits(scope), cast.targets
    found: list[tuple[str, str, pl.DataFrame]] = []
    if "single" in settings.protocols:
        found += [("single", row["paragraph_id"][0], row) for row in targets.iter_slices(1)]
    if "set" in settings.protocols:
        found.append(("set", "set", targets))
    clusters = targets["near_duplicate_cluster"]
    if "held_out" in settings.protocols and clusters.n_unique() >= settings.folds:
        fold = folds(clusters.to_list(), settings.folds, scope.profile.probes.seed)
        found += [("held_out", f"fold {k}", targets.filter(pl.Series(fold != k))) for k in range(settings.folds)]
    return found
