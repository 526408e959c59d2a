"""Greedy decoding: batched, with cached keys and values, only where teacher forcing does not tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from probes.errors import ProbeError
from probes.forward.batches import in_batches
from probes.forward.beginning import with_beginning
from probes.forward.body import keeps_keys
from probes.forward.inputs import as_paragraphs, refuse_unreadable, require_at_least

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

SCHEMA: dict[str, Any] = {
    "row": pl.UInt32,
    "generated_ids": pl.List(pl.Int32),
    "token_accuracy": pl.Float64,
    "levenshtein": pl.Int32,
    "rouge_l": pl.Float64,
    "bleu": pl.Float64,
}


def greedy_continuations(model: PreTrainedModel, prefixes: Any, length: int, batch_size: int = 64) -> np.ndarray:
    """Greedy continuation of each prefix, `length` tokens, equal to transformers' `generate(do_sample=False)`.

    An end-of-text token is a token like any other here: decoding goes on behind it.

    Args:
        model: causal language model in eval mode.
        prefixes: integers, [paragraph, position], no padding.
        length: tokens to write, at least 1.
        batch_size: paragraphs decoded together.

    Returns:
        Token ids, [paragraph, length], int64.

    Raises:
        ProbeError: before any work, when the prefixes cannot be read or prefix and continuation exceed the context.
    """
    import torch

    ids = as_paragraphs(prefixes, longer_than=0)
    require_at_least(1, length=length, batch_size=batch_size)
    refuse_unreadable(model, ids, read_length=ids.shape[1] + length - 1)

    def _part(start: int, stop: int) -> Tensor:
        return _decode(model, ids[start:stop], length)

    batches = in_batches(len(ids), batch_size, 1, model.device, _part)
    return torch.cat([torch.empty((0, length), dtype=torch.int64), *batches]).numpy()


def _decode(model: PreTrainedModel, known: Tensor, length: int, forced: Sequence[Tensor] = ()) -> Tensor:
    """Greedy tokens behind `known` [paragraph, position], [paragraph, length], on the CPU.

    `forced` holds one tensor per early step: the token to go on with, -1 where decoding decides, [paragraph].
    """
    import torch

    written: list[Tensor] = []
    with torch.inference_mode():
        read = with_beginning(model, known.to(model.device))
        step = _steps_with_cache(model) if keeps_keys(model, read) else _steps_without(model)
        for index in range(length):
            read = step(read)
            if index < len(forced):
                told = forced[index][:, None].to(read.device)
                read = torch.where(told >= 0, told, read)
            written.append(read)
    return torch.cat(written, dim=1).cpu()


def _steps_with_cache(model: PreTrainedModel) -> Callable[[Tensor], Tensor]:
    """A function from what was not read yet, [paragraph, position], to the next token, [paragraph, 1]."""
    cache: Any = None

    def _next(ids: Tensor) -> Tensor:
        nonlocal cache
        output = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache = output.past_key_values
        return output.logits[:, -1:].float().argmax(dim=-1)

    return _next


def _steps_without(model: PreTrainedModel) -> Callable[[Tensor], Tensor]:
    """The same, reading everything again at every step."""
    import torch

    read: list[Tensor] = []

    def _next(ids: Tensor) -> Tensor:
        read.append(ids)
        return model(input_ids=torch.cat(read, dim=1), use_cache=False).logits[:, -1:].float().argmax(dim=-1)

    return _next


def generate_continuations(
    model: PreTrainedModel, token_ids: Any, exact_match: Sequence[int], prefix_length: int = 50, batch_size: int = 64
) -> pl.DataFrame:
    """What greedy decoding writes for rows that are not recited to the end.

    Rows are ordered by exact match and decoded together from the smallest one of the batch on, so no row is padded
    and the matched tokens, which are known, are read in one pass.

    Args:
        model: causal language model in eval mode.
        token_ids: integers, [paragraph, position], prefix then true continuation.
        exact_match: leading greedy tokens equal to the truth (`score_paragraphs`), [paragraph].
        prefix_length: tokens of the prefix.
        batch_size: paragraphs decoded together.

    Returns:
        The columns of the table `generations` without its text, and `row`, by row: generated_ids (the whole
        continuation), token_accuracy, levenshtein, rouge_l, bleu.

    Raises:
        ProbeError: before any work, when the ids or the exact matches do not fit.
    """
    import torch

    require_at_least(1, prefix_length=prefix_length, batch_size=batch_size)
    ids = as_paragraphs(token_ids, longer_than=prefix_length)
    refuse_unreadable(model, ids, read_length=ids.shape[1] - 1)
    match = _checked_match(exact_match, len(ids), ids.shape[1] - prefix_length)
    rows = np.flatnonzero(match < ids.shape[1] - prefix_length)
    rows = rows[np.argsort(match[rows], kind="stable")]
    known = torch.from_numpy(prefix_length + match)

    def _part(start: int, stop: int) -> Tensor:
        batch = rows[start:stop]
        return _decode_from_divergence(model, ids[batch], known[batch], prefix_length)

    batches = in_batches(len(rows), batch_size, 1, model.device, _part)
    written = dict(zip(rows.tolist(), (whole for batch in batches for whole in batch.numpy()), strict=True))
    return _frame(written, ids[:, prefix_length:].numpy())


def _decode_from_divergence(model: PreTrainedModel, ids: Tensor, known: Tensor, prefix_length: int) -> Tensor:
    """Continuations [paragraph, position] of rows whose first `known` [paragraph] tokens are known, ascending."""
    import torch

    begin = int(known[0])
    # Rows known further than the first are told their tokens, so that no rounding can undo what scoring found.
    forced = [torch.where(known > step, ids[:, step], -1) for step in range(begin, int(known[-1]))]
    tail = _decode(model, ids[:, :begin], ids.shape[1] - begin, forced)
    return torch.cat([ids[:, prefix_length:begin], tail], dim=1)


def _checked_match(exact_match: Sequence[int], rows: int, longest: int) -> np.ndarray:
    match = np.asarray(exact_match)
    if match.shape != (rows,) or (rows and not np.issubdtype(match.dtype, np.integer)):
        raise ProbeError(f"exact matches have shape {match.shape} for {rows} paragraphs; give one integer each.")
    if rows and (match.min() < 0 or match.max() > longest):
        raise ProbeError(f"exact matches reach from {match.min()} to {match.max()}, outside 0..{longest}.")
    return match.astype(np.int64)


def _frame(written: dict[int, np.ndarray], truth: np.ndarray) -> pl.DataFrame:
    """Generated ids and their likeness to the truth [paragraph, position], by row."""
    records = [
        {"row": row, "generated_ids": written[row].tolist(), **likeness(written[row], truth[row])}
        for row in sorted(written)
    ]
    return pl.DataFrame(records, schema=SCHEMA)


def likeness(generated: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """How alike two token sequences of equal length are.

    Token accuracy is the share of positions with the same token (P2, arXiv 2501.05078); Levenshtein counts edits
    of tokens; ROUGE-L is the F-measure of the longest common subsequence (Lin 2004), which for equal lengths is its
    share of the length; BLEU is sacrebleu's sentence BLEU-4 with exponential smoothing, in 0..1.

    Args:
        generated: token ids, [position].
        truth: token ids, [position].
    """
    from rapidfuzz.distance import LCSseq, Levenshtein

    ours, theirs = generated.tolist(), truth.tolist()
    return {
        "token_accuracy": float((generated == truth).mean()),
        "levenshtein": Levenshtein.distance(ours, theirs),
        "rouge_l": LCSseq.similarity(ours, theirs) / len(theirs),
        "bleu": _bleu(ours, theirs),
    }


def _bleu(generated: list[int], truth: list[int]) -> float:
    """Sentence BLEU of ids written as words, so that no tokenization is done to them."""
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(tokenize="none", effective_order=True, smooth_method="exp")
    score = metric.sentence_score(" ".join(map(str, generated)), [" ".join(map(str, truth))])
    return score.score / 100
