"""Unigram stages: counts by token shard, and their sum with rarity."""

from typing import Any

import dagster as dg
import polars as pl

import sql
from assets import plots
from assets.corpora import tokens_folder
from assets.execute import Shards, materialize, stage_asset
from assets.resources import Workspace
from assets.stage import Frames, Scope, Stage
from warehouse.catalog import connect_workspace
from warehouse.queries import to_polars

UNIGRAM_COUNTS = Stage(("unigram_counts",), upstream=("corpora",))


@stage_asset(UNIGRAM_COUNTS, group="corpus", kinds={"numpy", "parquet"})
def unigram_counts(context: dg.AssetExecutionContext, workspace: Workspace) -> Any:
    """One bincount per token shard, one part per shard."""
    yield from materialize(context, UNIGRAM_COUNTS, workspace.scope(context), _count_shards)


def _count_shards(scope: Scope) -> Shards:
    from corpus_stats.token_shards import TokenStream
    from corpus_stats.unigrams import count_tokens

    stream = TokenStream(tokens_folder(scope))
    vocabulary = int(scope.read("corpora")["vocabulary_count"][0])

    def compute(shard: int) -> Frames:
        counts = count_tokens(stream.shards[shard], vocabulary)
        seen = counts.nonzero()[0]
        frame = pl.DataFrame({"token_id": seen, "token_count": counts[seen]}).with_columns(shard=pl.lit(shard))
        return {"unigram_counts": frame}

    return Shards(len(stream.shards), compute, "token shards")


def _counts_equal_tokens(scope: Scope, frames: Frames) -> list[str]:
    counted, tokens = int(frames["unigrams"]["token_count"].sum()), int(scope.read("corpora")["token_count"][0])
    return [] if counted == tokens else [f"the counts sum to {counted}, the corpus has {tokens} tokens"]


def _probabilities_sum_to_one(_: Scope, frames: Frames) -> list[str]:
    total = float(frames["unigrams"]["probability"].sum())
    return [] if abs(total - 1) < 1e-9 else [f"the probabilities sum to {total}"]


UNIGRAMS = Stage(
    ("unigrams",),
    upstream=("unigram_counts", "tokenizers"),
    checks={
        "unigrams.counts_sum_to_corpus_tokens": _counts_equal_tokens,
        "unigrams.probabilities_sum_to_one": _probabilities_sum_to_one,
    },
)


@stage_asset(UNIGRAMS, group="corpus", kinds={"duckdb", "parquet"})
def unigrams(context: dg.AssetExecutionContext, workspace: Workspace) -> Any:
    """The shards' counts summed in DuckDB, with probability, surprisal in bits and dense rarity rank."""
    drawn = {"unigrams": plots.rank_frequency}
    yield from materialize(context, UNIGRAMS, workspace.scope(context), _sum_counts, drawn)


def _sum_counts(scope: Scope) -> Shards:
    def compute(_: int) -> Frames:
        from corpus_stats.tokenizer import load_tokenizer, token_strings

        tokenizer = load_tokenizer(scope.read("tokenizers")["source"][0])
        ids = list(range(int(scope.read("corpora")["vocabulary_count"][0])))
        vocabulary = pl.DataFrame({"token_id": ids, "token": token_strings(tokenizer, ids)})
        with connect_workspace() as connection:
            connection.register("vocabulary", vocabulary.to_arrow())
            connection.register("unigram_counts", scope.read("unigram_counts").to_arrow())
            return {"unigrams": to_polars(connection.sql(sql.load_one("staging", "unigrams").text))}

    return Shards(1, compute)
