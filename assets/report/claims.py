"""Claims of the papers for the report: grouped by verdict, each with its numbers on one axis and their unit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

VERDICTS = {
    "supported": "holds here",
    "contradicted": "does not hold here",
    "no effect of interest": "too small to matter here",
    "undecided": "cannot be told apart from the null here",
    "not testable here": "not testable here",
}
"""Verdicts of the rules in the order of the report, and what each means in words."""

UNITS = {
    "correlation": (
        *("a_head_reads", "head_1_2", "memorization_head", "em_drop_grows", "recital_grows", "value_gradients_at"),
        *("selectivity_rises", "utility_cost_falls"),
    ),
    "cosine": ("gradients_of_groups",),
    "nats": ("deep_short_circuit_raises_entropy", "patching_into"),
    "of the prefix": ("minimal_change_lies",),
    "rarity percentile": ("strongest_triggers",),
    "share": (
        *("em_bin_", "early_tokens", "one_change", "positional_fragility", "families_and_scales", "first_block"),
        *("deep_more_selective", "deep_short_circuit_cuts", "deep_short_circuit_costs", "deep_short_circuit_spares"),
        *("gradient_lies", "gradient_lower_share"),
    ),
    "size of gradient": ("gradient_sum_", "gradient_smaller", "value_of_", "value_weights", "query_key", "kl_gradient"),
    "tokens": (
        *("edit_", "unlearn_", "sparse_", "all_weights_edit", "memorized_harder", "noise_hits"),
        "em_drop_",
    ),
    "tokens per SD of rarity": ("rare_tokens_trigger",),
}
"""Unit of a claim's numbers: how the names of its claims begin; the longest beginning that fits counts."""

WIDTH = 240
_MARGIN, _MIDDLE = 10, 13


@dataclass(frozen=True)
class Bar:
    """Places on a line of `WIDTH` units: our estimate, its interval, the null, the paper's number; None: unknown."""

    ours: float | None
    lower: float | None
    upper: float | None
    null: float | None
    reported: float | None


@dataclass(frozen=True)
class Group:
    """Claims of one verdict."""

    verdict: str
    words: str
    claims: list[dict[str, Any]]


def by_verdict(claims: list[dict[str, Any]]) -> list[Group]:
    """Groups in the order of `VERDICTS`, without those that are empty; those not testable are left to `untestable`."""
    testable = [name for name in VERDICTS if name != "not testable here"]
    known = {name: [c for c in claims if c["verdict"] == name] for name in testable}
    return [Group(name, VERDICTS[name], [_shown(c) for c in found]) for name, found in known.items() if found]


def untestable(claims: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Claims that cannot be tested on this model or corpus, by the reason."""
    by_reason: dict[str, list[dict[str, Any]]] = {}
    for claim in claims:
        if claim["verdict"] == "not testable here":
            by_reason.setdefault(split_reason(claim["reason"])[0], []).append(_shown(claim))
    return sorted(by_reason.items(), key=lambda item: -len(item[1]))


def beside_reported(claims: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Claims with a number of the paper's and one of ours, those judged first; both with an error where ours has one.

    The papers give no errors. Theirs is taken to be that of a sample as large and as variable as ours, which is what
    the verdict on "the same number" takes it to be (`probes.claims.rules.same_number_row`).
    """
    both = [c for c in claims if c["reported"] is not None and c["ours"] is not None]
    order = {verdict: place for place, verdict in enumerate(VERDICTS)}
    return [_with_errors(c) for c in sorted(both, key=lambda c: (order[c["verdict"]], c["paper"], c["claim_id"]))]


def _with_errors(claim: dict[str, Any]) -> dict[str, Any]:
    is_known = claim["lower"] is not None and claim["upper"] is not None
    half = (claim["upper"] - claim["lower"]) / 2 if is_known else None
    return _shown(claim) | {
        "reported_shown": number(claim["reported"]) + (f" ±\u00a0{number(half)}" if half is not None else ""),
        "ours_shown": number(claim["ours"])
        + (f" ({number(claim['lower'])} to {number(claim['upper'])})" if is_known else ""),
        "unit": unit_of(claim["claim_id"]),
    }


def counts(claims: list[dict[str, Any]]) -> str:
    """How many claims got which verdict, in one sentence."""
    found = Counter(claim["verdict"] for claim in claims)
    return f"Claims of the papers: {', '.join(f'{found[name]} {name}' for name in VERDICTS if found[name])}."


def measured_on(claims: list[dict[str, Any]]) -> str:
    """What all verdicts are about, said once: model, corpus, policy."""
    return next((on for on in (split_reason(claim["reason"])[1] for claim in claims) if on), "")


def split_reason(reason: str | None) -> tuple[str, str]:
    """The reason itself, and what it was measured on."""
    why, _, on = (reason or "").partition("; measured on ")
    return why, on.rstrip(".")


def unit_of(claim_id: str) -> str:
    """Unit of a claim's numbers; empty for a claim that nobody gave one."""
    fitting = [(len(name), unit) for unit, names in UNITS.items() for name in names if claim_id.startswith(name)]
    return max(fitting, default=(0, ""))[1]


def bar(claim: dict[str, Any]) -> Bar | None:
    """Where the numbers of a claim lie; None when there is nothing to compare."""
    names = ("ours", "lower", "upper", "null_value", "reported")
    known = [float(claim[name]) for name in names if claim[name] is not None]
    if claim["ours"] is None or len(known) < 2:
        return None
    low, high = min(known), max(known)
    scale = (WIDTH - 2 * _MARGIN) / ((high - low) or 1.0)
    return Bar(*(None if claim[n] is None else round(_MARGIN + (float(claim[n]) - low) * scale, 1) for n in names))


def number(value: float | None) -> str:
    """Three digits, no exponent, a minus sign as wide as a plus."""
    if value is None:
        return "–"
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.1g}"
    return "0" if value == 0 or abs(value) < 1e-4 else text.replace("-", "−")


def _shown(claim: dict[str, Any]) -> dict[str, Any]:
    numbers = {name: number(claim[name]) for name in ("ours", "lower", "upper", "null_value", "reported")}
    unit = unit_of(claim["claim_id"])
    parts = [f"ours {numbers['ours']} {unit}".rstrip()] if claim["ours"] is not None else []
    parts += [f"95\u00a0% interval {numbers['lower']} to {numbers['upper']}"] if claim["lower"] is not None else []
    parts += [f"null {numbers['null_value']}"] if claim["null_value"] is not None else []
    parts += [f"reported {numbers['reported']}"] if claim["reported"] is not None else []
    return {
        **claim,
        "bar": bar(claim),
        "numbers": "; ".join(parts),
        "why": split_reason(claim["reason"])[0],
    }
