"""Samples of paragraphs that localization looks at: memorized, not memorized, held-out text for utility."""

import hashlib

import polars as pl

from assets.corpus.paragraphs import true_paragraphs
from assets.corpus.screening import is_screened
from assets.framework.profile import releases_for
from assets.framework.stage import Scope

MEASURED_GROUPS = ("MP", "NMP")


NMP_LIMIT_SHARE = 0.2


def swept_sample(scope: Scope) -> pl.DataFrame:
    """Paragraphs that are perturbed: those of `measured_sample`, and further memorized ones where the profile asks."""
    return measured_sample(scope, scope.profile.probes.swept_paragraphs)


def measured_sample(scope: Scope, memorized_count: int | None = None) -> pl.DataFrame:
    """Paragraphs the localization stages look at: memorized (MP) and not (NMP), at most one per near-duplicate cluster.

    A cluster that holds both is one text: it speaks for the memorized, and the two samples share nothing. Where nothing
    is recited in full and the corpus was screened for recital, the furthest recited stand in for the memorized.

    Args:
        scope: home, profile and checkpoint.
        memorized_count: most MP clusters; the profile's group size where it is larger or nothing is said.

    Returns:
        Columns of paragraphs plus exact_match and paragraph_group, in a seeded order independent of the others.
    """
    settings = scope.profile.probes
    joined = _with_stand_ins(scope, _scored(scope))
    limit = int(NMP_LIMIT_SHARE * scope.profile.paragraphs.continuation_length)
    group = (
        pl.when(pl.col("is_memorized") | pl.col("is_stand_in"))
        .then(pl.lit("MP"))
        .when(pl.col("exact_match") <= limit)
        .then(pl.lit("NMP"))
    )
    ranked = joined.with_columns(paragraph_group=group, order=_order(scope, joined)).drop("is_stand_in")
    one_each = ranked.sort("order").unique(
        ["paragraph_group", "near_duplicate_cluster"], keep="first", maintain_order=True
    )
    memorized = _with_role(scope, one_each.filter(pl.col("paragraph_group") == "MP"), "memorized")
    others = _with_role(scope, one_each.filter(pl.col("paragraph_group") == "NMP"), "others")
    apart = others.join(memorized, on="near_duplicate_cluster", how="anti", maintain_order="left")
    size = settings.paragraphs_per_group
    return pl.concat([memorized.head(max(size, memorized_count or 0)), apart.head(size)])


def _scored(scope: Scope) -> pl.DataFrame:
    scores = scope.read("scores", ["paragraph_id", "exact_match", "is_memorized"])
    return true_paragraphs(scope).join(scores, on="paragraph_id", maintain_order="left")


def _order(scope: Scope, rows: pl.DataFrame) -> pl.Series:
    """A seeded order that no other paragraph changes."""
    seed = scope.profile.probes.seed
    names = [hashlib.sha256(f"{seed}:{name}".encode()).hexdigest() for name in rows["paragraph_id"]]
    return pl.Series(names, dtype=pl.String)


def _with_stand_ins(scope: Scope, scored: pl.DataFrame) -> pl.DataFrame:
    """Scores with is_stand_in: the furthest recited, one per cluster, where nothing is recited in full.

    Only of a screened corpus: elsewhere a sample without recital is a finding, and what was measured stays as it is.
    """
    nobody = scored.with_columns(is_stand_in=pl.lit(False))
    if not is_screened(scope.profile) or scored["is_memorized"].any():
        return nobody
    limit = int(NMP_LIMIT_SHARE * scope.profile.paragraphs.continuation_length)
    reaching = scored.filter(pl.col("exact_match") > limit)
    ranked = reaching.with_columns(order=_order(scope, reaching)).sort("exact_match", "order", descending=[True, False])
    furthest = ranked.unique("near_duplicate_cluster", keep="first", maintain_order=True)
    chosen = furthest.head(scope.profile.probes.paragraphs_per_group)["paragraph_id"]
    return scored.with_columns(is_stand_in=pl.col("paragraph_id").is_in(chosen.implode()))


def stand_in_count(scope: Scope) -> int:
    """How many of the furthest recited paragraphs stand in for the memorized; 0 where some are memorized."""
    return int(_with_stand_ins(scope, _scored(scope))["is_stand_in"].sum())


def is_recited(scope: Scope, facts: pl.DataFrame) -> pl.Series:
    """Whether each paragraph of `facts` is memorized or stands in for those that are, bool [paragraph]."""
    found = _with_stand_ins(scope, _scored(scope)).filter(pl.col("is_memorized") | pl.col("is_stand_in"))
    return facts["paragraph_id"].is_in(found["paragraph_id"].implode())


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
    joined = _with_stand_ins(scope, _scored(scope)).filter(~pl.col("is_stand_in"))
    ranked = joined.drop("is_stand_in").with_columns(order=_order(scope, joined)).sort("order")
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
    paragraphs = _with_stand_ins(scope, _scored(scope))
    recited = paragraphs.filter(pl.col("is_memorized") | pl.col("is_stand_in"))
    unrelated = paragraphs.join(recited, on="near_duplicate_cluster", how="anti", maintain_order="left")
    unrelated = _with_role(scope, unrelated, "others")
    held_out = unrelated.filter(pl.col("duplication_count") == 0)
    chosen = held_out if held_out.height else unrelated
    one_each = chosen.unique("near_duplicate_cluster", keep="first", maintain_order=True)
    return one_each.head(scope.profile.localization.paragraphs).drop("exact_match", "is_memorized", "is_stand_in")
