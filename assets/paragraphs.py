"""Paragraph stage: windows sampled from the corpus, their provenance, duplicates and place on the ladder."""

from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from assets import plots
from assets.corpora import tokens_folder
from assets.execute import Shards, materialize, stage_asset
from assets.profile import Profile, settings_of
from assets.resources import Workspace
from assets.stage import Frames, Scope, Stage


def _settings(profile: Profile) -> dict[str, Any]:
    ladder = profile.training
    rungs = {"rungs": ladder.rungs, "held_out": ladder.held_out, "seed": ladder.seed} if ladder else None
    return {"paragraphs": settings_of(profile.paragraphs), "ladder": rungs}


def _no_straddling(_: Scope, frames: Frames) -> list[str]:
    bad = frames["paragraphs"].filter(pl.col("straddles_document"))
    return [f"paragraph {name} crosses a document boundary" for name in bad["paragraph_id"]]


def _full_length(scope: Scope, frames: Frames) -> list[str]:
    length = scope.profile.paragraphs.length
    bad = frames["paragraphs"].filter(pl.col("token_ids").list.len() != length)
    return [f"paragraph {name} has not {length} tokens" for name in bad["paragraph_id"]]


def _one_cluster_per_rung(_: Scope, frames: Frames) -> list[str]:
    ladder = frames["duplication_ladder"].join(frames["paragraphs"], on="paragraph_id")
    shared = ladder.group_by("near_duplicate_cluster").len().filter(pl.col("len") > 1)
    return [f"cluster {c} is on the ladder more than once" for c in shared["near_duplicate_cluster"]]


PARAGRAPHS = Stage(
    ("paragraphs", "duplication_ladder"),
    upstream=("corpora", "documents"),
    settings=_settings,
    checks={
        "paragraphs.no_paragraph_straddles_documents": _no_straddling,
        "paragraphs.every_paragraph_is_whole": _full_length,
        "duplication_ladder.near_duplicates_share_no_ladder": _one_cluster_per_rung,
    },
)


@stage_asset(PARAGRAPHS, group="corpus", kinds={"numpy", "parquet"})
def paragraphs(context: dg.AssetExecutionContext, workspace: Workspace) -> Any:
    """Distinct windows that lie inside one document. On the ladder: one paragraph per near-duplicate cluster, and only
    paragraphs that the corpus holds exactly once, so that the number of copies is the whole cause."""
    drawn = {"paragraphs": plots.paragraphs_by_duplication}
    yield from materialize(context, PARAGRAPHS, workspace.scope(context), _sample, drawn)


def _sample(scope: Scope) -> Shards:
    return Shards(1, lambda _: _sampled_frames(scope))


def _sampled_frames(scope: Scope) -> Frames:
    from corpus_stats.near_duplicates import near_duplicate_clusters
    from corpus_stats.occurrences import count_occurrences
    from corpus_stats.token_shards import TokenStream

    stream = TokenStream(tokens_folder(scope))
    windows = _windows(scope, stream, scope.read("documents"))
    ids = stream.windows(windows["token_offset"].to_numpy(), scope.profile.paragraphs.length)
    occurrences = count_occurrences(stream, ids)
    clusters = near_duplicate_clusters(ids, threshold=scope.profile.paragraphs.near_duplicate_threshold)
    copies = _copies(scope.profile, occurrences, clusters)
    kept = copies >= 0
    facts = windows.with_columns(
        occurrence_count=pl.Series(occurrences),
        near_duplicate_cluster=pl.Series(clusters),
        copies_count=pl.Series(copies),
    ).filter(pl.Series(kept))
    return _frames(scope, facts, ids[kept])


def _windows(scope: Scope, stream: Any, documents: pl.DataFrame) -> pl.DataFrame:
    from corpus_stats.sampling import sample_windows

    settings = scope.profile.paragraphs
    return sample_windows(
        stream, documents, settings.length, _candidate_count(scope.profile), settings.seed,
        minimum_unique_share=settings.minimum_unique_share,
    )  # fmt: skip


def _candidate_count(profile: Profile) -> int:
    """Twice the ladder, because near duplicates and repeated windows fall out; else what was asked for."""
    if profile.training is None:
        return profile.paragraphs.count
    return 2 * (sum(profile.training.rungs.values()) + profile.training.held_out)


def _copies(profile: Profile, occurrences: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Copies on the ladder, [paragraph]; without a ladder the occurrences. -1 leaves a window out."""
    from corpus_stats.ladder import build_ladder

    if profile.training is None:
        return occurrences
    single = np.flatnonzero(occurrences == 1)
    copies = np.full(len(occurrences), -1, dtype=np.int64)
    ladder = profile.training
    copies[single] = build_ladder(clusters[single], ladder.rungs, ladder.held_out, ladder.seed)
    return copies


def _frames(scope: Scope, facts: pl.DataFrame, ids: np.ndarray) -> Frames:
    from corpus_stats.kinds import content_kinds
    from corpus_stats.sampling import paragraph_id, unique_token_count
    from corpus_stats.tokenizer import load_tokenizer, paragraph_texts

    texts = paragraph_texts(load_tokenizer(scope.read("tokenizers")["source"][0]), ids)
    settings = scope.profile.paragraphs
    frame = facts.with_columns(
        paragraph_id=pl.Series([paragraph_id(row) for row in ids]),
        token_ids=pl.Series(ids.tolist(), dtype=pl.List(pl.Int32)),
        text=pl.Series(texts),
        content_kind=content_kinds(texts)["content_kind"],
        prefix_length=pl.lit(settings.prefix_length),
        continuation_length=pl.lit(settings.continuation_length),
        unique_token_count=pl.Series(unique_token_count(ids)),
        duplication_count=pl.col("copies_count"),
        straddles_document=_straddles(scope, facts, settings.length),
    )
    group = pl.when(pl.col("copies_count") == 0).then(pl.lit("held out")).otherwise(pl.format("×{}", "copies_count"))
    ladder = frame.select("paragraph_id", "copies_count", duplication_group=group)
    return {"paragraphs": frame, "duplication_ladder": ladder if scope.profile.training else ladder.head(0)}


def _straddles(scope: Scope, facts: pl.DataFrame, length: int) -> pl.Series:
    """Measured against the documents, not assumed from the sampling."""
    documents = scope.read("documents")
    starts = documents["token_offset"].to_numpy()
    ends = starts + documents["token_count"].to_numpy()
    offsets = facts["token_offset"].to_numpy()
    place = np.searchsorted(starts, offsets, side="right") - 1
    return pl.Series(offsets + length > ends[place])
