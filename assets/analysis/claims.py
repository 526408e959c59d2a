"""The papers' claims about one checkpoint: evidence gathered from its tables, verdicts by the rules of claims."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from assets.corpus.paragraphs import true_paragraphs
from assets.framework import model_stage
from assets.framework.stage import Scope
from assets.localization import samples
from assets.training import trained_checkpoints

if TYPE_CHECKING:
    from probes.claims.verdicts import ClaimSubject

READ = (
    *("head_rarity", "parameter_gradients", "interventions", "edit_summaries", "edits", "edit_noise"),
    *("recall_by_offset", "minimal_perturbations", "patching", "gradient_cosines", "harness_utility"),
)
"""Tables the claims rest on besides those of the trigger analysis."""
PAPERS_MODEL = "eleutherai/gpt-neo-125m"
PAPERS_WINDOW = (50, 50)


@dataclass(frozen=True)
class Evidence:
    """What the trigger analysis has at hand.

    Attributes:
        triggers: rows of the view triggers.
        effects, strongest, correlations: what is said of them and of pairs of heads.
        attention: [paragraph, layer, head, position].
        facts: paragraphs and scores, one row per paragraph of `attention`, in its order.
    """

    triggers: pl.DataFrame
    effects: pl.DataFrame
    strongest: pl.DataFrame
    correlations: pl.DataFrame
    attention: np.ndarray
    facts: pl.DataFrame


def all_claims(scope: Scope, evidence: Evidence) -> pl.DataFrame:
    """Rows of table claims (without checkpoint_id), settled."""
    from probes.claims.verdicts import settle

    is_papers = is_papers_model(scope)
    parts = [*_about_triggers(scope, evidence, is_papers), *_about_places(scope, evidence, is_papers)]
    return settle(pl.concat(parts), subject_of_claims(scope), scope.profile.claims.smallest_effects)


def is_papers_model(scope: Scope) -> bool:
    """Whether P1's numbers can be asked of this checkpoint: its model, its corpus and its windows.

    The model by the hub's id or by the hash of its weights, which for a copy on disk the profile must name, as it must
    name the corpus: neither can be told from a folder's name.
    """
    claims, window = scope.profile.claims, scope.profile.paragraphs
    row = scope.read("checkpoints", ["source", "weights_sha256"]).row(0, named=True)
    is_model = row["source"].lower() == PAPERS_MODEL or row["weights_sha256"] in claims.papers_weights
    is_corpus = scope.profile.corpus_id == claims.papers_corpus
    return is_model and is_corpus and (window.prefix_length, window.continuation_length) == PAPERS_WINDOW


def subject_of_claims(scope: Scope) -> ClaimSubject:
    """What the verdicts are about; a checkpoint of this machine's own training is a toy."""
    from probes.claims.verdicts import ClaimSubject

    facts = scope.read("checkpoints", ["architecture", "layer_count", "parameter_count"]).row(0, named=True)
    window, policy = scope.profile.paragraphs, next(iter(scope.profile.probes.perturbation_draws))
    return ClaimSubject(
        f"{scope.checkpoint_id}, {facts['architecture']} of {facts['layer_count']} layers and "
        f"{facts['parameter_count']:,} parameters",
        scope.profile.corpus_id,
        f"{window.prefix_length} + {window.continuation_length} tokens, {policy} replacements{_stand_ins(scope)}",
        scope.checkpoint_id in trained_checkpoints(scope),
        _clusters_in_words(true_paragraphs(scope)),
    )


def _stand_ins(scope: Scope) -> str:
    """Whom the verdicts are about where nothing is recited in full."""
    count = samples.stand_in_count(scope)
    return f", {count} furthest recited paragraphs in place of the memorized" if count else ""


def _clusters_in_words(paragraphs: pl.DataFrame) -> str:
    """How many clusters there are and how much of the sample the largest holds: a mean over clusters hides that."""
    sizes = paragraphs["near_duplicate_cluster"].value_counts()["count"]
    if sizes.is_empty():
        return ""
    largest = int(sizes.max())  # type: ignore[arg-type]
    return f"{len(sizes):,} clusters, the largest of {largest:,} of {paragraphs.height:,} paragraphs"


def _about_triggers(scope: Scope, evidence: Evidence, is_papers: bool) -> list[pl.DataFrame]:
    """What is recited, what destroys it, who looks at it."""
    from probes.claims.offsets import offset_claims
    from probes.claims.recital import recital_claims
    from probes.claims.triggers import trigger_claims

    scores = scope.read("scores", ["paragraph_id", "exact_match", "em_bin"])
    known = true_paragraphs(scope).select("paragraph_id", "duplication_count", "near_duplicate_cluster")
    return [
        trigger_claims(
            evidence.triggers, scope.read("head_rarity"), evidence.effects, evidence.strongest, evidence.correlations,
            continuation_length=scope.profile.paragraphs.continuation_length, is_papers_model=is_papers,
        ),
        recital_claims(
            known.join(scores, on="paragraph_id", maintain_order="left"), evidence.triggers,
            scope.read("minimal_perturbations", ["paragraph_id", "position"]), is_papers_model=is_papers,
        ),
        offset_claims(_with_clusters(scope, "recall_by_offset")),
    ]  # fmt: skip


def _about_places(scope: Scope, evidence: Evidence, is_papers: bool) -> list[pl.DataFrame]:
    """Where recital lives and what editing does to it."""
    from probes.claims.activations import activation_claims
    from probes.claims.attribution import attribution_claims
    from probes.claims.editing import editing_claims
    from probes.claims.localization import localization_claims

    gradients, interventions = _with_clusters(scope, "parameter_gradients"), scope.read("interventions")
    layer_count = scope.read("checkpoints", ["layer_count"])["layer_count"][0]
    model = {"layer_count": layer_count, "is_papers_model": is_papers}
    return [
        localization_claims(gradients, interventions, **model),
        attribution_claims(interventions, gradients, scope.read("harness_utility"), **model),
        activation_claims(
            _values_at_rare_tokens(scope, evidence), _punctuation(scope, evidence), _with_clusters(scope, "patching"),
            scope.read("gradient_cosines"), scope.read("edit_noise"),
        ),
        editing_claims(
            scope.read("edit_summaries"), _with_clusters(scope, "edits", "target"), is_papers_model=is_papers
        ),
    ]  # fmt: skip


def _with_clusters(scope: Scope, table: str, column: str = "paragraph_id") -> pl.DataFrame:
    """Rows of a table with the near-duplicate cluster of the paragraph that `column` names."""
    clusters = scope.read("paragraphs", ["paragraph_id", "near_duplicate_cluster"]).rename({"paragraph_id": column})
    return scope.read(table).join(clusters, on=column, how="left", maintain_order="left")


def _values_at_rare_tokens(scope: Scope, evidence: Evidence) -> pl.DataFrame:
    """`head_rarity` of the value gradients' size at each prefix token of memorized paragraphs, mean over heads."""
    prefix = evidence.attention.shape[3]
    sizes = (
        scope.read("activation_gradients")
        .filter(pl.col("component") == "v", pl.col("position") < prefix)
        .group_by("paragraph_id", "position")
        .agg(pl.col("score").cast(pl.Float64).mean())
        .sort("paragraph_id", "position")
        .group_by("paragraph_id", maintain_order=True)
        .agg("score")
    )
    facts = evidence.facts.filter(samples.is_recited(scope, evidence.facts)).join(
        sizes, on="paragraph_id", how="inner", maintain_order="left"
    )
    if facts.is_empty() or set(facts["score"].list.len()) != {prefix}:
        nobody = _rarity(scope, evidence.attention[:0], evidence.facts.clear(), None)
        return nobody.with_columns(paragraph_group=pl.lit("MP"))
    values = np.array(facts["score"].to_list(), dtype=np.float64).reshape(facts.height, 1, 1, prefix)
    return _rarity(scope, values, facts, None).with_columns(paragraph_group=pl.lit("MP"))


def _punctuation(scope: Scope, evidence: Evidence) -> pl.DataFrame:
    """`head_rarity` with "is punctuation" in place of rarity, over all paragraphs."""
    tokens = scope.read("unigrams").sort("token_id")["token"].to_list()
    is_punctuation = np.array([_is_punctuation(token) for token in tokens], dtype=np.float64)
    found = _rarity(scope, evidence.attention, evidence.facts, is_punctuation)
    return found.with_columns(paragraph_group=pl.lit("all"))


def _is_punctuation(token: str | None) -> bool:
    """Whether a token, blanks and the tokenizer's marks for them aside, holds signs only."""
    text = (token or "").strip(" \n\tĠĊ▁")
    return bool(text) and not any(letter.isalnum() for letter in text)


def _rarity(scope: Scope, attention: np.ndarray, facts: pl.DataFrame, of_token: np.ndarray | None) -> pl.DataFrame:
    """`head_rarity`, spearman alone, with what the corpus says of rarity or with a property of tokens instead."""
    from probes.attention.rarity import head_rarity

    probes = scope.profile.probes
    unigrams = scope.read("unigrams").sort("token_id")
    length = attention.shape[3]
    ids = model_stage.token_matrix(facts)[:, :length] if facts.height else np.empty((0, length), dtype=np.int64)
    rarity = unigrams["surprisal_bits"].to_numpy() if of_token is None else of_token
    return head_rarity(
        attention, rarity[ids], unigrams["rarity_rank"].to_numpy()[ids], facts["near_duplicate_cluster"].to_numpy(),
        seed=probes.seed, bootstrap_draws=min(probes.bootstrap_draws, 500), permutations=probes.permutations,
        token_ids=ids, coefficients=("spearman",),
    )  # fmt: skip
