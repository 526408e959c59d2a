"""Localizations as choices of heads: what each method would point at, all of one size, so that they can be compared.

A block's heads are one choice, so every other method names as many heads as a block has.
"""

from __future__ import annotations

import polars as pl

from probes.architectures import HeadRef

Heads = list[HeadRef]
_SHARED = ("W_K", "W_V", "k", "v")  # components that carry key/value heads


def top_heads(scores: pl.DataFrame, count: int) -> Heads:
    """The heads with the largest score; ties go to the lower layer and head.

    Args:
        scores: layer, head, score; heads without a score are left out.
        count: heads wanted.
    """
    ranked = scores.drop_nulls("score").sort(["score", "layer", "head"], descending=[True, False, False]).head(count)
    return [HeadRef(layer, head) for layer, head in ranked.select("layer", "head").iter_rows()]


def by_query_head(scores: pl.DataFrame, head_count: int) -> pl.DataFrame:
    """Largest score over components of every query head; a key/value head's score goes to all that read it.

    Args:
        scores: layer, component (W_Q, W_K, W_V, W_O or q, k, v, z), head, score; rows without a head are left out.
        head_count: query heads per layer.

    Returns:
        layer, head, score.
    """
    rows = scores.drop_nulls("head")
    shared = rows.filter(pl.col("component").is_in(_SHARED))
    group = head_count // max(1, shared["head"].n_unique())
    spread = shared.with_columns(
        head=pl.concat_list([pl.col("head") * group + offset for offset in range(max(1, group))])
    ).explode("head")
    own = rows.filter(~pl.col("component").is_in(_SHARED))
    every = pl.concat([own, spread.with_columns(pl.col("head").cast(own.schema["head"])).select(own.columns)])
    return every.group_by("layer", "head").agg(pl.col("score").max()).sort("layer", "head")


def gradient_heads(gradients: pl.DataFrame, head_count: int) -> Heads:
    """Heads with the largest gradient entry in W_Q, W_K, W_V or W_O, mean over paragraphs (P1 §5.1).

    Args:
        gradients: rows of table parameter_gradients of the paragraphs themselves.
        head_count: query heads per layer, and heads wanted.
    """
    means = gradients.group_by("layer", "component", "head").agg(score=pl.col("max_abs").mean())
    return top_heads(by_query_head(means, head_count), head_count)


def patching_heads(patching: pl.DataFrame, head_count: int) -> Heads:
    """Heads whose q, k, v or z, taken from the perturbed run, raises the impact token's NLL most (P1 §6.1).

    Args:
        patching: rows of table patching.
        head_count: query heads per layer, and heads wanted.
    """
    means = patching.filter(receiver="MP").group_by("layer", "component", "head").agg(pl.col("delta_nll_nats").mean())
    return top_heads(by_query_head(means.rename({"delta_nll_nats": "score"}), head_count), head_count)


def short_circuit_heads(interventions: pl.DataFrame, head_count: int) -> Heads:
    """Heads that are most selective when short-circuited one by one (P2 §3).

    Args:
        interventions: rows of table interventions of memorized paragraphs.
        head_count: heads wanted.
    """
    single = interventions.filter(kind="identity", part="attention").drop_nulls("head")
    return top_heads(single.select("layer", "head", score="selectivity"), head_count)


def best_block(interventions: pl.DataFrame, head_count: int) -> Heads:
    """All heads of the block that is most selective when short-circuited, beyond its null.

    Args:
        interventions: rows of table interventions of memorized paragraphs.
        head_count: query heads per layer.
    """
    blocks = single_blocks(interventions).drop_nulls("excess")
    ranked = blocks.sort(["excess", "layer"], descending=[True, False])
    return [HeadRef(ranked["layer"][0], head) for head in range(head_count)] if ranked.height else []


def single_blocks(interventions: pl.DataFrame) -> pl.DataFrame:
    """Rows where the attention of one block is the identity, ordered by layer."""
    whole = interventions.filter(pl.col("head").is_null(), kind="identity", part="attention")
    return whole.filter(pl.col("layer") == pl.col("last_layer")).sort("layer")


def rare_token_heads(head_rarity: pl.DataFrame, head_count: int) -> Heads:
    """Heads that look at rare tokens most, by Spearman within memorized paragraphs, over all where none are (P1 §6.2).

    Args:
        head_rarity: rows of table head_rarity.
        head_count: heads wanted.
    """
    for group in ("MP", "all"):
        rows = head_rarity.filter(coefficient="spearman", paragraph_group=group).drop_nulls("estimate")
        if rows.height:
            return top_heads(rows.select("layer", "head", score="estimate"), head_count)
    return []
