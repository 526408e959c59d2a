"""Stage of traces: which stretches of what a model wrote instead stand verbatim in the corpus, and where."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from assets.corpus.paragraphs import true_paragraphs, truth_policy
from assets.corpus.places import documents_at
from assets.corpus.text import tokens_folder
from assets.framework import progress
from assets.framework.profile import Profile
from assets.framework.stage import Frames, Scope, Shards, stage

MINIMUM_TOKENS = 8
_MOST_PLACES = 5


def _settings(profile: Profile) -> dict[str, Any]:
    return {"prefix_length": profile.paragraphs.prefix_length, "minimum_tokens": MINIMUM_TOKENS}


def _no_stretch_leaves_its_paragraph(scope: Scope, frames: Frames) -> list[str]:
    length = scope.profile.paragraphs.length
    wrong = frames["traces"].filter((pl.col("position") + pl.col("token_count") > length) | (pl.col("token_count") < 1))
    return [f"a stretch of paragraph {name} leaves it" for name in wrong["paragraph_id"]]


@stage(
    tables=("traces",),
    reads=("corpora", "documents", "paragraphs", "scores", "generations"),
    settings=_settings,
    outside=truth_policy,
    checks={"traces.stretches_lie_in_their_paragraph": _no_stretch_leaves_its_paragraph},
    group="memorization",
    kinds={"numpy", "parquet"},
)
def traces(scope: Scope) -> Shards:
    """Longest stretches of every continuation that is not recited, as OLMoTrace finds them (Liu et al. 2025)."""
    return Shards(1, lambda _: {"traces": _traced(scope)})


def _traced(scope: Scope) -> pl.DataFrame:
    from corpus_stats.counts.trace import longest_stretches
    from corpus_stats.tokens.shards import TokenStream

    texts, stream = _texts(scope), TokenStream(tokens_folder(scope))
    queries = [np.array(ids, dtype=np.int64) for ids in texts["ids"].to_list()]
    with progress.task("traces", 2 * stream.token_count, "tokens") as task:
        found = longest_stretches(
            stream, queries, MINIMUM_TOKENS, _MOST_PLACES, task.advance, own_places=texts["own_place"].to_list()
        )
    prefix = scope.profile.paragraphs.prefix_length
    end = pl.col("position") + pl.col("token_count")
    first_wrong = prefix + pl.col("exact_match")
    placed = found.join(texts.drop("ids").with_row_index("row"), on="row", how="left", maintain_order="left")
    placed = placed.with_columns(position=pl.col("query_offset") + prefix)
    placed = placed.with_columns(divergent_count=(end - pl.max_horizontal("position", first_wrong)).clip(0))
    return placed.with_columns(_documents(scope, placed)).drop("row", "query_offset", "exact_match", "own_place")


def _texts(scope: Scope) -> pl.DataFrame:
    """What was written and what would have been true: paragraph_id, exact_match, traced_text, ids, own_place.

    A paragraph that lies nowhere in the corpus has no true text to compare with.
    """
    prefix = scope.profile.paragraphs.prefix_length
    known = scope.read("scores", ["paragraph_id", "exact_match"])
    written = scope.read("generations", ["paragraph_id", "generated_ids"]).join(
        known, on="paragraph_id", maintain_order="left"
    )
    truth = true_paragraphs(scope).filter(pl.col("token_offset").is_not_null())
    common = ("paragraph_id", "exact_match")
    true = written.select(*common).join(truth, on="paragraph_id", maintain_order="left", how="inner")
    nowhere = pl.lit(None, dtype=pl.Int64)
    return pl.concat(
        [
            written.select(*common, traced_text=pl.lit("written"), ids="generated_ids", own_place=nowhere),
            true.select(
                *common,
                traced_text=pl.lit("true"),
                ids=pl.col("token_ids").list.slice(prefix),
                own_place=pl.col("token_offset") + prefix,
            ),
        ]
    )


def _documents(scope: Scope, placed: pl.DataFrame) -> pl.Series:
    """Document that holds the first occurrence of each stretch."""
    firsts = placed["token_offsets"].list.first().to_numpy()
    return documents_at(scope, firsts, placed["token_count"].to_numpy()).alias("document_id")
