"""Parts the model stages share: loading the scope's checkpoint, token ids of paragraphs, ids for rows, samples."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from assets.framework.profile import Profile, roles_key, settings_named
from assets.framework.stage import Scope


def load_scoped_model(scope: Scope, *, is_lent: bool = True, **options: Any) -> Any:
    """The scope's checkpoint as a transformers model in eval mode, read once for all stages of a run.

    Args:
        scope: of one checkpoint.
        is_lent: the stage leaves the model as it is; False for one that changes it.
        options: over the profile's device and precision.
    """
    from probes.checkpoints.kept import kept_model
    from probes.checkpoints.load import load_model

    row, probes = scope.read("checkpoints", ["source", "revision"]).row(0, named=True), scope.profile.probes
    known = {"device": probes.device, "dtype": probes.dtype, "beginning_id": scope.beginning_id()}
    return kept_model(scope.content("checkpoints"), {**row, **known, **options}, load_model, is_lent)


def lazy_model(scope: Scope, **options: Any) -> Callable[[], Any]:
    """A function that loads the scope's checkpoint when it is first called, so that who only plans does not load."""
    return functools.cache(functools.partial(load_scoped_model, scope, **options))


def model_settings(profile: Profile, *names: str) -> dict[str, Any]:
    """The probe settings a stage depends on: window, precision, batch boundaries and the named ones."""
    window = {"prefix_length": profile.paragraphs.prefix_length}
    kept = {"device", "dtype", "batch_size", "shard_size", *names}
    stand_ins = {} if profile.paragraphs.screen is None else {"stand_ins": "furthest recited"}
    return window | settings_named(profile.probes, kept) | roles_key(profile) | stand_ins


def recited_settings(profile: Profile, *names: str) -> dict[str, Any]:
    """The settings a stage depends on that asks who is recited: how many stand in where nobody is in full."""
    most = () if profile.paragraphs.screen is None else ("paragraphs_per_group",)
    return model_settings(profile, *most, *names)


def localization_settings(profile: Profile, *names: str) -> dict[str, Any]:
    """The settings a stage depends on that looks at the localization sample: its size, and the named ones."""
    kept = {"paragraphs", *names}
    return model_settings(profile, "paragraphs_per_group", "bootstrap_draws", "seed") | {
        "localization": settings_named(profile.localization, kept)
    }


def token_matrix(frame: pl.DataFrame, column: str = "token_ids") -> np.ndarray:
    """Token ids of paragraphs, [paragraph, position]."""
    return np.array(frame[column].to_list(), dtype=np.int64)


def with_paragraph_ids(rows: pl.DataFrame, paragraphs: pl.DataFrame) -> pl.DataFrame:
    """Replace `row`, the index of the paragraph in what was measured, by its paragraph_id."""
    ids = paragraphs.select("paragraph_id").with_row_index("row")
    return rows.join(ids, on="row", maintain_order="left").drop("row")


def shard_count(rows: int, size: int) -> int:
    """Number of shards of `size` rows; at least one, so that an empty table is a table."""
    return max(1, -(-rows // size))


def shard_of(frame: pl.DataFrame, shard: int, size: int) -> pl.DataFrame:
    """Rows of one shard."""
    return frame.slice(shard * size, size)
