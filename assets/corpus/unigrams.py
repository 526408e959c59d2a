"""Unigram stages: counts by token shard, and their sum with rarity."""

from __future__ import annotations

import polars as pl

import sql
from assets.corpus.text import is_text, reader_of, tokens_folder
from assets.corpus.tokenizers import load_corpus_tokenizer
from assets.figures import previews
from assets.framework import progress
from assets.framework.errors import RequestError
from assets.framework.stage import Frames, Scope, Shards, stage
from warehouse.catalog.publish import connect_workspace
from warehouse.catalog.queries import to_polars
from warehouse.record.frames import empty_frame
from warehouse.registry import TABLES


@stage(
    tables=("unigram_counts",),
    reads=("corpora",),
    group="corpus",
    kinds={"numpy", "parquet"},
)
def unigram_counts(scope: Scope) -> Shards:
    """One bincount per token shard, one part per shard."""
    from corpus_stats.tokens.shards import TokenStream
    from corpus_stats.tokens.stream import count_tokens

    stream = TokenStream(tokens_folder(scope))
    vocabulary = int(scope.read("corpora")["vocabulary_count"][0])

    def _compute(shard: int) -> Frames:
        counts = count_tokens(stream.shards[shard], vocabulary)
        seen = counts.nonzero()[0]
        frame = pl.DataFrame({"token_id": seen, "token_count": counts[seen]}).with_columns(shard=pl.lit(shard))
        return {"unigram_counts": frame}

    return Shards(len(stream.shards), _compute, "token shards")


def _counts_equal_tokens(scope: Scope, frames: Frames) -> list[str]:
    counted, tokens = int(frames["unigrams"]["token_count"].sum()), int(scope.read("corpora")["token_count"][0])
    return [] if counted == tokens else [f"the counts sum to {counted}, the corpus has {tokens} tokens"]


def _probabilities_sum_to_one(_: Scope, frames: Frames) -> list[str]:
    total = float(frames["unigrams"]["probability"].sum())
    return [] if abs(total - 1) < 1e-9 else [f"the probabilities sum to {total}"]


@stage(
    tables=("unigrams",),
    reads=("unigram_counts", "tokenizers"),
    settings=lambda profile: {"unseen": profile.unigrams.unseen},
    checks={
        "unigrams.counts_sum_to_corpus_tokens": _counts_equal_tokens,
        "unigrams.probabilities_sum_to_one": _probabilities_sum_to_one,
    },
    group="corpus",
    kinds={"duckdb", "parquet"},
    plots={"unigrams": previews.rank_frequency},
)
def unigrams(scope: Scope) -> Shards:
    """The shards' counts summed in DuckDB, with probability, surprisal in bits and dense rarity rank."""

    def _compute(_: int) -> Frames:
        from corpus_stats.tokens.tokenizer import token_strings

        tokenizer = load_corpus_tokenizer(scope)
        ids = list(range(int(scope.read("corpora")["vocabulary_count"][0])))
        vocabulary = pl.DataFrame({"token_id": ids, "token": token_strings(tokenizer, ids)})
        with connect_workspace(home=scope.home) as connection:
            connection.register("vocabulary", vocabulary.to_arrow())
            connection.register("unigram_counts", scope.read("unigram_counts").to_arrow())
            unseen = {"unseen": scope.profile.unigrams.unseen}
            return {"unigrams": to_polars(connection.sql(sql.load_one("staging", "unigrams").text, params=unseen))}

    return Shards(1, _compute)


def _subsets_sum_to_tokens(scope: Scope, frames: Frames) -> list[str]:
    counted, tokens = frames["subset_unigrams"]["token_count"].sum(), int(scope.read("corpora")["token_count"][0])
    if counted == tokens or not scope.profile.unigrams.by_subset:
        return []
    return [f"the counts of all subsets sum to {counted}, the corpus has {tokens} tokens"]


@stage(
    tables=("subset_unigrams",),
    reads=("corpora", "documents"),
    settings=lambda profile: {"unseen": profile.unigrams.unseen, "by_subset": profile.unigrams.by_subset},
    checks={"subset_unigrams.counts_sum_to_corpus_tokens": _subsets_sum_to_tokens},
    group="corpus",
    kinds={"numpy", "duckdb", "parquet"},
)
def subset_unigrams(scope: Scope) -> Shards:
    """Tokens counted by subset in one pass, with rarity within the subset. Empty where the profile says
    unigrams.by_subset = false."""
    if not scope.profile.unigrams.by_subset:
        return Shards(1, lambda _: {"subset_unigrams": empty_frame(TABLES["subset_unigrams"])})
    return Shards(1, lambda _: {"subset_unigrams": _subset_frame(scope)})


def _subset_frame(scope: Scope) -> pl.DataFrame:
    from corpus_stats.counts.unigrams import count_by_subset
    from corpus_stats.tokens.shards import TokenStream

    stream, vocabulary = TokenStream(tokens_folder(scope)), int(scope.read("corpora")["vocabulary_count"][0])
    documents = scope.read("documents", ["subset", "token_offset", "token_count"])
    with progress.task("subset_unigrams", stream.token_count, "tokens") as task:
        counts = count_by_subset(stream, documents, vocabulary, on_progress=task.advance)
    with connect_workspace(home=scope.home) as connection:
        connection.register("subset_counts", counts.to_arrow())
        known = {"unseen": scope.profile.unigrams.unseen, "vocabulary_size": vocabulary}
        return to_polars(connection.sql(sql.load_one("staging", "subset_unigrams").text, params=known))


@stage(
    tables=("words",),
    reads=("corpora",),
    settings=lambda profile: {"words": profile.unigrams.words},
    group="corpus",
    kinds={"polars", "parquet"},
)
def words(scope: Scope) -> Shards:
    """Words counted by subset, where the profile says unigrams.words = true; else empty."""
    from corpus_stats.counts.words import count_words

    if scope.profile.unigrams.words and not is_text(scope.profile):
        raise RequestError(f"corpus {scope.profile.corpus_id} holds token ids, not words; set unigrams.words = false.")
    texts = reader_of(scope.profile) if scope.profile.unigrams.words else []
    return Shards(1, lambda _: {"words": count_words(texts)})
