"""Attention of every continuation query, a stage that a profile switches on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assets import models
from assets.execute import Shards, materialize, stage_asset
from assets.profile import Profile
from assets.stage import Frames, Scope, Stage

if TYPE_CHECKING:
    import dagster as dg

    from assets.resources import Workspace


def _settings(profile: Profile) -> dict[str, Any]:
    return models.model_settings(profile, "paragraphs_per_group", "seed", "continuation_attention")


def _shares_are_shares(_: Scope, frames: Frames) -> list[str]:
    frame = frames["continuation_attention"]
    beyond = frame.filter(frame["attention"].list.sum() + frame["self_share"] > 1 + 1e-3)
    return [f"attention of head {row[2]}.{row[3]} in paragraph {row[1]} exceeds 1" for row in beyond.iter_rows()]


CONTINUATION_ATTENTION = Stage(
    ("continuation_attention",),
    upstream=("checkpoints", "paragraphs", "scores"),
    settings=_settings,
    spreads=True,
    checks={"continuation_attention.attention_is_a_share": _shares_are_shares},
)


@stage_asset(CONTINUATION_ATTENTION, group="localization", kinds={"pytorch", "parquet"})
def continuation_attention(context: dg.AssetExecutionContext, workspace: Workspace) -> Any:
    """Rows of all queries of the continuation over the prefix, for the perturbed paragraphs; empty unless asked for."""
    yield from materialize(context, CONTINUATION_ATTENTION, workspace.scope(context), _shards)


def _shards(scope: Scope) -> Shards:
    if not scope.profile.probes.continuation_attention:
        return Shards(1, lambda _: {"continuation_attention": models.no_rows("continuation_attention")})
    from probes.attention import prefix_attention

    model, sample = models.lazy_model(scope), models.measured_sample(scope)
    window, size = scope.profile.paragraphs, max(1, scope.profile.probes.shard_size // 8)
    queries = range(window.prefix_length, window.length)

    def _compute(shard: int) -> Frames:
        rows = models.shard_of(sample, shard, size)
        frame = prefix_attention(
            model(), models.token_matrix(rows), window.prefix_length, scope.profile.probes.batch_size, queries=queries
        )
        return {"continuation_attention": models.with_paragraph_ids(frame, rows)}

    return Shards(models.shard_count(sample.height, size), _compute)
