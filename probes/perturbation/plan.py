"""Plan of a sweep, checked before any work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from probes.errors import ProbeError
from probes.forward.batches import PROCESSOR_TOKENS
from probes.forward.inputs import refuse_unreadable
from probes.perturbation.policies import BY_CONTEXT, POLICIES, Policy, Pools

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Plan:
    """The choices of one sweep that do not depend on the paragraphs."""

    policy: Policy
    positions: tuple[int, ...]
    draws: int
    seed: int
    prefix_length: int
    tile: int
    batch_size: int
    continuation_length: int
    excluded_ids: tuple[int, ...] = ()

    def group_size(self, rows: int, device_type: str) -> int:
        """Positions that one pass over `rows` paragraphs takes together."""
        most = self.batch_size
        if device_type == "cpu":
            most = min(most, PROCESSOR_TOKENS // (self.prefix_length + self.continuation_length))
        return min(len(self.positions), max(1, most // (rows * self.draws)))


@dataclass(frozen=True)
class Swept:
    """Results of one batch: three arrays [row, position, draw] and the NLL of the unchanged paragraphs, [row]."""

    replacement_ids: np.ndarray
    exact_match: np.ndarray
    nll_nats: np.ndarray
    unchanged_nll_nats: np.ndarray


def readable_token_count(model: PreTrainedModel) -> int:
    """Token ids the model can read."""
    return len(model.get_input_embeddings().weight)  # type: ignore[arg-type]


def check_request(model: PreTrainedModel, plan: Plan, prefix: Tensor, reference: Tensor, pools: Pools | None) -> None:
    """Refuse what cannot be measured.

    Raises:
        ProbeError: one sentence that says what does not fit.
    """
    _check_plan(plan)
    if prefix.shape[1] < plan.prefix_length:
        raise ProbeError(
            f"paragraphs have {prefix.shape[1]} tokens, fewer than the prefix of {plan.prefix_length}; "
            "ask for a shorter prefix."
        )
    if len(prefix) != len(reference) or not reference.shape[1]:
        raise ProbeError(
            f"{len(prefix)} prefixes come with references of shape {tuple(reference.shape)}; "
            "give one continuation for each."
        )
    _check_readable(model, plan, prefix, reference, pools)


def _check_plan(plan: Plan) -> None:
    if plan.policy not in POLICIES:
        raise ProbeError(f"policy {plan.policy!r} is unknown; choose one of {', '.join(POLICIES)}.")
    if plan.draws < 1 or (plan.policy == "deletion" and plan.draws > 1):
        raise ProbeError(f"policy {plan.policy} cannot have {plan.draws} draws; ask for 1.")
    first = 1 if plan.policy in BY_CONTEXT else 0
    outside = [place for place in plan.positions if not first <= place < plan.prefix_length]
    if outside or len(set(plan.positions)) < len(plan.positions):
        raise ProbeError(
            f"positions {list(plan.positions)} are not distinct numbers in {first}..{plan.prefix_length - 1}; "
            f"policy {plan.policy} cannot change others."
        )


def check_excluded(model: PreTrainedModel, plan: Plan) -> None:
    """Refuse ids that are never to be drawn where the model has no such id, or where too few others are left.

    Raises:
        ProbeError: names the id, or how many are left.
    """
    count, excluded = readable_token_count(model), set(plan.excluded_ids)
    if wrong := sorted(token_id for token_id in excluded if not 0 <= token_id < count):
        raise ProbeError(f"token id {wrong[0]} is never to be drawn, but the model knows 0..{count - 1}; leave it out.")
    if plan.policy in BY_CONTEXT and count - len(excluded) <= plan.draws:
        raise ProbeError(
            f"{count - len(excluded)} tokens may be drawn, too few for {plan.draws} draws beside the token itself; ask "
            "fewer."
        )


def _check_readable(model: PreTrainedModel, plan: Plan, prefix: Tensor, reference: Tensor, pools: Pools | None) -> None:
    length = plan.prefix_length + reference.shape[1] - 1
    refuse_unreadable(model, prefix, length)
    refuse_unreadable(model, reference, length)
    if pools is not None and prefix.numel() and int(prefix.max()) >= len(pools.start):
        raise ProbeError(
            f"a prefix has token id {int(prefix.max())}, but token_counts has only {len(pools.start)} entries; "
            "give the counts of the tokenizer that cut the paragraphs."
        )
