"""Effect of one changed prefix token on the continuation (P1: Stoehr et al. 2024, arXiv 2403.19851, section 4).

P1 draws one uniformly random replacement per position and decodes the whole continuation for each. Here the
continuation is read by teacher forcing, which gives the same exact match, and every edit starts from the keys and
values of the unchanged tokens before it: 3725 instead of 4950 token positions for 49 edits of a 50-token prefix with
50 continuation tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from probes.errors import ProbeError
from probes.forward.batches import in_batches
from probes.forward.beginning import lead
from probes.forward.fused import fused
from probes.forward.inputs import as_paragraphs
from probes.forward.unembedding import refuse_unusual_head
from probes.perturbation.passes import (
    Branches,
    Context,
    edited_prefixes,
    plausible_choices,
    read_context,
    second_choices,
)
from probes.perturbation.plan import Plan, Swept, check_excluded, check_request, readable_token_count
from probes.perturbation.policies import POLICIES, Policy, Pools, draw_replacements, frequency_bins
from probes.scoring.generation import greedy_continuations

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

__all__ = ["POLICIES", "Policy", "minimal_perturbations", "pmp_continuations", "sweep"]

SCHEMA: dict[str, Any] = {
    "row": pl.UInt32,
    "position": pl.Int32,
    "policy": pl.String,
    "draw": pl.Int32,
    "original_id": pl.Int32,
    "replacement_id": pl.Int32,
    "exact_match": pl.Int32,
    "em_drop": pl.Int32,
    "nll_nats": pl.Float64,
    "delta_nll_nats": pl.Float64,
    "divergence_position": pl.Int32,
}


def sweep(
    model: PreTrainedModel,
    token_ids: Any,
    reference_ids: Any,
    *,
    positions: Sequence[int] | None = None,
    policy: Policy = "uniform",
    draws: int = 1,
    seed: int,
    prefix_length: int = 50,
    token_counts: np.ndarray | None = None,
    excluded_ids: Sequence[int] = (),
    batch_size: int = 32,
    tile: int = 1024,
) -> pl.DataFrame:
    """Change each prefix token in turn and measure what is left of the continuation.

    Replacements are seeded by (seed, content of the prefix): they depend neither on batching nor on which other
    paragraphs or positions are swept.

    Args:
        model: causal language model of transformers.
        token_ids: [paragraph, position], of which the first `prefix_length` are used.
        reference_ids: the continuation the unchanged prefix leads to, [paragraph, continuation]: the true one for
            memorized paragraphs, the model's own greedy one for others.
        positions: prefix positions to change, 0-based; all but position 0 if not given.
        policy: uniform (any other token), frequency_matched (a token of the same octave of corpus count),
            plausible (another token, drawn from what the model expects there), second_choice (the model's most likely
            other token; draw d takes the d-th) or deletion.
        draws: replacements per position.
        seed: seed of the random policies.
        prefix_length: tokens of the prefix.
        token_counts: occurrences in the corpus, [token]; for frequency_matched.
        excluded_ids: never put into a paragraph by a policy: special ids, and rows that no tokenizer gives.
        batch_size: sequences per forward pass; fewer on a processor (`in_batches`). Neighbouring positions of few
            paragraphs fill a pass together.
        tile: tokens whose logits are held at a time.

    Returns:
        One row per paragraph, position and draw, in that order: row, position, policy, draw, original_id,
        replacement_id (null for deletion), exact_match, em_drop, nll_nats, delta_nll_nats, divergence_position (null
        where nothing differs; prefix_length + exact_match otherwise).

    Raises:
        ProbeError: before any work, when the request cannot be met; or a probability is not finite.
    """
    import torch

    prefix = as_paragraphs(token_ids, longer_than=0)[:, :prefix_length]
    reference = as_paragraphs(reference_ids, longer_than=0)
    places = range(1, prefix_length) if positions is None else positions
    plan = Plan(
        policy, tuple(places), draws, seed, prefix_length, tile, batch_size, reference.shape[1],
        tuple(map(int, excluded_ids)),
    )  # fmt: skip
    check_excluded(model, plan)
    pools = _pools(model, policy, token_counts, excluded_ids)
    check_request(model, plan, prefix, reference, pools)

    def _measure(start: int, stop: int) -> Swept:
        rows = slice(start, stop)
        return _sweep_batch(model, plan, pools, prefix[rows].to(model.device), reference[rows].to(model.device))

    with torch.inference_mode():
        if len(prefix):
            refuse_unusual_head(model, prefix)
        length = (prefix_length + reference.shape[1]) * draws
        with fused(model):
            pieces = list(in_batches(len(prefix), max(1, batch_size // draws), length, model.device, _measure))
    return _finite(_frame(plan, prefix.numpy(), reference.shape[1], pieces))


def _finite(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame, or a refusal: a NaN would go on as a number."""
    broken = frame.filter(~(pl.col("nll_nats").is_finite() & pl.col("delta_nll_nats").is_finite()))
    if broken.height:
        row, position = broken.select("row", "position").row(0)
        raise ProbeError(
            f"with position {position} of paragraph {row} changed the model gives no finite probabilities; look for "
            "NaN in the weights, or measure in float32."
        )
    return frame


def _pools(
    model: PreTrainedModel, policy: Policy, token_counts: np.ndarray | None, excluded_ids: Sequence[int]
) -> Pools | None:
    """Candidates of the random policies; the others need none."""
    if policy == "uniform":
        return Pools.of_bins(np.zeros(readable_token_count(model), dtype=np.int64), excluded_ids)
    if policy == "frequency_matched":
        if token_counts is None:
            raise ProbeError("policy frequency_matched needs the corpus count of every token; give token_counts.")
        unknown = range(readable_token_count(model), len(token_counts))  # counted, but the model has no row for them
        excluded = [token_id for token_id in (*excluded_ids, *unknown) if token_id < len(token_counts)]
        return Pools.of_bins(frequency_bins(token_counts), excluded)
    return None


def _sweep_batch(model: PreTrainedModel, plan: Plan, pools: Pools | None, prefix: Tensor, reference: Tensor) -> Swept:
    """All edits of a few paragraphs; [row, position] prefix and [row, continuation] reference ids on the device."""
    context = read_context(model, prefix, reference, plan.tile)
    if plan.policy == "second_choice":
        replacements = second_choices(model, context, prefix, plan.draws, plan.tile, plan.excluded_ids)
    elif plan.policy == "plausible":
        replacements = plausible_choices(model, context, prefix, plan.draws, plan.seed, plan.excluded_ids)
    else:
        replacements = _drawn(plan, pools, prefix)
    exact_match, nll_nats = _match_edits(model, plan, context, prefix, replacements, reference)
    kept = replacements[:, list(plan.positions)].cpu().numpy()
    return Swept(kept, exact_match, nll_nats, context.match.nll_nats.cpu().numpy())


def _match_edits(
    model: PreTrainedModel, plan: Plan, context: Context, prefix: Tensor, replacements: Tensor, reference: Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Exact match and NLL of every edit, each [row, position, draw]; positions from the last to the first."""
    removes = plan.policy == "deletion"
    shape = (len(plan.positions), plan.draws, len(prefix))
    exact_match, nll_nats = np.empty(shape, dtype=np.int32), np.empty(shape)
    group = plan.group_size(len(prefix), prefix.device.type)
    length = lead(model) + prefix.shape[1] - removes + reference.shape[1] - 1
    branches = Branches(context, group * plan.draws, length)
    order = np.argsort(plan.positions)[::-1]
    for chosen in (order[start : start + group] for start in range(0, len(order), group)):
        places = tuple(plan.positions[index] for index in chosen)
        edited = edited_prefixes(prefix, places, None if removes else replacements)
        # Where the last token is deleted the one before it runs once more: its output predicts the continuation.
        reused = min(*places, edited.shape[1] - 1)
        found = branches.match(model, edited, reference, reused, plan.tile)
        numbers = (values.view(len(chosen), plan.draws, -1).cpu().numpy() for values in found)
        exact_match[chosen], nll_nats[chosen] = numbers
    return exact_match.transpose(2, 0, 1), nll_nats.transpose(2, 0, 1)


def _drawn(plan: Plan, pools: Pools | None, prefix: Tensor) -> Tensor:
    """Replacements of a random policy, [row, position, draw]; -1 for a deletion."""
    import torch

    if pools is None:
        return torch.full((*prefix.shape, 1), -1, device=prefix.device)
    drawn = [draw_replacements(ids, pools, plan.draws, plan.seed) for ids in prefix.cpu().numpy()]
    return torch.from_numpy(np.stack(drawn)).to(prefix.device)


def _frame(plan: Plan, prefix: np.ndarray, continuation_length: int, pieces: list[Swept]) -> pl.DataFrame:
    """One row per paragraph, position and draw, in that order."""
    if not pieces:
        return pl.DataFrame(schema=SCHEMA)
    shape = (len(prefix), len(plan.positions), plan.draws)
    row, position, draw = np.indices(shape)
    exact_match = np.concatenate([piece.exact_match for piece in pieces])
    nll_nats = np.concatenate([piece.nll_nats for piece in pieces])
    unchanged = np.concatenate([piece.unchanged_nll_nats for piece in pieces])
    columns = {
        "row": row,
        "position": np.array(plan.positions)[position],
        "draw": draw,
        "original_id": np.repeat(prefix[:, list(plan.positions), None], plan.draws, axis=2),
        "replacement_id": np.concatenate([piece.replacement_ids for piece in pieces]),
        "exact_match": exact_match,
        "em_drop": continuation_length - exact_match,
        "nll_nats": nll_nats,
        "delta_nll_nats": nll_nats - unchanged[:, None, None],
        "divergence_position": np.where(exact_match < continuation_length, plan.prefix_length + exact_match, -1),
    }
    frame = pl.DataFrame({name: values.ravel() for name, values in columns.items()})
    return frame.with_columns(
        pl.lit(plan.policy).alias("policy"),
        *(pl.col(name).replace(-1, None) for name in ("replacement_id", "divergence_position")),
    ).select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())


def minimal_perturbations(frame: pl.DataFrame) -> pl.DataFrame:
    """Per paragraph the change that leaves the least of the continuation (P1 section 4).

    Args:
        frame: what `sweep` returns, of one policy or several.

    Returns:
        Same columns, one row per paragraph: lowest exact_match; on ties the earliest position, then the lowest draw,
        then the policy's name.
    """
    order = ["row", "exact_match", "position", "draw", "policy"]
    return frame.sort(order).unique("row", keep="first", maintain_order=True)


def pmp_continuations(
    model: PreTrainedModel,
    token_ids: Any,
    reference_ids: Any,
    minimal: pl.DataFrame,
    *,
    prefix_length: int = 50,
    batch_size: int = 32,
) -> pl.DataFrame:
    """What the model writes after each minimal perturbation: the perturbed memorized paragraph (PMP) of P1.

    Args:
        model: causal language model of transformers.
        token_ids: [paragraph, position], as given to `sweep`.
        reference_ids: [paragraph, continuation], as given to `sweep`.
        minimal: what `minimal_perturbations` returns; its `row` indexes the two arrays.
        prefix_length: tokens of the prefix.
        batch_size: sequences decoded together.

    Returns:
        One row per row of `minimal`: row, position, policy, draw, original_id, replacement_id, exact_match,
        prefix_ids (the perturbed prefix), generated_ids (greedy, as long as the reference), impact_position (the
        first changed continuation position, counted in the unchanged paragraph; null where nothing changed),
        impact_reference_id and impact_id (the token there before and after).

    Raises:
        ProbeError: the arrays are no token ids or too short.
    """
    prefix = as_paragraphs(token_ids, longer_than=0)[:, :prefix_length]
    reference = as_paragraphs(reference_ids, longer_than=0)
    edited = [_edited_prefix(prefix[record["row"]], record) for record in minimal.iter_rows(named=True)]
    generated: dict[int, list[int]] = {}
    for length in sorted({len(ids) for ids in edited}):  # deletions are one token shorter
        rows = [index for index, ids in enumerate(edited) if len(ids) == length]
        written = greedy_continuations(model, [edited[row] for row in rows], reference.shape[1], batch_size)
        generated.update(zip(rows, written.tolist(), strict=True))
    return _pmp_frame(minimal, reference, edited, [generated[index] for index in range(len(edited))], prefix_length)


def _edited_prefix(prefix: Tensor, record: dict[str, Any]) -> list[int]:
    ids, position = prefix.tolist(), record["position"]
    new = [] if record["replacement_id"] is None else [record["replacement_id"]]
    return ids[:position] + new + ids[position + 1 :]


def _pmp_frame(
    minimal: pl.DataFrame, reference: Tensor, edited: list[list[int]], generated: list[list[int]], prefix_length: int
) -> pl.DataFrame:
    truth = [reference[row].tolist() for row in minimal["row"]]
    changed = [
        next((i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), None)
        for one, other in zip(generated, truth, strict=True)
    ]
    ids = pl.List(pl.Int32)
    return minimal.select(
        "row", "position", "policy", "draw", "original_id", "replacement_id", "exact_match",
        pl.Series("prefix_ids", edited, dtype=ids),
        pl.Series("generated_ids", generated, dtype=ids),
        pl.Series("impact_position", [None if i is None else prefix_length + i for i in changed], dtype=pl.Int32),
        pl.Series("impact_reference_id", _at(truth, changed), dtype=pl.Int32),
        pl.Series("impact_id", _at(generated, changed), dtype=pl.Int32),
    )  # fmt: skip


def _at(rows: list[list[int]], places: list[int | None]) -> list[int | None]:
    return [None if place is None else ids[place] for ids, place in zip(rows, places, strict=True)]
