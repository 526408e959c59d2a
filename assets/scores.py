"""Memorization stages: one teacher-forced pass per paragraph, and what greedy decoding writes after the divergence."""

import zlib
from typing import Any

import dagster as dg
import polars as pl

from assets import models, plots
from assets.execute import Shards, materialize, stage_asset
from assets.resources import Workspace
from assets.stage import Frames, Scope, Stage


def _one_row_per_paragraph(scope: Scope, frames: Frames) -> list[str]:
    wanted = scope.read("paragraphs", ["paragraph_id"])
    missing = wanted.join(frames["scores"], on="paragraph_id", how="anti")["paragraph_id"].to_list()
    return [f"paragraph {name} has no score" for name in missing]


def _match_agrees_with_argmax(scope: Scope, frames: Frames) -> list[str]:
    """Recount exact_match from token_scores: two tables of one pass must tell the same story."""
    prefix = scope.profile.paragraphs.prefix_length
    tokens = frames["token_scores"].filter(pl.col("position") >= prefix)
    missed = (
        tokens.filter(pl.col("token_id") != pl.col("argmax_id"))
        .group_by("paragraph_id")
        .agg(first=pl.col("position").min())
    )
    joined = frames["scores"].join(missed, on="paragraph_id", how="left")
    expected = pl.col("first").fill_null(scope.profile.paragraphs.length) - prefix
    return [
        f"paragraph {n} has another exact_match"
        for n in joined.filter(pl.col("exact_match") != expected)["paragraph_id"]
    ]


SCORES = Stage(
    ("scores", "token_scores"),
    upstream=("checkpoints", "paragraphs"),
    settings=models.model_settings,
    checks={
        "scores.every_paragraph_is_scored": _one_row_per_paragraph,
        "scores.exact_match_agrees_with_token_scores": _match_agrees_with_argmax,
    },
)


@stage_asset(SCORES, group="memorization", kinds={"pytorch", "parquet"})
def scores(context: dg.AssetExecutionContext, workspace: Workspace) -> Any:
    """Leading exact match under teacher forcing, which equals greedy decoding (docs/method.md)."""
    drawn = {"scores": plots.exact_match_histogram}
    yield from materialize(context, SCORES, workspace.scope(context), _score_shards, drawn)


def _score_shards(scope: Scope) -> Shards:
    from probes.scoring import score_paragraphs

    model, paragraphs = models.load_scoped_model(scope), scope.read("paragraphs")
    size, prefix = scope.profile.probes.shard_size, scope.profile.paragraphs.prefix_length

    def compute(shard: int) -> Frames:
        rows = models.shard_of(paragraphs, shard, size)
        result = score_paragraphs(model, models.token_matrix(rows), prefix, batch_size=scope.profile.probes.batch_size)
        frame = pl.concat([rows.select("paragraph_id", "text"), result.paragraphs], how="horizontal")
        compressed = pl.col("text").map_elements(lambda t: len(zlib.compress(t.encode())), return_dtype=pl.Int64)
        frame = frame.with_columns(zlib_ratio=pl.col("window_nll_nats") / compressed)
        return {"scores": frame, "token_scores": models.with_paragraph_ids(result.tokens, rows)}

    return Shards(models.shard_count(paragraphs.height, size), compute)


GENERATIONS = Stage(("generations",), upstream=("checkpoints", "paragraphs", "scores"), settings=models.model_settings)


@stage_asset(GENERATIONS, group="memorization", kinds={"pytorch", "parquet"})
def generations(context: dg.AssetExecutionContext, workspace: Workspace) -> Any:
    """Greedy decoding from the divergence on, for paragraphs that are not recited to the end."""
    yield from materialize(context, GENERATIONS, workspace.scope(context), _generation_shards)


def _generation_shards(scope: Scope) -> Shards:
    from corpus_stats.tokenizer import load_tokenizer
    from probes.generation import generate_continuations

    model, tokenizer = models.load_scoped_model(scope), load_tokenizer(scope.read("tokenizers")["source"][0])
    matches = scope.read("scores", ["paragraph_id", "exact_match"])
    paragraphs = scope.read("paragraphs").join(matches, on="paragraph_id", maintain_order="left")
    size, prefix = scope.profile.probes.shard_size, scope.profile.paragraphs.prefix_length

    def compute(shard: int) -> Frames:
        rows = models.shard_of(paragraphs, shard, size)
        frame = generate_continuations(model, models.token_matrix(rows), rows["exact_match"].to_list(), prefix)
        texts = tokenizer.batch_decode(frame["generated_ids"].to_list(), clean_up_tokenization_spaces=False)
        frame = frame.with_columns(generated_text=pl.Series(texts, dtype=pl.String))
        return {"generations": models.with_paragraph_ids(frame, rows)}

    return Shards(models.shard_count(paragraphs.height, size), compute)
