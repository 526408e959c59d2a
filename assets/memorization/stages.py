"""Memorization stages: one teacher-forced pass per paragraph, and what greedy decoding writes after the divergence."""

from __future__ import annotations

import functools
from typing import Any

import polars as pl

from assets.corpus.paragraphs import true_paragraphs, truth_policy
from assets.corpus.tokenizers import load_corpus_tokenizer
from assets.figures import previews
from assets.framework import model_stage
from assets.framework.errors import RequestError
from assets.framework.stage import Frames, Scope, Shards, stage
from assets.memorization.drift import recital_holds
from probes.errors import ProbeError
from warehouse.registry import TABLES


def _one_row_per_paragraph(scope: Scope, frames: Frames) -> list[str]:
    wanted = true_paragraphs(scope).select("paragraph_id")
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


def _in_numbers(rows: pl.DataFrame) -> dict[str, float | None]:
    """Recited share, mean exact match [tokens], mean NLL of the continuation [nats per token]."""
    means = rows.select(
        recited_share=pl.col("is_memorized").cast(pl.Float64).mean(),
        exact_match_mean_tokens=pl.col("exact_match").cast(pl.Float64).mean(),
        continuation_nll_mean_nats=pl.col("continuation_nll_nats").mean(),
    )
    return means.row(0, named=True) if rows.height else {}


@stage(
    tables=("scores", "token_scores", "scoring_precision"),
    reads=("checkpoints", "paragraphs"),
    settings=model_stage.model_settings,
    spreads=True,
    outside=truth_policy,
    checks={
        "scores.every_paragraph_is_scored": _one_row_per_paragraph,
        "scores.exact_match_agrees_with_token_scores": _match_agrees_with_argmax,
    },
    group="memorization",
    kinds={"pytorch", "parquet"},
    plots={"scores": previews.exact_match_histogram},
    numbers={"scores": _in_numbers},
    warnings={"scores.recital_holds_against_the_checkpoint_before": recital_holds},
)
def scores(scope: Scope) -> Shards:
    """Leading exact match under teacher forcing, which equals greedy decoding (docs/method.md)."""
    scorer, paragraphs = Scorer(scope), true_paragraphs(scope)
    size = scope.profile.probes.shard_size
    if paragraphs.is_empty() and (count := scope.read("paragraphs", ["paragraph_id"]).height):
        raise RequestError(
            f"a model wrote the continuations of all {count} paragraphs of corpus {scope.profile.corpus_id}, so there "
            "is no truth to score against; import paragraphs with the corpus' own continuations."
        )

    def _compute(shard: int) -> Frames:
        rows = model_stage.shard_of(paragraphs, shard, size)
        result = scorer.score(rows)
        return {
            "scores": _with_zlib_ratio(rows, result.scores.paragraphs),
            "token_scores": model_stage.with_paragraph_ids(result.scores.tokens, rows),
            "scoring_precision": scorer.precision(shard, result),
        }

    return Shards(model_stage.shard_count(paragraphs.height, size), _compute)


class Scorer:
    """Scores in the profile's precision; what half precision leaves in doubt, in float32 as well."""

    def __init__(self, scope: Scope) -> None:
        self.scope, self.prefix = scope, scope.profile.paragraphs.prefix_length
        self.batch_size = scope.profile.probes.batch_size
        self.model, self.exact_model = model_stage.lazy_model(scope), model_stage.lazy_model(scope, dtype="float32")

    @functools.cached_property
    def margin_bound(self) -> float:
        """Measured on the same paragraphs whichever shard asks, so that every shard has the same bound."""
        from probes.scoring.half_precision import CALIBRATION_ROWS, measure_margin_bound

        sample = model_stage.token_matrix(true_paragraphs(self.scope).head(CALIBRATION_ROWS))
        return measure_margin_bound(self.model(), self.exact_model, sample, self.prefix, batch_size=self.batch_size)

    def score(self, rows: pl.DataFrame) -> Any:
        """Scores of some paragraphs, as `score_with_rescoring` gives them."""
        from probes.forward.inputs import NonFiniteScore
        from probes.scoring.half_precision import score_with_rescoring

        try:
            return score_with_rescoring(
                self.model(), self.exact_model, model_stage.token_matrix(rows), self.prefix,
                margin_bound=self.margin_bound, batch_size=self.batch_size,
            )  # fmt: skip
        except NonFiniteScore as error:
            raise ProbeError(
                f"checkpoint {self.scope.checkpoint_id} gives no finite probability to position {error.position} of "
                f"paragraph {rows['paragraph_id'][error.row]}; look for NaN in its weights, or score in float32."
            ) from error

    def precision(self, shard: int, result: Any) -> pl.DataFrame:
        """The row of `scoring_precision` that goes with a shard."""
        facts = {"shard": shard, "dtype": self.scope.profile.probes.dtype, "margin_bound": result.margin_bound}
        counts = {"rescored_count": result.rescored_count, "flipped_count": result.flipped_count}
        return pl.DataFrame([facts | counts | {"paragraph_count": result.scores.paragraphs.height}])


def _with_zlib_ratio(rows: pl.DataFrame, scored: pl.DataFrame) -> pl.DataFrame:
    """Scores with paragraph ids and the zlib ratio of the texts."""
    from probes.scoring.teacher_forced import zlib_byte_counts

    sizes = pl.Series("compressed", zlib_byte_counts(rows["text"].to_list()), dtype=pl.Int64)
    frame = pl.concat([rows.select("paragraph_id"), scored], how="horizontal")
    return frame.with_columns(zlib_ratio=pl.col("window_nll_nats") / sizes)


@stage(
    tables=("extractability",),
    reads=("checkpoints", "paragraphs", "scores", "scoring_precision"),
    settings=lambda profile: model_stage.model_settings(profile) | {"context_lengths": profile.context_lengths},
    spreads=True,
    outside=truth_policy,
    group="memorization",
    kinds={"pytorch", "parquet"},
)
def extractability(scope: Scope) -> Shards:
    """k-extractability (Carlini et al. 2023): recital after the last k tokens of the prefix."""
    model, exact_model = model_stage.lazy_model(scope), model_stage.lazy_model(scope, dtype="float32")
    known = scope.read("scores", ["paragraph_id", "exact_match", "is_memorized", "top2_margin"])
    paragraphs = true_paragraphs(scope).join(known, on="paragraph_id", maintain_order="left")
    bound = max(scope.read("scoring_precision")["margin_bound"].to_list())
    size, prefix = scope.profile.probes.shard_size, scope.profile.paragraphs.prefix_length
    shorter = [length for length in scope.profile.context_lengths if length < prefix]

    def _compute(shard: int) -> Frames:
        from probes.scoring.half_precision import extractable_with_rescoring

        rows = model_stage.shard_of(paragraphs, shard, size)
        frames = [_known_extractability(rows, prefix)] if prefix in scope.profile.context_lengths else []
        if shorter:
            measured = extractable_with_rescoring(
                model(), exact_model, model_stage.token_matrix(rows), prefix, shorter, bound,
                batch_size=scope.profile.probes.batch_size,
            )  # fmt: skip
            frames.append(model_stage.with_paragraph_ids(measured, rows))
        names = [column.name for column in TABLES["extractability"].columns if column.name != "checkpoint_id"]
        return {"extractability": pl.concat([frame.select(names) for frame in frames])}

    return Shards(model_stage.shard_count(paragraphs.height, size), _compute)


def _known_extractability(rows: pl.DataFrame, prefix: int) -> pl.DataFrame:
    """With the whole prefix as context extractability is memorization, which `scores` holds."""
    return rows.with_columns(context_length=pl.lit(prefix, dtype=pl.Int32), is_extractable=pl.col("is_memorized"))


@stage(
    tables=("generations",),
    reads=("checkpoints", "paragraphs", "scores"),
    settings=model_stage.model_settings,
    spreads=True,
    outside=truth_policy,
    group="memorization",
    kinds={"pytorch", "parquet"},
)
def generations(scope: Scope) -> Shards:
    """Greedy decoding from the divergence on, for paragraphs that are not recited to the end."""
    from probes.scoring.generation import generate_continuations

    model, tokenizer = model_stage.lazy_model(scope), load_corpus_tokenizer(scope)
    matches = scope.read("scores", ["paragraph_id", "exact_match"])
    paragraphs = true_paragraphs(scope).join(matches, on="paragraph_id", maintain_order="left")
    size, prefix = scope.profile.probes.shard_size, scope.profile.paragraphs.prefix_length

    def _compute(shard: int) -> Frames:
        rows = model_stage.shard_of(paragraphs, shard, size)
        frame = generate_continuations(model(), model_stage.token_matrix(rows), rows["exact_match"].to_list(), prefix)
        written = frame["generated_ids"].to_list()
        # An empty batch would be read as one empty text.
        texts = tokenizer.batch_decode(written, clean_up_tokenization_spaces=False) if written else []
        frame = frame.with_columns(generated_text=pl.Series(texts, dtype=pl.String))
        return {"generations": model_stage.with_paragraph_ids(frame, rows)}

    return Shards(model_stage.shard_count(paragraphs.height, size), _compute)
