"""Recital scores: everything the field reports, from one teacher-forced pass.

Under teacher forcing the first position where the argmax differs from the truth is the first position where greedy
decoding differs, because until then both have read the same context (P1, arXiv 2403.19851, section 3.2, defines
exact match). So exact match costs one forward pass, not one per continuation token.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from probes.errors import ProbeError
from probes.forward.batches import in_batches
from probes.forward.fused import fused
from probes.forward.inputs import NonFiniteScore, as_paragraphs, refuse_unreadable, require_at_least
from probes.forward.unembedding import TokenFacts, hidden_states, refuse_unusual_head, token_facts

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

__all__ = ["NonFiniteScore", "Scores", "em_bin", "leading_match", "score_paragraphs", "zlib_byte_counts"]

# Upper ends of the first two bins of P1 (section 3.2) for continuations of 50 tokens.
BIN_ENDS_OF_50 = (10, 29)
MIN_K_SHARE = 0.2


@dataclass(frozen=True)
class Scores:
    """Scores of a shard: `paragraphs` has one row per paragraph in input order, `tokens` one per row and position."""

    paragraphs: pl.DataFrame
    tokens: pl.DataFrame


def leading_match(predicted: Tensor, truth: Tensor) -> Tensor:
    """Number of leading positions where `predicted` equals `truth`.

    Args:
        predicted: token ids, [paragraph, position].
        truth: token ids, [paragraph, position].

    Returns:
        Counts in 0..position, [paragraph], int64.
    """
    return (predicted == truth).long().cumprod(dim=1).sum(dim=1)


def em_bin(exact_match: int, continuation_length: int = 50) -> str:
    """Name of the bin an exact match falls in: 0-10, 11-29, 30-49 or 50 for continuations of 50 tokens (P1).

    For other lengths the upper ends keep their share of the continuation, rounded down (for 32: 0-6, 7-18, 19-31,
    32); the last bin is always the whole continuation. Very short continuations have fewer bins.

    Raises:
        ProbeError: exact_match is not in 0..continuation_length.
    """
    if not 0 <= exact_match <= continuation_length:
        raise ProbeError(f"exact match {exact_match} is not in 0..{continuation_length}.")
    if exact_match == continuation_length:
        return str(continuation_length)
    low = 0
    for high in (*(end * continuation_length // 50 for end in BIN_ENDS_OF_50), continuation_length - 1):
        if exact_match <= high:
            return f"{low}-{high}"
        low = max(low, high + 1)
    raise AssertionError("the last bin ends one below the continuation length")


def zlib_byte_counts(texts: Sequence[str]) -> list[int]:
    """Bytes each text compresses to with zlib at its default level: the zlib entropy of Carlini et al. 2021."""
    return [len(zlib.compress(text.encode("utf-8", errors="surrogatepass"))) for text in texts]


def score_paragraphs(
    model: PreTrainedModel,
    token_ids: Any,
    prefix_length: int = 50,
    *,
    batch_size: int = 32,
    tile: int = 1024,
    texts_bytes: Sequence[int] | None = None,
) -> Scores:
    """Score every paragraph with one teacher-forced pass over all tokens but the last.

    The numbers of a row depend on nothing but the model, the rows of its batch and the machine; batches are cut at
    multiples of `batch_size`, so the same shard gives the same bits every time.

    Args:
        model: causal language model in eval mode.
        token_ids: integers, [paragraph, position]; prefix then continuation, no padding.
        prefix_length: tokens of the prefix, at least 2.
        batch_size: paragraphs per forward pass; fewer on a processor (`in_batches`), and half as many whenever
            memory runs out.
        tile: tokens to which the output head is applied together, a stretch of the vocabulary at a time.
        texts_bytes: bytes each paragraph's text compresses to (`zlib_byte_counts`), [paragraph]; adds `zlib_ratio`.

    Returns:
        `paragraphs` with the columns of the table `scores` (without zlib_ratio where `texts_bytes` is not given) and
        window_nll_nats, the mean over positions 1..; `tokens` with row, position and the columns of `token_scores`.

    Raises:
        ProbeError: before any work, when the ids are no paragraphs this model can read.
        NonFiniteScore: a probability is NaN or zero; names the row.
    """
    require_at_least(1, batch_size=batch_size, tile=tile)
    require_at_least(2, prefix_length=prefix_length)  # the NLL of the prefix needs one token with a context
    ids = as_paragraphs(token_ids, longer_than=prefix_length)
    refuse_unreadable(model, ids, read_length=ids.shape[1] - 1)
    if texts_bytes is not None and (len(texts_bytes) != len(ids) or min(texts_bytes, default=1) < 1):
        raise ProbeError(
            f"texts_bytes has {len(texts_bytes)} sizes for {len(ids)} paragraphs; give each a positive one."
        )
    tokens = _token_frame(ids, list(_batches(model, ids, batch_size, tile)))
    return Scores(_paragraph_frame(tokens, ids.shape, prefix_length, texts_bytes), tokens.drop("z"))


def _batches(model: PreTrainedModel, ids: Tensor, batch_size: int, tile: int) -> Iterator[dict[str, np.ndarray]]:
    """Columns of `tokens` batch by batch, each [paragraph, position - 1]."""
    import torch

    def _score(start: int, stop: int) -> dict[str, np.ndarray]:
        batch = ids[start:stop].to(model.device)
        hidden = hidden_states(model, batch[:, :-1])
        facts = token_facts(model, hidden.flatten(0, 1), batch[:, 1:].flatten(), tile)
        return _checked_columns(facts, (len(batch), ids.shape[1] - 1), start)

    with torch.inference_mode():
        if len(ids):
            refuse_unusual_head(model, ids)
        with fused(model):
            yield from in_batches(len(ids), batch_size, ids.shape[1] - 1, model.device, _score)


def _checked_columns(facts: TokenFacts, shape: tuple[int, int], first_row: int) -> dict[str, np.ndarray]:
    """Arrays of a batch, [paragraph, position - 1]; z is log p standardised by its distribution (min-k %++)."""
    z = (facts.logprob_nats - facts.logprob_mean) / facts.logprob_deviation.clamp_min(1e-6)
    columns = {
        "nll_nats": -facts.logprob_nats,
        "argmax_id": facts.argmax_id.int(),
        "entropy_nats": -facts.logprob_mean,
        "margin": facts.margin,
        "z": z,
    }
    arrays = {name: value.cpu().numpy().reshape(shape) for name, value in columns.items()}
    broken = np.argwhere(~np.isfinite(arrays["nll_nats"] + arrays["entropy_nats"] + arrays["z"]))
    if len(broken):
        raise NonFiniteScore(first_row + int(broken[0][0]), int(broken[0][1]) + 1)
    return arrays


_TOKEN_SCHEMA = pl.Schema(
    {
        "row": pl.UInt32,
        "position": pl.Int32,
        "token_id": pl.Int32,
        "nll_nats": pl.Float32,
        "argmax_id": pl.Int32,
        "entropy_nats": pl.Float32,
        "margin": pl.Float32,
        "z": pl.Float32,
    }
)


def _token_frame(ids: Tensor, batches: list[dict[str, np.ndarray]]) -> pl.DataFrame:
    """One row per paragraph and position from 1, in that order."""
    rows, positions = ids.shape[0], ids.shape[1] - 1
    columns: dict[str, np.ndarray] = {
        "row": np.repeat(np.arange(rows, dtype=np.uint32), positions),
        "position": np.tile(np.arange(1, positions + 1, dtype=np.int32), rows),
        "token_id": ids[:, 1:].numpy().astype(np.int32).ravel(),
    }
    for name in _TOKEN_SCHEMA.keys() - columns.keys():
        columns[name] = np.concatenate([batch[name].ravel() for batch in batches]) if batches else np.empty(0)
    return pl.DataFrame({name: columns[name] for name in _TOKEN_SCHEMA}).cast(_TOKEN_SCHEMA)


def _paragraph_frame(
    tokens: pl.DataFrame, shape: tuple[int, ...], prefix_length: int, texts_bytes: Sequence[int] | None
) -> pl.DataFrame:
    """One row per paragraph from the token rows; sums in float64."""
    rows, length = shape
    table = {name: tokens[name].to_numpy().reshape(rows, length - 1) for name in tokens.columns}
    continuation = slice(prefix_length - 1, None)  # column c of the table is position c + 1
    logprob = -table["nll_nats"].astype(np.float64)
    hits = table["argmax_id"][:, continuation] == table["token_id"][:, continuation]
    match = hits.cumprod(axis=1).sum(axis=1)
    size = length - prefix_length
    columns: dict[str, Any] = {
        "exact_match": match.astype(np.int32),
        "em_bin": [em_bin(int(count), size) for count in match],
        "is_memorized": match == size,
        "continuation_nll_nats": -logprob[:, continuation].mean(axis=1),
        "prefix_nll_nats": -logprob[:, : prefix_length - 1].mean(axis=1),
        "continuation_logprob_nats": logprob[:, continuation].sum(axis=1),
        "min_k20_nats": _mean_of_lowest(logprob),
        "min_k_plus_plus": _mean_of_lowest(table["z"].astype(np.float64)),
        "is_rescored": np.zeros(rows, dtype=bool),
        "top2_margin": _margin_until_divergence(table["margin"][:, continuation], match),
        "divergence_position": prefix_length + match,
        "window_nll_nats": -logprob.mean(axis=1),
    }
    if texts_bytes is not None:
        columns["zlib_ratio"] = columns["window_nll_nats"] / np.asarray(texts_bytes, dtype=np.float64)
    frame = pl.DataFrame(columns, schema_overrides={"em_bin": pl.String})
    position = pl.when(pl.col("is_memorized")).then(None).otherwise(pl.col("divergence_position"))
    return frame.with_columns(position.cast(pl.Int32).alias("divergence_position"))


def _mean_of_lowest(values: np.ndarray) -> np.ndarray:
    """Mean of the lowest 20 % of each row (at least one value), as in min-k % (Shi et al. 2024, arXiv 2310.16789)."""
    count = max(1, int(MIN_K_SHARE * values.shape[1]))
    return np.sort(values, axis=1)[:, :count].mean(axis=1)


def _margin_until_divergence(margin: np.ndarray, match: np.ndarray) -> np.ndarray:
    """Smallest margin up to and including the first miss: what a rounding error would have to bridge."""
    counted = np.arange(margin.shape[1])[None, :] <= match[:, None]
    return np.where(counted, margin, np.inf).min(axis=1).astype(np.float64)
