"""Perturbation stage: what one changed prefix token does to the continuation."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from assets.figures import previews
from assets.framework import model_stage
from assets.framework.profile import Profile
from assets.framework.stage import Frames, Scope, Shards, stage
from assets.localization import samples


def _settings(profile: Profile) -> dict[str, Any]:
    settings = model_stage.model_settings(profile, "paragraphs_per_group", "seed")
    draws, swept = profile.probes.perturbation_draws, profile.probes.swept_paragraphs
    settings |= {} if swept is None else {"swept_paragraphs": swept}
    return settings | {"perturbation_draws": list(draws.items())}  # in order: the first policy is the main one


def _replacement_differs(_: Scope, frames: Frames) -> list[str]:
    same = frames["perturbations"].filter(pl.col("replacement_id") == pl.col("original_id"))
    return [f"paragraph {row[1]} position {row[2]} was replaced by itself" for row in same.iter_rows()]


@stage(
    tables=("perturbations", "minimal_perturbations"),
    reads=("checkpoints", "vocabularies", "paragraphs", "scores", "generations", "unigrams"),
    settings=_settings,
    spreads=True,
    checks={"perturbations.replacement_differs_from_original": _replacement_differs},
    group="localization",
    kinds={"pytorch", "parquet"},
    plots={"perturbations": previews.em_drop_by_position},
)
def perturbations(scope: Scope) -> Shards:
    """Every prefix position from 1 on, seeded draws, teacher forcing on the continuation the unchanged prefix gives."""
    model, sample = model_stage.lazy_model(scope), samples.swept_sample(scope)
    counts = scope.read("unigrams").sort("token_id")["token_count"].to_numpy()
    size = max(1, scope.profile.probes.shard_size // 8)

    def _compute(shard: int) -> Frames:
        rows = model_stage.shard_of(sample, shard, size)
        swept = _sweep(scope, model(), rows, counts)
        return {
            "perturbations": _with_reference(swept, rows),
            "minimal_perturbations": model_stage.with_paragraph_ids(_minimal(scope, model(), rows, swept), rows),
        }

    return Shards(model_stage.shard_count(sample.height, size), _compute)


def reference_ids(scope: Scope, sample: pl.DataFrame) -> np.ndarray:
    """Greedy continuation of each unchanged prefix, [paragraph, continuation]: the true one where it is memorized.

    The true one, too, of what stands in for the memorized (`samples.measured_sample`).
    """
    own = scope.read("generations", ["paragraph_id", "generated_ids"])
    joined = sample.join(own, on="paragraph_id", how="left", maintain_order="left")
    true = pl.col("token_ids").list.slice(scope.profile.paragraphs.prefix_length)
    is_true = pl.col("paragraph_group") == "MP" if "paragraph_group" in joined.columns else pl.lit(False)
    chosen = pl.when(is_true).then(true).otherwise(pl.coalesce("generated_ids", true))
    return np.array(joined.select(chosen.alias("ids")).to_series().to_list(), dtype=np.int64)


def _sweep(scope: Scope, model: Any, rows: pl.DataFrame, counts: np.ndarray) -> pl.DataFrame:
    from probes.perturbation.sweep import sweep

    probes, prefix = scope.profile.probes, scope.profile.paragraphs.prefix_length
    ids, reference = model_stage.token_matrix(rows), reference_ids(scope, rows)
    undrawn = scope.read("vocabularies", ["undrawn_ids"])["undrawn_ids"][0].to_list()
    main = next(iter(probes.perturbation_draws))
    frames = [
        sweep(
            model, ids, reference, positions=range(1, prefix), policy=policy, draws=draws,
            seed=probes.seed, prefix_length=prefix, token_counts=counts, excluded_ids=undrawn,
        ).with_columns(is_main_policy=pl.lit(policy == main))
        for policy, draws in probes.perturbation_draws.items()
    ]  # fmt: skip
    return pl.concat(frames)


def _minimal(scope: Scope, model: Any, rows: pl.DataFrame, swept: pl.DataFrame) -> pl.DataFrame:
    from probes.perturbation.sweep import minimal_perturbations, pmp_continuations

    ids, reference = model_stage.token_matrix(rows), reference_ids(scope, rows)
    prefix = scope.profile.paragraphs.prefix_length
    minimal = minimal_perturbations(swept.filter("is_main_policy"))
    return pmp_continuations(model, ids, reference, minimal, prefix_length=prefix)


def _with_reference(swept: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Sweep rows with ids, and which continuation they were compared with."""
    kind = pl.when(pl.col("paragraph_group") == "MP").then(pl.lit("corpus")).otherwise(pl.lit("model"))
    named = model_stage.with_paragraph_ids(swept, rows)
    return named.join(rows.select("paragraph_id", reference=kind), on="paragraph_id", maintain_order="left")
