"""Samples of paragraphs that localization looks at: memorized, not memorized, held-out text for utility."""

import hashlib
from typing import TYPE_CHECKING

import polars as pl

from assets.framework.stage import Scope

if TYPE_CHECKING:
    pass


MEASURED_GROUPS = ("MP", "NMP")


NMP_LIMIT_SHARE = 0.2


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


def utility_text(scope: Scope) -> pl.DataFrame:
    """Held-out paragraphs: the ladder's, else those that are not memorized, as many as a group of the sample holds."""
    paragraphs = scope.read("paragraphs")
    held_out = paragraphs.filter(pl.col("duplication_count") == 0)
    if held_out.is_empty():
        memorized = scope.read("scores", ["paragraph_id", "is_memorized"]).filter("is_memorized")
        held_out = paragraphs.join(memorized, on="paragraph_id", how="anti", maintain_order="left")
    return held_out.head(scope.profile.localization.paragraphs)
