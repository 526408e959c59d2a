"""Last words on all claims of a checkpoint: effects too small to matter, multiplicity, and the subject they hold for.

An interval tells four things from one another: beyond the null on the claim's side (supported), beyond it on the other
(contradicted), so close that no effect of interest is left (a "no"), or none of these (undecided).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from probes.claims.rules import SCHEMA
from probes.statistics.clusters import benjamini_hochberg

LEVEL = 0.05

_RANKS = (0.05, "a rank correlation that explains a quarter of a percent")
SMALLEST_EFFECTS: dict[str, tuple[float, str]] = {
    "memorized_harder_to_corrupt": (1.0, "one token of exact match"),
    "em_drop_grows_with_position_mp": _RANKS,
    "em_drop_grows_with_position_nmp": _RANKS,
    "a_head_reads_rare_tokens_summed": _RANKS,
    "a_head_reads_rare_tokens_within": _RANKS,
    "head_1_2": _RANKS,
    "memorization_head_unlike_others": _RANKS,
    "rare_tokens_trigger_recital": (0.5, "half a token of exact match for a standard deviation of rarity"),
    "strongest_triggers_are_rare": (0.05, "five in a hundred places of the prefix"),
    "gradient_lies_lower": (0.05, "a twentieth of the gradient, a sixth of what the paper reports"),
    "deep_short_circuit_cuts_recital": (0.05, "one token in twenty"),
    "first_block_collapses": (0.05, "one token in twenty"),
    "deep_more_selective_than_first": (0.05, "one token in twenty"),
    **dict.fromkeys(
        ("recital_grows_with_copies", "value_gradients_at_rare_tokens", "a_head_reads_punctuation"), _RANKS
    ),
    **dict.fromkeys(("utility_cost_falls_with_depth", "selectivity_rises_with_depth"), _RANKS),
    "minimal_change_lies_late": (0.05, "five in a hundred places of the prefix"),
    "positional_fragility": (0.1, "one recited cluster in ten"),
    "patching_into_mp": (0.01, "a hundredth of a nat"),
    "patching_into_pmp": (0.01, "a hundredth of a nat"),
    "gradients_of_groups_differ": (0.05, "a cosine of a twentieth"),
    "deep_short_circuit_cuts_token_accuracy": (0.05, "one token in twenty"),
    "sparse_unlearning_beats_random": (1.0, "one token of exact match"),
    "sparse_editing_beats_random": (1.0, "one token of exact match"),
    "all_weights_edit_more": (1.0, "one token of exact match"),
    "sparse_editing_writes_the_replacement": (1.0, "one token of exact match"),
    "sparse_spares_others_at_equal_forgetting": (1.0, "one token of exact match"),
    "sparse_unlearning_spares_others": (1.0, "one token of exact match"),
}
"""By claim: the smallest distance from the null that would be of interest, and why; in the unit of the claim.

Claims without one are about sizes that have no scale of their own (gradients), or have a margin as null.
"""


@dataclass(frozen=True)
class ClaimSubject:
    """What the verdicts are about: they hold for it and for nothing else."""

    model: str
    corpus: str
    policy: str
    is_toy: bool = False
    clusters: str = ""

    def __str__(self) -> str:
        toy = " (a toy trained on this machine)" if self.is_toy else ""
        clusters = f"; {self.clusters}" if self.clusters else ""
        return f"{self.model}{toy} on corpus {self.corpus}, {self.policy}{clusters}"


def settle(
    claims: pl.DataFrame, subject: ClaimSubject, smallest_effects: Mapping[str, float] | None = None
) -> pl.DataFrame:
    """Claims with their last word.

    Args:
        claims: rows that the claim modules gave.
        subject: named in every reason.
        smallest_effects: instead of SMALLEST_EFFECTS where given, by claim; 0 turns the rule off.

    Returns:
        The same rows with smallest_effect, p_value and q_value: a claim whose interval leaves no effect of interest on
        its side is "no effect of interest", or "contradicted" where the interval lies on the other side and not within
        the smallest effect; one that does not survive Benjamini and Hochberg's control at 5 % over all claims with
        an interval is "undecided".
    """
    sizes = {name: size for name, (size, _) in SMALLEST_EFFECTS.items()} | dict(smallest_effects or {})
    rows = [_with_size(row, sizes.get(row["claim_id"]) or None) for row in claims.to_dicts()]
    q_values = benjamini_hochberg(np.array([np.nan if r["p_value"] is None else r["p_value"] for r in rows]))
    settled = [_with_q(row, float(q)) for row, q in zip(rows, q_values, strict=True)]
    for row in settled:
        row["reason"] = f"{row['reason'].rstrip('.')}; measured on {subject}."
    return pl.DataFrame(settled, schema=SCHEMA)


def _with_size(row: dict[str, Any], size: float | None) -> dict[str, Any]:
    """The verdict by interval, null and smallest effect of interest."""
    row |= {"smallest_effect": size, "p_value": _p_value(row)}
    if size is None or row["p_value"] is None or row["verdict"] == "not testable here":
        return row
    sign = 1 if row["direction"] == "greater" else -1
    low, high = sorted(sign * (row[end] - row["null_value"]) for end in ("lower", "upper"))
    if high >= size or (high < 0 and low <= -size):
        return row
    why = SMALLEST_EFFECTS.get(row["claim_id"], (size, "as the profile says"))[1]
    reason = f"An effect of {size:g} or more on the claim's side is ruled out ({why})."
    return row | {"verdict": "no effect of interest", "reason": reason}


def _p_value(row: dict[str, Any]) -> float | None:
    """Two-sided p value that goes with a 95 % interval, by the normal law; the nearer end counts."""
    from scipy.special import ndtr, ndtri

    needed = [row[name] for name in ("ours", "lower", "upper", "null_value")]
    if row["direction"] is None or any(value is None for value in needed):
        return None
    ours, lower, upper, null = needed
    half = ours - lower if null <= ours else upper - ours
    if half <= 0:
        return 1.0 if ours == null else 0.0
    return float(2 * ndtr(-ndtri(0.975) * abs(ours - null) / half))


def _with_q(row: dict[str, Any], q_value: float) -> dict[str, Any]:
    row["q_value"] = None if np.isnan(q_value) else q_value
    if row["verdict"] in ("supported", "contradicted") and q_value > LEVEL:
        reason = f"{row['reason'].rstrip('.')}, but over all claims q is {q_value:.2f}."
        return row | {"verdict": "undecided", "reason": reason}
    return row
