"""Drift over a series: what a checkpoint recites beside the one before it."""

from __future__ import annotations

from assets.framework.stage import Frames, Scope

COLLAPSE_SHARE = 0.5
"""A checkpoint that recites less than this share of what the one before it recited is told."""


def recital_holds(scope: Scope, frames: Frames) -> list[str]:
    """Recital of a series does not collapse from one checkpoint to the next."""
    before = checkpoint_before(scope)
    if before is None:
        return []
    then = scope.store("scores").read(before, ["is_memorized"])["is_memorized"]
    now = frames["scores"]["is_memorized"]
    earlier, later = (float(column.sum()) / max(1, len(column)) for column in (then, now))
    if later >= COLLAPSE_SHARE * earlier:
        return []
    return [f"{scope.checkpoint_id} recites {later:.1%} of the paragraphs, {before} before it {earlier:.1%}"]


def checkpoint_before(scope: Scope) -> str | None:
    """The measured checkpoint of the same series with the next smaller training step."""
    steps = {name: _step(scope, name) for name in _of_series(scope)}
    own = steps.pop(str(scope.checkpoint_id), None)
    earlier = {name: step for name, step in steps.items() if step is not None and own is not None and step < own}
    return max(earlier, key=lambda name: earlier[name], default=None)


def _of_series(scope: Scope) -> list[str]:
    from probes.checkpoints.names import read_name

    own = read_name(str(scope.checkpoint_id)).series
    measured = {*scope.store("scores").partitions(), str(scope.checkpoint_id)}
    return [name for name in sorted(measured) if read_name(name).series == own]


def _step(scope: Scope, name: str) -> int | None:
    store = scope.store("checkpoints")
    rows = store.read(name, ["training_step", "corpus_id"]) if store.manifest(name) else None
    if rows is None or rows["corpus_id"][0] != scope.profile.corpus_id:
        return None
    step = rows["training_step"][0]
    return None if step is None else int(step)
