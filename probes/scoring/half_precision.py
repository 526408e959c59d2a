"""Half precision without its errors: rows a rounding could flip are scored again in float32.

Half precision can turn a near tie around. The smallest top-1 minus top-2 margin up to the divergence says how near a
row came to one; rows under a bound are scored again, and the bound is measured, not guessed: the largest change of
any margin on a sample scored both ways, times a safety factor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from probes.errors import ProbeError
from probes.forward.inputs import as_paragraphs
from probes.scoring.screening import extractable_at
from probes.scoring.teacher_forced import Scores, score_paragraphs

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

CALIBRATION_ROWS = 64
SAFETY = 2.0


@dataclass(frozen=True)
class RescoredScores:
    """Scores of a half-precision pass in which doubtful rows are those of float32.

    `margin_bound` is in logits; `rescored_count` rows were under it, and `flipped_count` of these had another exact
    match in float32. `missed_count` rows of the calibration sample above the bound differed; it should be 0.
    """

    scores: Scores
    margin_bound: float
    rescored_count: int
    flipped_count: int
    calibration_count: int
    missed_count: int


def score_with_rescoring(
    model: PreTrainedModel,
    exact_model: PreTrainedModel | Callable[[], PreTrainedModel],
    token_ids: Any,
    prefix_length: int = 50,
    *,
    margin_bound: float | None = None,
    **settings: Any,
) -> RescoredScores:
    """Score in half precision, then score rows whose margin is under the bound again in float32.

    Args:
        model: the checkpoint in bfloat16 or float16; one in float32 is scored as it is.
        exact_model: the same checkpoint in float32, on any device, or a function that loads it when it is needed.
        token_ids: integers, [paragraph, position].
        prefix_length: tokens of the prefix.
        margin_bound: logits, from `measure_margin_bound`; measured on the first 64 rows when it is not given.
        settings: further settings of `score_paragraphs`.

    Raises:
        ProbeError: as `score_paragraphs`, or when `exact_model` is not in float32.
    """
    ids = as_paragraphs(token_ids, longer_than=prefix_length)
    texts_bytes = settings.pop("texts_bytes", None)
    rough = score_paragraphs(model, ids, prefix_length, texts_bytes=texts_bytes, **settings)
    if is_exact(model):
        return RescoredScores(rough, 0.0, 0, 0, 0, 0)
    again = _Exact(exact_model, ids, prefix_length, texts_bytes, settings)
    sample = np.arange(min(CALIBRATION_ROWS, len(ids))) if margin_bound is None else np.empty(0, dtype=np.int64)
    known = again.score(sample)
    bound = margin_error(rough.tokens, known.tokens) * SAFETY if margin_bound is None else margin_bound
    doubtful = np.flatnonzero(rough.paragraphs["top2_margin"].to_numpy() < bound)
    exact = again.score(doubtful)
    return RescoredScores(
        scores=_replaced(rough, exact, doubtful),
        margin_bound=bound,
        rescored_count=len(doubtful),
        flipped_count=_changed(rough, exact, doubtful),
        calibration_count=len(sample),
        missed_count=_changed(rough, known, sample, outside=doubtful),
    )


def is_exact(model: PreTrainedModel) -> bool:
    """Whether a model computes in float32, the precision that exact match is defined in."""
    return str(model.dtype) == "torch.float32"


def measure_margin_bound(
    model: PreTrainedModel,
    exact_model: PreTrainedModel | Callable[[], PreTrainedModel],
    token_ids: Any,
    prefix_length: int = 50,
    **settings: Any,
) -> float:
    """The margin, in logits, under which a half-precision row is doubtful: twice the largest error on these rows.

    Args:
        model: the checkpoint in bfloat16 or float16; float32 needs no bound and gives 0.
        exact_model: the same checkpoint in float32, or a function that loads it.
        token_ids: integers, [paragraph, position]; the sample the error is measured on, 64 rows suffice.
        prefix_length: tokens of the prefix.
        settings: further settings of `score_paragraphs`.

    Raises:
        ProbeError: as `score_with_rescoring`.
    """
    if is_exact(model):
        return 0.0
    ids = as_paragraphs(token_ids, longer_than=prefix_length)
    rough = score_paragraphs(model, ids, prefix_length, **settings)
    exact = _Exact(exact_model, ids, prefix_length, None, settings).score(np.arange(len(ids)))
    return margin_error(rough.tokens, exact.tokens) * SAFETY


def extractable_with_rescoring(
    model: PreTrainedModel,
    exact_model: Callable[[], PreTrainedModel],
    token_ids: Any,
    prefix_length: int,
    context_lengths: Sequence[int],
    margin_bound: float,
    **settings: Any,
) -> pl.DataFrame:
    """`extractable_at` in which rows that half precision leaves doubtful are those of float32.

    Args:
        model: the checkpoint in any precision.
        exact_model: loads the same checkpoint in float32; called when a row is doubtful.
        token_ids: integers, [paragraph, position].
        prefix_length: tokens before the continuation that are at hand.
        context_lengths: tokens of context the model is shown.
        margin_bound: logits, from `measure_margin_bound`.
        settings: further settings of `screen_paragraphs`.

    Raises:
        ProbeError: as `extractable_at`.
    """
    ids = as_paragraphs(token_ids, longer_than=prefix_length)
    rough = extractable_at(model, ids, prefix_length, context_lengths, **settings)
    rows = rough.filter(pl.col("top2_margin") < margin_bound)["row"].unique().sort().to_numpy()
    if is_exact(model) or not len(rows):
        return rough
    exact = extractable_at(exact_model(), ids[rows], prefix_length, context_lengths, **settings)
    return _with_rows(rough, exact, rows)


@dataclass
class _Exact:
    """Scores chosen rows in float32; loads the model for the first of them."""

    model: PreTrainedModel | Callable[[], PreTrainedModel]
    ids: Tensor
    prefix_length: int
    texts_bytes: Any
    settings: dict[str, Any]

    def score(self, rows: np.ndarray) -> Scores:
        """Scores of `rows`, [row]; empty frames where none is asked for."""
        from transformers import PreTrainedModel

        if not len(rows):
            return Scores(pl.DataFrame(), pl.DataFrame())
        if not isinstance(self.model, PreTrainedModel):
            self.model = self.model()
        if not is_exact(self.model):
            raise ProbeError(f"the model to rescore with is in {self.model.dtype}; load the checkpoint in float32.")
        sizes = None if self.texts_bytes is None else [self.texts_bytes[row] for row in rows]
        return score_paragraphs(self.model, self.ids[rows], self.prefix_length, texts_bytes=sizes, **self.settings)


def margin_error(rough: pl.DataFrame, exact: pl.DataFrame) -> float:
    """Largest change of a margin between two frames of token scores of the same rows, in logits.

    Where both see the same top token the change is the difference of the margins; where they do not, half precision
    has crossed the tie and the change is their sum. Rows of `rough` beyond those of `exact` are not looked at.
    """
    if exact.is_empty():
        return 0.0
    rough = rough.head(exact.height)
    ours, theirs = rough["margin"].to_numpy().astype(np.float64), exact["margin"].to_numpy().astype(np.float64)
    same = rough["argmax_id"].to_numpy() == exact["argmax_id"].to_numpy()
    return float(np.where(same, np.abs(ours - theirs), ours + theirs).max())


def _replaced(rough: Scores, exact: Scores, rows: np.ndarray) -> Scores:
    """`rough` with the rows that were scored again put in their places."""
    if not len(rows):
        return rough
    again = exact.paragraphs.with_row_index("row").with_columns(is_rescored=pl.lit(True))
    return Scores(
        _with_rows(rough.paragraphs.with_row_index("row"), again, rows).drop("row"),
        _with_rows(rough.tokens, exact.tokens, rows),
    )


def _with_rows(rough: pl.DataFrame, exact: pl.DataFrame, rows: np.ndarray) -> pl.DataFrame:
    """Frames with a column `row`; row i of `exact` is row rows[i] of `rough`."""
    there = pl.Series("row", rows.astype(np.uint32))
    moved = exact.with_columns(there.gather(exact["row"]))
    kept = rough.filter(~pl.col("row").is_in(there.implode()))
    return pl.concat([kept, moved]).sort("row", maintain_order=True)


def _changed(rough: Scores, exact: Scores, rows: np.ndarray, outside: np.ndarray | None = None) -> int:
    """Rows whose exact match differs; `exact` holds `rows` only, and those in `outside` are not counted."""
    if not len(rows):
        return 0
    ours = rough.paragraphs["exact_match"].to_numpy()[rows]
    differs = ours != exact.paragraphs["exact_match"].to_numpy()
    return int((differs & ~np.isin(rows, [] if outside is None else outside)).sum())
