"""Offset stage: is what a checkpoint recites recited after other text, too?"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import polars as pl

from assets.corpus.paragraphs import true_paragraphs, truth_policy
from assets.corpus.text import tokens_folder
from assets.framework import model_stage
from assets.framework.stage import Frames, Scope, Shards, no_rows, stage
from assets.training import trained_checkpoints

KEPT_SHARE = 0.9
_LEAST_RECITED = 10


def unkept_offsets(scope: Scope, frames: Frames) -> list[str]:
    """Offsets at which the last checkpoint of a trained ladder keeps too little of what it recites at the start."""
    if scope.profile.training is None or scope.checkpoint_id not in trained_checkpoints(scope)[-1:]:
        return []
    full = frames["recall_by_offset"].filter(
        pl.col("context_length") == pl.col("context_length").max(), preceding_text="unrelated"
    )
    recited = full.filter("is_recited", preceding_length=0).select("paragraph_id")
    if recited.height < _LEAST_RECITED:
        return []
    kept = full.join(recited, on="paragraph_id").group_by("preceding_length").agg(pl.col("is_recited").mean())
    return [
        f"only {share:.0%} of what {scope.checkpoint_id} recites at the start of a row is recited after {length} "
        "tokens of other text; what is measured here is partly a position key"
        for length, share in kept.sort("preceding_length").iter_rows()
        if share < KEPT_SHARE
    ]


@stage(
    tables=("recall_by_offset",),
    reads=("checkpoints", "paragraphs", "scores", "scoring_precision", "documents"),
    settings=lambda profile: (
        model_stage.model_settings(profile, "offsets", "offset_paragraphs", "seed")
        | {"context_lengths": profile.context_lengths}
    ),
    spreads=True,
    outside=truth_policy,
    warnings={"recall_by_offset.a_trained_ladder_is_recited_at_every_offset": unkept_offsets},
    group="memorization",
    kinds={"pytorch", "parquet"},
)
def recall_by_offset(scope: Scope) -> Shards:
    """Recital after other text of the same corpus, and after what truly precedes the paragraph (arXiv 2505.13171)."""
    sample, size = offset_sample(scope), scope.profile.probes.shard_size
    tried = _Tried(scope)
    return Shards(
        model_stage.shard_count(sample.height, size),
        lambda shard: {"recall_by_offset": tried.frame(model_stage.shard_of(sample, shard, size))},
    )


def offset_sample(scope: Scope) -> pl.DataFrame:
    """Recited paragraphs and those nearest to recital, one per cluster: who might be recited elsewhere, but for chance.

    Returns:
        Columns of paragraphs plus exact_match, the longest match first.
    """
    probes = scope.profile.probes
    joined = true_paragraphs(scope).join(
        scope.read("scores", ["paragraph_id", "exact_match", "is_memorized"]), on="paragraph_id", maintain_order="left"
    )
    order = [hashlib.sha256(f"{probes.seed}:{name}".encode()).hexdigest() for name in joined["paragraph_id"]]
    ranked = joined.with_columns(order=pl.Series(order, dtype=pl.String)).sort("exact_match", "order", descending=True)
    one_each = ranked.unique("near_duplicate_cluster", keep="first", maintain_order=True)
    others = one_each.filter(~pl.col("is_memorized"))
    recited = one_each.filter("is_memorized")
    return pl.concat([recited, others.head(probes.offset_paragraphs if recited.height else 1)])


def unremarkable_text(scope: Scope) -> pl.DataFrame:
    """Paragraphs to stand before others: true text of clusters that are not recited; all where nearly all are.

    What is recited itself would pull the model into reciting that.

    Returns:
        Columns of paragraphs plus is_memorized, in the order of paragraphs.
    """
    scores = scope.read("scores", ["paragraph_id", "is_memorized"])
    texts = true_paragraphs(scope).join(scores, on="paragraph_id", maintain_order="left")
    recited = texts.filter("is_memorized")
    apart = texts.join(recited, on="near_duplicate_cluster", how="anti", maintain_order="left")
    return apart if apart["near_duplicate_cluster"].n_unique() > 1 else texts


class _Tried:
    """Tries paragraphs at the profile's offsets with one loaded model."""

    def __init__(self, scope: Scope) -> None:
        self.scope, self.probes = scope, scope.profile.probes
        self.prefix, self.length = scope.profile.paragraphs.prefix_length, scope.profile.paragraphs.length
        self.model = model_stage.lazy_model(scope)
        self.exact_model = model_stage.lazy_model(scope, dtype="float32")
        self.bound = max(scope.read("scoring_precision")["margin_bound"].to_list())

    def frame(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows of the table for some paragraphs."""
        frames = [no_rows("recall_by_offset")] if rows.is_empty() else []
        for offset in self._offsets():
            frames += self._at(offset, rows)
        columns = no_rows("recall_by_offset").columns
        return pl.concat([frame.select(columns) for frame in frames])

    def _at(self, offset: int, rows: pl.DataFrame) -> list[pl.DataFrame]:
        found = [self._recall(rows, self._unrelated(rows, offset), "unrelated")]
        kept, before = self._true_text(rows, offset)
        return found + ([self._recall(kept, before, "true")] if kept.height else [])

    def _recall(self, rows: pl.DataFrame, before: np.ndarray, name: str) -> pl.DataFrame:
        from probes.scoring.preceding_text import recall_after

        frame = recall_after(
            self.model(), self.exact_model, model_stage.token_matrix(rows), before, self.prefix,
            self._contexts(), self.bound, batch_size=self.probes.batch_size,
        )  # fmt: skip
        return model_stage.with_paragraph_ids(frame, rows).with_columns(preceding_text=pl.lit(name))

    def _contexts(self) -> list[int]:
        return sorted({*self.scope.profile.context_lengths, self.prefix})

    def _offsets(self) -> list[int]:
        """Offsets of the profile at which a paragraph still fits the model, 0 always."""
        longest: Any = getattr(self.model().config, "max_position_embeddings", None) or np.inf
        return sorted({0, *(offset for offset in self.probes.offsets if offset + self.length <= longest)})

    def _unrelated(self, rows: pl.DataFrame, length: int) -> np.ndarray:
        from probes.scoring.preceding_text import unrelated_text

        texts = unremarkable_text(self.scope)
        groups, wanted = (frame["near_duplicate_cluster"].to_numpy() for frame in (texts, rows))
        return unrelated_text(model_stage.token_matrix(texts), groups, wanted, length, self.probes.seed)

    def _true_text(self, rows: pl.DataFrame, length: int) -> tuple[pl.DataFrame, np.ndarray]:
        """Paragraphs before which their document holds `length` tokens, and these tokens, [paragraph, token]."""
        from corpus_stats.tokens.shards import TokenStream

        starts = self.scope.read("documents", ["document_id", "token_offset"]).rename(
            {"token_offset": "document_start"}
        )
        placed = rows.join(starts, on="document_id", how="left", maintain_order="left")
        kept = placed.filter(pl.col("token_offset") - length >= pl.col("document_start")).drop("document_start")
        if not length or kept.is_empty():
            return kept.head(0), np.empty((0, length), dtype=np.int64)
        stream = TokenStream(tokens_folder(self.scope))
        return kept, stream.windows(kept["token_offset"].to_numpy() - length, length)
