"""Analysis stage: does rarity trigger recital, adjusted for what else could; and the papers' claims by rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

import sql
from assets.analysis.claims import READ, Evidence, all_claims
from assets.analysis.head_rarity import scored_attention
from assets.figures import previews
from assets.framework import model_stage
from assets.framework.profile import Profile, settings_of
from assets.framework.stage import Frames, Scope, Shards, no_rows, stage
from warehouse.catalog.publish import open_record
from warehouse.catalog.queries import to_polars


def _settings(profile: Profile) -> dict[str, Any]:
    return model_stage.recited_settings(profile, "permutations", "seed") | settings_of(profile.claims)


def _verdicts_are_known(_: Scope, frames: Frames) -> list[str]:
    known = {"supported", "contradicted", "no effect of interest", "undecided", "not testable here"}
    return [
        f"{r['claim_id']} has verdict {r['verdict']}" for r in frames["claims"].to_dicts() if r["verdict"] not in known
    ]


def _asked(scope: Scope, name: str) -> pl.DataFrame:
    """Answer of a query of sql/adhoc about the scope's checkpoint, from the record."""
    with open_record(scope.home) as connection:
        text = sql.load_one("adhoc", name).text
        return to_polars(connection.sql(text, params={"checkpoint_id": scope.checkpoint_id}))


def _strip(scope: Scope, _: pl.DataFrame) -> str:
    """The paragraph in which one token stands out most, token by token."""
    return previews.as_markdown(previews.trigger_strip(_asked(scope, "trigger_strip")))


@stage(
    tables=("trigger_effects", "trigger_summaries", "head_correlations", "head_pointing", "claims"),
    reads=(
        *("checkpoints", "paragraphs", "unigrams", "scores", "token_scores", "perturbations"),
        *("head_attention", "activation_gradients", *READ),
    ),
    settings=_settings,
    checks={"claims.every_verdict_is_one_of_five": _verdicts_are_known},
    group="analysis",
    kinds={"scipy", "parquet"},
    plots={"trigger_effects": _strip},
)
def trigger_analysis(scope: Scope) -> Shards:
    """Fixed-effects models with cluster-robust intervals and placebos; verdicts computed, never written down."""
    return Shards(1, lambda _: _analyse(scope), "checkpoints")


def recorded_triggers(scope: Scope) -> pl.DataFrame:
    """The view `triggers` for the scope's checkpoint, from the record rather than the published catalog."""
    return _asked(scope, "triggers_of_checkpoint")


def _analyse(scope: Scope) -> Frames:
    from probes.triggers.effect import trigger_effect
    from probes.triggers.head_correlations import head_correlations
    from probes.triggers.summaries import strongest_triggers

    rows, probes = recorded_triggers(scope), scope.profile.probes
    effects = trigger_effect(rows, seed=probes.seed, permutations=probes.permutations)
    strongest = strongest_triggers(rows)
    if scope.read("head_attention", ["layer"]).is_empty():  # a family without an adapter: no claim about heads
        rest = {name: no_rows(name) for name in ("head_correlations", "head_pointing", "claims")}
        return {"trigger_effects": effects, "trigger_summaries": strongest, **rest}
    attention, facts = scored_attention(scope)
    correlations = head_correlations(attention, facts["near_duplicate_cluster"].to_numpy())
    return {
        "trigger_effects": effects,
        "trigger_summaries": strongest,
        "head_correlations": correlations,
        "head_pointing": _pointing(scope, rows, attention, facts),
        "claims": all_claims(scope, Evidence(rows, effects, strongest, correlations, attention, facts)),
    }


def _pointing(scope: Scope, rows: pl.DataFrame, attention: np.ndarray, facts: pl.DataFrame) -> pl.DataFrame:
    """Attention and EM drop of the perturbed paragraphs, brought into the same order and compared."""
    from probes.triggers.summaries import head_pointing

    drops = rows.sort("paragraph_id", "position").group_by("paragraph_id", maintain_order=True).agg("em_drop")
    chosen = facts.with_row_index("place").join(drops, on="paragraph_id", how="inner").sort("place")
    em_drop = np.array(chosen["em_drop"].to_list(), dtype=np.float64).reshape(chosen.height, -1)
    probes = scope.profile.probes
    return head_pointing(
        attention[chosen["place"].to_numpy()], em_drop, chosen["near_duplicate_cluster"].to_numpy(),
        seed=probes.seed, permutations=probes.permutations,
        token_ids=model_stage.token_matrix(chosen)[:, : attention.shape[3]],
    )  # fmt: skip
