"""Attention of every continuation query, a stage that a profile switches on."""

from __future__ import annotations

from typing import Any

from assets.framework import model_stage
from assets.framework.profile import Profile
from assets.framework.stage import Frames, Scope, Shards, no_rows, stage
from assets.localization import samples


def _settings(profile: Profile) -> dict[str, Any]:
    return model_stage.model_settings(profile, "paragraphs_per_group", "seed", "continuation_attention")


def _no_share_beyond_one(_: Scope, frames: Frames) -> list[str]:
    frame = frames["continuation_attention"]
    beyond = frame.filter(frame["attention"].list.sum() + frame["self_share"] > 1 + 1e-3)
    return [f"attention of head {row[2]}.{row[3]} in paragraph {row[1]} exceeds 1" for row in beyond.iter_rows()]


@stage(
    tables=("continuation_attention",),
    takes_apart=True,
    reads=("checkpoints", "paragraphs", "scores"),
    settings=_settings,
    spreads=True,
    checks={"continuation_attention.attention_is_a_share": _no_share_beyond_one},
    group="localization",
    kinds={"pytorch", "parquet"},
)
def continuation_attention(scope: Scope) -> Shards:
    """Rows of all queries of the continuation over the prefix, for the perturbed paragraphs; empty unless asked for."""
    if not scope.profile.probes.continuation_attention:
        return Shards(1, lambda _: {"continuation_attention": no_rows("continuation_attention")})
    from probes.attention.weights import prefix_attention

    model, sample = model_stage.lazy_model(scope), samples.measured_sample(scope)
    window, size = scope.profile.paragraphs, max(1, scope.profile.probes.shard_size // 8)
    queries = range(window.prefix_length, window.length)

    def _compute(shard: int) -> Frames:
        rows = model_stage.shard_of(sample, shard, size)
        frame = prefix_attention(
            model(),
            model_stage.token_matrix(rows),
            window.prefix_length,
            scope.profile.probes.batch_size,
            queries=queries,
        )
        return {"continuation_attention": model_stage.with_paragraph_ids(frame, rows)}

    return Shards(model_stage.shard_count(sample.height, size), _compute)


def _shares_are_shares(scope: Scope, frames: Frames) -> list[str]:
    """Over prefix and self; what goes to a beginning of sequence is not in the table, so then there may be less."""
    frame = frames["head_attention"]
    off = frame["attention"].list.sum() + frame["self_share"] - 1
    bad = frame.filter(off.abs() > 1e-3 if scope.beginning_id() is None else off > 1e-3)
    return [f"attention of head {row[2]}.{row[3]} in paragraph {row[1]} does not sum to 1" for row in bad.iter_rows()]


@stage(
    tables=("head_attention",),
    takes_apart=True,
    reads=("checkpoints", "paragraphs"),
    settings=model_stage.model_settings,
    spreads=True,
    checks={"head_attention.attention_sums_to_one": _shares_are_shares},
    group="localization",
    kinds={"pytorch", "parquet"},
)
def head_attention(scope: Scope) -> Shards:
    """Row of the query at the first continuation position, every layer and head."""
    from probes.attention.weights import prefix_attention

    model, paragraphs = model_stage.lazy_model(scope), scope.read("paragraphs")
    size, prefix = scope.profile.probes.shard_size, scope.profile.paragraphs.prefix_length

    def _compute(shard: int) -> Frames:
        rows = model_stage.shard_of(paragraphs, shard, size)
        frame = prefix_attention(
            model(), model_stage.token_matrix(rows), prefix, batch_size=scope.profile.probes.batch_size
        )
        return {"head_attention": model_stage.with_paragraph_ids(frame, rows)}

    return Shards(model_stage.shard_count(paragraphs.height, size), _compute)
