"""Paragraph stage: windows sampled from the corpus, their provenance, duplicates and place on the ladder."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from assets.corpus.releases import RELEASED, read_released, released_content, released_windows
from assets.corpus.screening import is_screened, kept_windows
from assets.corpus.sliced import occurrences_in_ranges
from assets.corpus.text import kind_of, tokens_folder
from assets.corpus.token_filters import filter_sets
from assets.corpus.tokenizers import load_corpus_tokenizer
from assets.figures import previews
from assets.framework import progress
from assets.framework.profile import Profile, settings_of
from assets.framework.stage import Frames, Scope, Shards, stage

_PREFIX_END_TOKENS = 32


def _settings(profile: Profile) -> dict[str, Any]:
    ladder = profile.training
    named = ("rungs", "held_out", "seed", "row_length", "unrelated_tokens")
    rungs = {name: getattr(ladder, name) for name in named} if ladder else None
    releases = {"releases": [[one.release, one.count] for one in profile.releases]} if profile.releases else {}
    screened = () if is_screened(profile) else ("screen", "screen_checkpoint")
    return {"paragraphs": settings_of(profile.paragraphs, *screened), "ladder": rungs, **releases}


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


def _no_id_twice(_: Scope, frames: Frames) -> list[str]:
    ids = frames["paragraphs"]["paragraph_id"]
    return [f"paragraph {name} is there twice" for name in ids.filter(ids.is_duplicated()).unique()]


def _subsets_covered(scope: Scope, frames: Frames) -> list[str]:
    """Every paragraph belongs to a subset of the corpus, and the subsets hold all tokens of the documents."""
    coverage, documents = frames["subset_coverage"], scope.read("documents", ["token_count"])
    wrong = []
    if (counted := coverage["paragraph_count"].sum()) != (sampled := frames["paragraphs"].height):
        wrong.append(f"{sampled} paragraphs were sampled, the subsets hold {counted}")
    if (counted := coverage["token_count"].sum()) != (total := documents["token_count"].sum()):
        wrong.append(f"the documents hold {total} tokens, the subsets {counted}")
    return wrong


def _filters_end_in_the_sample(_: Scope, frames: Frames) -> list[str]:
    kept = frames["paragraph_filters"].sort("step")["kept_count"].to_list()
    count = frames["paragraphs"].height
    return [] if kept[-1] == count else [f"the filters keep {kept[-1]} windows, the sample has {count}"]


def _outside(scope: Scope) -> dict[str, Any]:
    released = {"released": released_content(scope)} if kind_of(scope.profile) == RELEASED else {}
    return released | ({"kept": scope.content("paragraph_weights")} if is_screened(scope.profile) else {})


@stage(
    tables=("paragraphs", "duplication_ladder", "paragraph_filters", "subset_coverage"),
    reads=("corpora", "documents"),
    settings=_settings,
    outside=_outside,
    checks={
        "paragraphs.no_paragraph_straddles_documents": _no_straddling,
        "paragraphs.every_paragraph_is_whole": _full_length,
        "paragraphs.no_id_occurs_twice": _no_id_twice,
        "duplication_ladder.near_duplicates_share_no_ladder": _one_cluster_per_rung,
        "paragraph_filters.the_last_keeps_the_sample": _filters_end_in_the_sample,
        "subset_coverage.every_paragraph_has_a_subset": _subsets_covered,
    },
    group="corpus",
    kinds={"numpy", "parquet"},
    files=("released_paragraphs", "paragraph_weights"),
    plots={"paragraphs": previews.paragraphs_by_duplication},
)
def paragraphs(scope: Scope) -> Shards:
    """Distinct windows that lie inside one document, those that a screening kept, or the paragraphs of an imported
    release. On the ladder: one paragraph per near-duplicate cluster, and only paragraphs that the corpus holds exactly
    once, so that the number of copies is the whole cause."""
    return Shards(1, lambda _: _sampled_frames(scope))


def _sampled_frames(scope: Scope) -> Frames:
    from corpus_stats.duplicates.near_duplicates import duplicate_clusters
    from corpus_stats.paragraphs.filters import FilterTally
    from corpus_stats.paragraphs.strata import occurrence_strata
    from corpus_stats.tokens.shards import TokenStream

    stream, tally = TokenStream(tokens_folder(scope)), FilterTally()
    facts, ids = candidates(scope, stream, tally)
    settings = scope.profile.paragraphs
    counts = _occurrences(scope, stream, ids, settings.prefix_length)
    copies = _copies(scope.profile, facts["released_count"], counts[0])
    facts = facts.with_columns(
        occurrence_count=pl.Series(counts[0]),
        prefix_occurrence_count=pl.Series(counts[1]),
        prefix_end_occurrence_count=pl.Series(counts[2]),
        occurrence_stratum=pl.Series(occurrence_strata(counts[0])),
        near_duplicate_cluster=pl.Series(
            duplicate_clusters(ids, settings.near_duplicate_threshold, min(settings.shared_run_tokens, settings.length))
        ),
    )
    if scope.profile.training is not None:
        on_ladder, kept = _ladder(scope.profile, facts, tally)
        copies = pl.Series(on_ladder)
    else:
        kept = _stratified(scope.profile, facts, tally)
    facts = facts.with_columns(copies_count=copies).filter(pl.Series(kept))
    return {**_frames(scope, facts, ids[kept]), "paragraph_filters": tally.frame()}


def _copies(profile: Profile, released: pl.Series, occurrences: np.ndarray) -> pl.Series:
    """Times a model met each paragraph as far as is known: released counts, else occurrences in the corpus.

    Of several releases, occurrences in the one that is counted are no measure of the others: those stay unknown.
    """
    return released if profile.releases else released.fill_null(pl.Series(occurrences))


def _occurrences(scope: Scope, stream: Any, ids: np.ndarray, prefix_length: int) -> list[np.ndarray]:
    """How often the windows, their prefixes and the ends of these occur, each [paragraph], from one pass."""
    windows = [ids, ids[:, :prefix_length], ids[:, max(0, prefix_length - _PREFIX_END_TOKENS) : prefix_length]]
    with progress.task("occurrences", stream.token_count, "tokens") as task:
        return occurrences_in_ranges(scope, stream, windows, task.advance)


def _ladder(profile: Profile, facts: pl.DataFrame, tally: Any) -> tuple[np.ndarray, np.ndarray]:
    """Copies of each window on the ladder, -1 for none, and whether it is on the ladder, [window]."""
    from corpus_stats.paragraphs.ladder import build_ladder

    ladder = profile.training
    assert ladder is not None
    single = (facts["occurrence_count"] == 1).to_numpy()
    copies = np.full(len(facts), -1, dtype=np.int64)
    clusters = facts["near_duplicate_cluster"].to_numpy()[single]
    copies[single] = build_ladder(clusters, ladder.rungs, ladder.held_out, ladder.seed)
    reached = tally.add("occurs_once", single)
    return copies, tally.add("is_on_the_ladder", copies >= 0, reached, alone=False)


def _stratified(profile: Profile, facts: pl.DataFrame, tally: Any) -> np.ndarray:
    """Whether each window is among those drawn from its stratum, [window]; all are where none are asked for."""
    from corpus_stats.paragraphs.strata import stratified_rows

    settings = profile.paragraphs
    kept = np.ones(len(facts), dtype=bool)
    if settings.per_occurrence_stratum is not None:
        strata = facts["occurrence_stratum"].to_list()
        kept[:] = False
        kept[stratified_rows(strata, settings.per_occurrence_stratum, settings.seed)] = True
        tally.add("is_drawn_from_its_stratum", kept)
    return kept


def _frames(scope: Scope, facts: pl.DataFrame, ids: np.ndarray) -> Frames:
    from corpus_stats.paragraphs.facts import paragraph_ids, unique_token_count
    from corpus_stats.paragraphs.kinds import content_kinds
    from corpus_stats.paragraphs.strata import subset_coverage
    from corpus_stats.tokens.tokenizer import paragraph_texts

    texts = paragraph_texts(load_corpus_tokenizer(scope), ids)
    settings = scope.profile.paragraphs
    frame = facts.with_columns(
        paragraph_id=pl.Series(paragraph_ids(ids), dtype=pl.String),
        token_ids=pl.Series(ids.tolist(), dtype=pl.List(pl.Int32)),
        text=pl.Series(texts, dtype=pl.String),
        content_kind=content_kinds(texts)["content_kind"],
        prefix_length=pl.lit(settings.prefix_length),
        continuation_length=pl.lit(settings.continuation_length),
        unique_token_count=pl.Series(unique_token_count(ids)),
        duplication_count=pl.col("copies_count"),
        straddles_document=_straddles(scope, facts, settings.length),
    )
    group = pl.when(pl.col("copies_count") == 0).then(pl.lit("held out")).otherwise(pl.format("×{}", "copies_count"))
    ladder = _with_exposures(scope.profile, frame.select("paragraph_id", "copies_count", duplication_group=group))
    coverage = subset_coverage(frame, scope.read("documents", ["subset", "token_count"]))
    return {
        "paragraphs": frame,
        "duplication_ladder": ladder if scope.profile.training else _released_ladder(scope, frame, ladder),
        "subset_coverage": coverage,
    }


def _released_ladder(scope: Scope, frame: pl.DataFrame, ladder: pl.DataFrame) -> pl.DataFrame:
    """The ladder of a release whose makers chose the copies, one paragraph of each cluster; else none."""
    from corpus_stats.importers import COPIES

    if kind_of(scope.profile) != RELEASED or read_released(scope)["release"][0] != COPIES:
        return ladder.head(0)
    single = frame.unique("near_duplicate_cluster", keep="first", maintain_order=True)["paragraph_id"]
    return ladder.filter(pl.col("paragraph_id").is_in(single.implode()))


def ladder_packing(profile: Profile, copies: np.ndarray) -> Any:
    """Where training shows the paragraphs of the ladder, as a `Packing`; None where it shows them bare."""
    from corpus_stats.paragraphs.packing import packing

    settings = profile.training
    if settings is None or not settings.row_length:
        return None
    return packing(copies, profile.paragraphs.length, settings.row_length, settings.unrelated_tokens, settings.seed)


def _with_exposures(profile: Profile, ladder: pl.DataFrame) -> pl.DataFrame:
    """The ladder with the exposures that no end of a row cuts."""
    layout = ladder_packing(profile, ladder["copies_count"].to_numpy())
    complete = ladder["copies_count"] if layout is None else pl.Series(layout.complete_counts(ladder.height))
    return ladder.with_columns(complete_exposure_count=complete)


def _straddles(scope: Scope, facts: pl.DataFrame, length: int) -> pl.Series:
    """Measured against the documents, not assumed from the sampling; what a model wrote lies in no document."""
    documents = scope.read("documents", ["token_offset", "token_count"])
    starts = documents["token_offset"].to_numpy()
    ends = starts + documents["token_count"].to_numpy()
    offsets = facts["token_offset"].fill_null(0).to_numpy()
    place = np.searchsorted(starts, offsets, side="right") - 1
    outside = (place < 0) | (offsets + length > ends[np.maximum(place, 0)])
    return pl.Series(outside & facts["token_offset"].is_not_null().to_numpy())


_WROTE_ITSELF = (pl.col("continuation_origin") == "model") & pl.col("token_offset").is_null()


def true_paragraphs(scope: Scope) -> pl.DataFrame:
    """Paragraphs whose continuation is text of the corpus: the only ones that can be recited, or serve as text.

    A continuation that a model wrote is no truth to score against unless the release says that it equals the corpus',
    in which case the paragraph has a place there.
    """
    return scope.read("paragraphs").filter(~_WROTE_ITSELF)


def written_by_models(scope: Scope) -> pl.DataFrame:
    """The others: their prefixes are text of the corpus, their continuations are what a model wrote in another run."""
    return scope.read("paragraphs").filter(_WROTE_ITSELF)


def truth_policy(scope: Scope) -> dict[str, Any]:
    """Key of stages that measure true continuations only; other corpora than releases have no others."""
    return {"continuations": "corpus text only"} if kind_of(scope.profile) == RELEASED else {}


def candidates(scope: Scope, stream: Any, tally: Any) -> tuple[pl.DataFrame, np.ndarray]:
    """Windows that pass the profile's filters, all of different contents.

    Args:
        scope: home and profile.
        stream: `TokenStream` of the corpus.
        tally: `FilterTally` that is told what each filter dropped.

    Returns:
        document_id, token_offset, subset, continuation_origin, released_count (null where no release says how often
        the paragraph occurs), and the token ids, [window, position].
    """
    if kind_of(scope.profile) == RELEASED:
        return _released(scope, tally)
    drawn = _screened(scope, tally) if is_screened(scope.profile) else _drawn(scope, stream, tally)
    windows = drawn.with_columns(continuation_origin=pl.lit("corpus"), released_count=pl.lit(None, dtype=pl.Int64))
    return windows, stream.windows(windows["token_offset"].to_numpy(), scope.profile.paragraphs.length)


def _drawn(scope: Scope, stream: Any, tally: Any) -> pl.DataFrame:
    from corpus_stats.paragraphs.sampling import sample_windows

    settings = scope.profile.paragraphs
    return sample_windows(
        stream, scope.read("documents"), settings.length, _candidate_count(scope.profile), settings.seed,
        minimum_unique_share=settings.minimum_unique_share, per_subset=settings.per_subset,
        token_sets=filter_sets(scope), tally=tally,
    )  # fmt: skip


def _screened(scope: Scope, tally: Any) -> pl.DataFrame:
    """The windows that the screening kept; its filters were applied before it."""
    kept = kept_windows(scope)
    screened = scope.read("screening_windows", ["token_offset"])["token_offset"]
    tally.add("is_kept_of_screened", screened.is_in(kept["token_offset"].implode()).to_numpy())
    return kept


def _candidate_count(profile: Profile) -> int:
    """Twice the ladder, because near duplicates and repeated windows fall out; else what was asked for."""
    if profile.training is None:
        return profile.paragraphs.count
    return 2 * (sum(profile.training.rungs.values()) + profile.training.held_out)


def _released(scope: Scope, tally: Any) -> tuple[pl.DataFrame, np.ndarray]:
    from corpus_stats.paragraphs.facts import paragraph_ids, unique_token_count
    from corpus_stats.paragraphs.filters import contains_token_set

    settings = scope.profile.paragraphs
    separator = load_corpus_tokenizer(scope).eos_token_id
    facts, ids = released_windows(scope, scope.read("documents"), separator)
    kept = tally.add("is_varied", unique_token_count(ids) > settings.minimum_unique_share * settings.length)
    token_sets = filter_sets(scope)
    if token_sets:
        kept = tally.add("has_no_filter_string", ~contains_token_set(ids, token_sets), kept)
    rows = np.flatnonzero(kept)
    _, first = np.unique(np.array(paragraph_ids(ids[rows]), dtype=str), return_index=True)
    distinct = np.zeros(len(ids), dtype=bool)
    distinct[rows[first]] = True
    kept = tally.add("is_distinct", distinct, kept, alone=False)
    kept = _drawn_of_releases(scope, facts, kept, tally)
    return facts.filter(pl.Series(kept)), ids[kept]


def _drawn_of_releases(scope: Scope, facts: pl.DataFrame, kept: np.ndarray, tally: Any) -> np.ndarray:
    """As many as the profile asks for, [window]; of several releases as many of each, and of what models wrote."""
    settings, releases = scope.profile.paragraphs, scope.profile.releases
    groups: list[tuple[np.ndarray, int | None]] = [(np.ones(len(kept), dtype=bool), settings.count)]
    if releases:
        is_truth, subsets = (facts["continuation_origin"] == "corpus").to_numpy(), facts["subset"].to_numpy()
        groups = [((subsets == r.release) & (is_truth == truth), r.count) for r in releases for truth in (True, False)]
    drawn = np.zeros(len(kept), dtype=bool)
    for inside, count in groups:
        chosen = np.random.default_rng(settings.seed).permutation(np.flatnonzero(kept & inside))[:count]
        drawn[chosen] = True
    return tally.add("is_drawn", drawn, kept, alone=False) if (drawn != kept).any() else kept
