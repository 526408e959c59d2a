"""Figures in words: the answer a figure gives, from its own rows, for whoever reads or hears instead of looking."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from assets.figures.spec import FigureSpec
from assets.figures.triggers import by_tenth, rarest_head


def answer_of(spec: FigureSpec, frame: pl.DataFrame) -> str:
    """One sentence with the figure's main numbers; empty where none is written or the rows do not carry it."""
    say = _ANSWERS.get(spec.name)
    if say is None or frame.is_empty():
        return ""
    try:
        return say(frame)
    except (IndexError, KeyError, TypeError):  # a mart without the rows that the sentence needs
        return ""


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\u00a0%"


def _hero(frame: pl.DataFrame) -> str:
    last = frame.filter(checkpoint_id=frame["checkpoint_id"][-1]).sort("duplication_count")
    rungs = [f"×{n} {_percent(s)}" for n, s in last.select("duplication_count", "memorized_share").iter_rows()]
    null = f"{_percent(last['null_share'][0])} if copies did not matter"
    return f"Recited by the last checkpoint: {', '.join(rungs)}; {null}."


def _em_distribution(frame: pl.DataFrame) -> str:
    last = frame.sort("exact_match").row(-1, named=True)
    total = frame["cluster_count"].sum()
    untrained = frame["untrained_cluster_count"].sum()
    reached = f"{last['cluster_count']} of {total} clusters reach {last['exact_match']} tokens"
    return f"{reached}; {untrained} were never trained on."


def _offset(frame: pl.DataFrame) -> str:
    far = frame.filter(preceding_text="unrelated").sort("context_length", "preceding_length").row(-1, named=True)
    kept, context = _percent(far["kept_share"]), far["context_length"]
    other = f"After {far['preceding_length']} tokens of other text"
    return f"{other} {kept} are still recited, with {context} tokens of prefix."


def _position(frame: pl.DataFrame) -> str:
    parts = []
    for memorized, name in ((True, "recited"), (False, "other")):
        rows = frame.filter(is_memorized=memorized).sort("position")
        if rows.height:
            first, last = rows["em_drop_mean"][0], rows["em_drop_mean"][-1]
            parts.append(
                f"{name} paragraphs lose {first:.1f} tokens at the first changed position and {last:.1f} at the last"
            )
    return f"{'; '.join(parts).capitalize()}."


def _rarity(frame: pl.DataFrame) -> str:
    rows = frame.filter(is_memorized=True).sort("rarity_fifth")
    drop, alone = rows["em_drop_mean"], rows["position_matched_em_drop"]
    return (
        f"In recited paragraphs the rarest fifth costs {drop[-1]:.1f} tokens, the most common {drop[0]:.1f}; "
        f"position alone gives {alone[-1]:.1f} and {alone[0]:.1f}."
    )


def _attention(frame: pl.DataFrame) -> str:
    best = frame.drop_nulls("spearman").sort("spearman").row(-1, named=True)
    beyond = frame.filter(pl.col("spearman_lower") > pl.col("spearman_placebo_upper")).height
    most = f"Head {best['head_ref']} looks at rare tokens most ({best['spearman']:+.2f})"
    return f"{most}; {beyond} of {frame.height} heads lie above shuffled rarity."


def _rank(frame: pl.DataFrame) -> str:
    tenths = by_tenth(frame)
    top = rarest_head(tenths)
    own = tenths.filter(head_ref=top).sort("tenth")["times_even"]
    return f"Head {top} gives the rarest tenth {own[0]:.1f} times the even share, the most common {own[-1]:.1f} times."


def _axis(frame: pl.DataFrame) -> str:
    main = frame.filter(pl.col("kind").is_null() | (pl.col("kind") == "identity")).drop_nulls("estimate")
    best = {
        name: main.filter(measure=measure).sort("estimate")["layer"][-1]
        for name, measure in (
            ("gradient", "gradient_share"),
            ("patching", "patching_effect"),
            ("recital lost", "recall_drop"),
        )
        if (main["measure"] == measure).any()
    }
    return f"Largest value by layer: {', '.join(f'{name} in layer {layer}' for name, layer in best.items())}."


def _short_circuit(frame: pl.DataFrame) -> str:
    is_block = (pl.col("kind") == "identity") & pl.col("head").is_null() & (pl.col("paragraph_group") == "MP")
    blocks = frame.filter(is_block & (pl.col("layer") == pl.col("last_layer"))).sort("recital_loss_share")
    worst = blocks.row(-1, named=True)
    recital, other = _percent(worst["recital_loss_share"]), _percent(worst["utility_drop_share"])
    return (
        f"Without the attention of layer {worst['layer']} recital loses {recital} and other text {other} of its tokens."
    )


def _flow(frame: pl.DataFrame) -> str:
    last = frame.row(-1, named=True)
    kept, gained, lost = last["kept_count"], last["new_count"], last["forgotten_count"]
    return f"At step {last['training_step']}: {kept} kept, {gained} gained, {lost} forgotten."


_ANSWERS: dict[str, Callable[[pl.DataFrame], str]] = {
    "memorization_over_checkpoints": _hero,
    "em_distribution": _em_distribution,
    "recital_by_offset": _offset,
    "em_drop_by_position": _position,
    "em_drop_by_rarity": _rarity,
    "attention_against_rarity": _attention,
    "attention_by_rank": _rank,
    "localization_axis": _axis,
    "short_circuit": _short_circuit,
    "memorization_flow": _flow,
}
