"""Findings: what the marts say about one checkpoint, in plain sentences with intervals and nulls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

import sql
from warehouse.catalog.queries import one_publication, query
from warehouse.home import Home


@dataclass(frozen=True)
class Finding:
    """One sentence and the name of the query in sql/adhoc that gives its numbers."""

    title: str
    sentence: str
    query: str


def findings(home: Home, checkpoint_id: str) -> list[Finding]:
    """The findings about a checkpoint, each from one query; a question without data is answered as such."""
    with one_publication(home):
        return [_finding(home, checkpoint_id, name, title, say) for name, (title, say) in _QUESTIONS.items()]


def _finding(home: Home, checkpoint_id: str, name: str, title: str, say: Callable[[pl.DataFrame], str]) -> Finding:
    frame = query(home, sql.load_one("adhoc", name).text, {"checkpoint_id": checkpoint_id})
    return Finding(title, say(frame) if not frame.is_empty() else "Not testable here: no data.", name)


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %" if value >= 0.1 or value == 0 else f"{100 * value:.1f} %"


def _interval(low: float | None, high: float | None, digits: int = 2) -> str:
    return (
        "no interval, too few clusters"
        if low is None or high is None
        else f"95 % interval {low:.{digits}f} to {high:.{digits}f}"
    )


def _small(name: str, value: float) -> str:
    return f"{name} < 0.001" if value < 0.001 else f"{name} = {value:.3f}"


def _duplication(frame: pl.DataFrame) -> str:
    parts = [f"{_percent(r['memorized_share'])} of ×{r['copies']}" for r in frame.iter_rows(named=True)]
    null = frame["null_share"][0]
    return f"Recited in full: {', '.join(parts)}; if copies did not matter, every rung would show {_percent(null)}."


def _offset(frame: pl.DataFrame) -> str:
    unrelated = frame.filter(preceding_text="unrelated")
    if unrelated.is_empty():
        return "Not testable here: no other text fits before a paragraph."
    kept = [
        f"{_percent(share)} after {n}" for n, share in unrelated.select("preceding_length", "kept_share").iter_rows()
    ]
    far = unrelated.row(-1, named=True)
    true = frame.filter(preceding_text="true", preceding_length=far["preceding_length"])
    truly = f" After its true preceding text of that length: {_percent(true['kept_share'][0])}." if true.height else ""
    gained = "no other was tried" if far["gained_share"] is None else f"of the others {_percent(far['gained_share'])}"
    return (
        f"Of {far['start_cluster_count']} clusters recited at the start of the window, are recited after tokens of "
        f"unrelated text: {', '.join(kept)} ({_interval(far['lower'], far['upper'])} for the last; {gained}).{truly}"
    )


def _rarity(frame: pl.DataFrame) -> str:
    row: dict[str, Any] = frame.row(0, named=True)
    verdict = _direction(row["difference_lower"], row["difference_upper"], "rarer", "more common")
    return (
        f"Prefixes of recited paragraphs are {verdict} than those of the others: {row['difference']:+.2f} bits per token "
        f"({_interval(row['difference_lower'], row['difference_upper'])}; with bins dealt at random {row['placebo']:+.2f})."
    )


def _direction(low: float | None, high: float | None, positive: str, negative: str) -> str:
    if low is None or high is None or low <= 0 <= high:
        return f"not shown to be {positive} or {negative}"
    return positive if low > 0 else negative


def _position(frame: pl.DataFrame) -> str:
    by = {row["is_memorized"]: row for row in frame.iter_rows(named=True)}
    texts = [
        f"{name} lose {by[key]['em_drop_mean']:.1f} of the continuation's tokens on average "
        f"({by[key]['early']:.1f} when the change is in the first half of the prefix, {by[key]['late']:.1f} in the second)"
        for key, name in ((True, "memorized paragraphs"), (False, "the others"))
        if key in by
    ]
    return f"One changed prefix token: {'; '.join(texts)}."


def _trigger(frame: pl.DataFrame) -> str:
    row: dict[str, Any] = frame.row(0, named=True)
    if row["position_matched"] is None or row["excess_over_position"] is None:
        return "Not testable here: too few paragraphs to compare with."
    verdict = _direction(row["excess_lower"], row["excess_upper"], "rarer", "more common")
    if row["token_p_value"] is not None and row["token_p_value"] > 0.05:
        verdict = _direction(None, None, "rarer", "more common")
    return (
        f"In memorized paragraphs the token whose change costs most is {verdict} than tokens at the same positions elsewhere: "
        f"rarity percentile {row['rarity_percentile_mean']:.2f} against {row['position_matched']:.2f} "
        f"(excess {row['excess_over_position']:+.2f}, {_interval(row['excess_lower'], row['excess_upper'])}; chance 0.50)."
    )


def _heads(frame: pl.DataFrame) -> str:
    row: dict[str, Any] = frame.row(0, named=True)
    if row["spearman"] is None or row["family_p_value"] is None:
        return "Not testable here: too few paragraphs."
    placebo = f"with another text's rarity {row['spearman_placebo_lower']:+.2f} to {row['spearman_placebo_upper']:+.2f}"
    summed = (
        f" Summed by rank, as in the paper, it gives {row['summed_by_rank']:+.2f}, where uniform attention already gives "
        f"{row['summed_uniform_null']:+.2f} and another text's rarity {row['summed_placebo'] or 0:+.2f}."
        if row["summed_by_rank"] is not None
        else ""
    )
    return (
        f"Head {row['head_ref']} looks at rare tokens most: Spearman {row['spearman']:+.2f} within paragraphs "
        f"({_interval(row['family_lower'], row['family_upper'])} for the best of {row['head_count']}; {placebo}; "
        f"{_best_of(row)}); "
        f"{row['positive_count']} of {row['head_count']} heads lean to rare tokens at q < 0.05, over clusters and over token types.{summed}"
    )


def _best_of(row: dict[str, Any]) -> str:
    """p values of the head that was picked as the best: over clusters and over token types."""
    by_type = (
        "no test over token types" if row["token_q_value"] is None else f"q over token types {row['token_q_value']:.2g}"
    )
    return f"{_small('p', row['family_p_value'])} for the best, {by_type}"


def _gradients(frame: pl.DataFrame) -> str:
    row: dict[str, Any] = frame.row(0, named=True)
    if row["memorized"] is None:
        return "Not testable here: no memorized paragraph."
    verdict = _direction(row["difference_lower"], row["difference_upper"], "larger", "smaller")
    return (
        f"The lower half of the layers holds {_percent(row['memorized'])} of the gradient of memorized paragraphs and "
        f"{_percent(row['others'])} of the others'; the share is {verdict} for memorized ones "
        f"({_interval(row['difference_lower'], row['difference_upper'], 3)}; labels dealt at random {row['placebo']:+.3f})."
    )


def _effect(frame: pl.DataFrame) -> str:
    parts = []
    for row in frame.iter_rows(named=True):
        name = {"MP": "memorized paragraphs", "NMP": "the others"}[row["term"]]
        placebo = (
            f"shuffled rarity {row['placebo_lower']:+.2f} to {row['placebo_upper']:+.2f}"
            if row["placebo_lower"] is not None
            else "no placebo"
        )
        parts.append(
            f"{row['estimate']:+.2f} tokens of EM drop in {name} ({_interval(row['lower'], row['upper'])}; {placebo}"
            f"{_reliability(row)})"
        )
    return (
        "One standard deviation of rarity adds, position, the token's own NLL and the rarity of its replacement held "
        f"fixed: {'; '.join(parts)}."
    )


def _reliability(row: dict[str, Any]) -> str:
    """How the drops were drawn and how far another set of draws would find them again; nothing with single draws."""
    if row.get("reliability") is None:
        return ""
    return f"; {row['draw_count']} {row['policy']} replacements a token, reliability {row['reliability']:.2f}"


def _short_circuit(frame: pl.DataFrame) -> str:
    row: dict[str, Any] = frame.row(0, named=True)
    return (
        f"Without the attention of layer {row['layer']} recital loses {_percent(row['recital_loss_share'])} of its tokens "
        f"(verbatim length {_percent(row['memorization_drop_share'])}) and held-out text {_percent(row['utility_drop_share'])} of those it had right: "
        f"{row['excess']:+.2f} ({_interval(row['family_lower'], row['family_upper'])} for the best of {row['block_count']}) beyond random heads and noise of the same cost, the best of "
        f"{row['block_count']} blocks, {row['selective_count']} of which are selective."
    )


def _unlearning(frame: pl.DataFrame) -> str:
    by = {row["evaluation_set"]: row for row in frame.iter_rows(named=True)}
    if "targets" not in by or "controls" not in by:
        return "Not testable here: no paragraph was unlearned."
    target, control = by["targets"], by["controls"]
    return (
        f"Unlearning with {_percent(float(target['selection'].partition(':')[2]))} of the weights leaves the target {target['estimate']:.1f} of {target['before']:.0f} tokens "
        f"({_interval(target['lower'], target['upper'], 1)}; as many random weights {target['random_estimate'] or 0:.1f}, all weights {target['all_estimate'] or 0:.1f}) "
        f"and not memorized text {control['estimate']:.1f} of {control['before']:.0f} ({_interval(control['lower'], control['upper'], 1)}; random {control['random_estimate'] or 0:.1f}, all {control['all_estimate'] or 0:.1f})."
    )


_QUESTIONS: dict[str, tuple[str, Callable[[pl.DataFrame], str]]] = {
    "finding_duplication": ("Duplication", _duplication),
    "finding_offset": ("Offset", _offset),
    "finding_rarity": ("Rarity of recited text", _rarity),
    "finding_position": ("Perturbation", _position),
    "finding_trigger": ("Rare triggers", _trigger),
    "finding_trigger_effect": ("Rarity, adjusted", _effect),
    "finding_heads": ("Attention", _heads),
    "finding_gradients": ("Gradients", _gradients),
    "finding_short_circuit": ("Short-circuit", _short_circuit),
    "finding_unlearning": ("Unlearning", _unlearning),
}
