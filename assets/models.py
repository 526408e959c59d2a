"""What the model stages share: loading the scope's checkpoint, token ids of paragraphs, ids for rows, samples."""

import functools
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from assets.profile import Profile, settings_of
from assets.stage import Scope
from warehouse.registry import TABLES

MEASURED_GROUPS = ("MP", "NMP")
NMP_LIMIT_SHARE = 0.2
"""Non-memorized: exact match at most a fifth of the continuation (0-10 of 50; Stoehr et al. 2024, section 3)."""


def load_scoped_model(scope: Scope, **options: Any) -> Any:
    """The scope's checkpoint as a transformers model in eval mode."""
    from probes.models import load_model

    row = scope.read("checkpoints", ["source", "revision"]).row(0, named=True)
    probes = scope.profile.probes
    return load_model(row["source"], row["revision"], **{"device": probes.device, "dtype": probes.dtype, **options})


def lazy_model(scope: Scope, **options: Any) -> Callable[[], Any]:
    """A function that loads the scope's checkpoint when it is first called, so that who only plans does not load."""
    return functools.cache(functools.partial(load_scoped_model, scope, **options))


def model_settings(profile: Profile, *names: str) -> dict[str, Any]:
    """The probe settings a stage depends on: window, precision, batch boundaries and the named ones."""
    window = {"prefix_length": profile.paragraphs.prefix_length}
    kept = {"device", "dtype", "batch_size", "shard_size", *names}
    return window | {name: value for name, value in settings_of(profile.probes).items() if name in kept}


def localization_settings(profile: Profile, *names: str) -> dict[str, Any]:
    """The settings a stage depends on that looks at the localization sample: its size, and the named ones."""
    kept = {"paragraphs", *names}
    chosen = {name: value for name, value in settings_of(profile.localization).items() if name in kept}
    return model_settings(profile, "paragraphs_per_group", "bootstrap_draws", "seed") | {"localization": chosen}


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


def measured_sample(scope: Scope) -> pl.DataFrame:
    """Paragraphs the localization stages look at: memorized (MP) and not (NMP), at most one per near-duplicate cluster.

    Returns:
        Columns of paragraphs plus exact_match and paragraph_group, in a seeded order independent of the others.
    """
    settings = scope.profile.probes
    scores = scope.read("scores", ["paragraph_id", "exact_match", "is_memorized"])
    joined = scope.read("paragraphs").join(scores, on="paragraph_id", maintain_order="left")
    limit = int(NMP_LIMIT_SHARE * scope.profile.paragraphs.continuation_length)
    group = pl.when("is_memorized").then(pl.lit("MP")).when(pl.col("exact_match") <= limit).then(pl.lit("NMP"))
    order = [hashlib.sha256(f"{settings.seed}:{name}".encode()).hexdigest() for name in joined["paragraph_id"]]
    ranked = joined.with_columns(paragraph_group=group, order=pl.Series(order, dtype=pl.String))
    one_each = ranked.sort("order").unique(
        ["paragraph_group", "near_duplicate_cluster"], keep="first", maintain_order=True
    )
    groups = [
        one_each.filter(pl.col("paragraph_group") == name).head(settings.paragraphs_per_group)
        for name in MEASURED_GROUPS
    ]
    return pl.concat(groups)


def localization_sample(scope: Scope) -> dict[str, pl.DataFrame]:
    """Paragraphs that are patched and intervened on by group, and "other": memorized ones that are none of them.

    Returns:
        Rows of `measured_sample`; groups without paragraphs are left out.
    """
    sample, count = measured_sample(scope), scope.profile.localization.paragraphs
    groups = {name: sample.filter(pl.col("paragraph_group") == name) for name in MEASURED_GROUPS}
    found = {name: rows.head(count) for name, rows in groups.items()} | {"other": groups["MP"].slice(count, count)}
    return {name: rows for name, rows in found.items() if rows.height}


def no_rows(table: str) -> pl.DataFrame:
    """An empty frame in the registry's types, for a group that has no paragraphs."""
    frame = pl.from_arrow(TABLES[table].arrow_schema.empty_table())
    assert isinstance(frame, pl.DataFrame)
    return frame.drop("checkpoint_id")
