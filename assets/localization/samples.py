"""Samples of paragraphs that localization looks at: memorized, not memorized, held-out text for utility."""

import hashlib

import polars as pl

from assets.corpus.paragraphs import true_paragraphs
from assets.framework.profile import releases_for
from assets.framework.stage import Scope

MEASURED_GROUPS = ("MP", "NMP")


NMP_LIMIT_SHARE = 0.2


def swept_sample(scope: Scope) -> pl.DataFrame:
    """Paragraphs that are perturbed: those of `measured_sample`, and further memorized ones where the profile asks."""
    return measured_sample(scope, scope.profile.probes.swept_paragraphs)


def measured_sample(scope: Scope, memorized_count: int | None = None) -> pl.DataFrame:
    """Paragraphs the localization stages look at: memorized (MP) and not (NMP), at most one per near-duplicate cluster.

    A cluster that holds both is one text: it speaks for the memorized, and the two samples share nothing.

    Args:
        scope: home, profile and checkpoint.
        memorized_count: most MP clusters; the profile's group size where it is larger or nothing is said.

    Returns:
        Columns of paragraphs plus exact_match and paragraph_group, in a seeded order independent of the others.
    """
    settings = scope.profile.probes
    scores = scope.read("scores", ["paragraph_id", "exact_match", "is_memorized"])
    joined = true_paragraphs(scope).join(scores, on="paragraph_id", maintain_order="left")
    limit = int(NMP_LIMIT_SHARE * scope.profile.paragraphs.continuation_length)
    group = pl.when("is_memorized").then(pl.lit("MP")).when(pl.col("exact_match") <= limit).then(pl.lit("NMP"))
    order = [hashlib.sha256(f"{settings.seed}:{name}".encode()).hexdigest() for name in joined["paragraph_id"]]
    ranked = joined.with_columns(paragraph_group=group, order=pl.Series(order, dtype=pl.String))
    one_each = ranked.sort("order").unique(
        ["paragraph_group", "near_duplicate_cluster"], keep="first", maintain_order=True
    )
    memorized = _with_role(scope, one_each.filter(pl.col("paragraph_group") == "MP"), "memorized")
    others = _with_role(scope, one_each.filter(pl.col("paragraph_group") == "NMP"), "others")
    apart = others.join(memorized, on="near_duplicate_cluster", how="anti", maintain_order="left")
    size = settings.paragraphs_per_group
    return pl.concat([memorized.head(max(size, memorized_count or 0)), apart.head(size)])


def _with_role(scope: Scope, rows: pl.DataFrame, role: str) -> pl.DataFrame:
    """Paragraphs of releases that have a role; all where the corpus is not made of releases."""
    profile = scope.profile
    return rows.filter(pl.col("subset").is_in(releases_for(profile, role))) if profile.releases else rows


def middle_bins(scope: Scope) -> dict[str, pl.DataFrame]:
    """Paragraphs recited in part, by bin of exact match (11-29 and 30-49 of 50), one per near-duplicate cluster.

    Returns:
        Rows of `measured_sample` by name of the bin, at most a group's size each; both bins, also where empty.
    """
    length = scope.profile.paragraphs.continuation_length
    low, middle = int(NMP_LIMIT_SHARE * length), 29 * length // 50
    scores = scope.read("scores", ["paragraph_id", "exact_match", "is_memorized"])
    joined = true_paragraphs(scope).join(scores, on="paragraph_id", maintain_order="left")
    order = [
        hashlib.sha256(f"{scope.profile.probes.seed}:{name}".encode()).hexdigest() for name in joined["paragraph_id"]
    ]
    ranked = joined.with_columns(order=pl.Series(order, dtype=pl.String)).sort("order")
    size, found = scope.profile.probes.paragraphs_per_group, {}
    for first, last in ((low + 1, middle), (middle + 1, length - 1)):
        rows = ranked.filter(pl.col("exact_match").is_between(first, last))
        one_each = rows.unique("near_duplicate_cluster", keep="first", maintain_order=True)
        found[f"{first}-{last}"] = one_each.head(size)
    return found


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
    """Text of the corpus that has nothing to do with what is recited: no paragraph of a memorized one's cluster.

    Held-out paragraphs of the ladder, else those that are not memorized; one per near-duplicate cluster, as many as a
    group of the sample holds.
    """
    scores = scope.read("scores", ["paragraph_id", "is_memorized"])
    paragraphs = true_paragraphs(scope).join(scores, on="paragraph_id", maintain_order="left")
    recited = paragraphs.filter("is_memorized")
    unrelated = paragraphs.join(recited, on="near_duplicate_cluster", how="anti", maintain_order="left")
    unrelated = _with_role(scope, unrelated, "others")
    held_out = unrelated.filter(pl.col("duplication_count") == 0)
    chosen = held_out if held_out.height else unrelated
    one_each = chosen.unique("near_duplicate_cluster", keep="first", maintain_order=True)
    return one_each.head(scope.profile.localization.paragraphs).drop("is_memorized")
