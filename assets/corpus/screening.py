"""Screening stages: windows asked for recital before the sample is drawn, so that it holds what is recited.

A model is asked before paragraphs are chosen, and paragraphs come before everything that is measured on checkpoints:
so these are stages of the corpus that name one registered checkpoint, and the flow stays without a circle.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from assets.checkpoints.vocabulary import vocabulary_row, why_another_tokenizer
from assets.corpus.text import tokens_folder
from assets.corpus.token_filters import filter_sets
from assets.corpus.tokenizers import load_corpus_tokenizer
from assets.framework import progress
from assets.framework.errors import RequestError
from assets.framework.model_stage import shard_count, shard_of
from assets.framework.profile import Profile, settings_named
from assets.framework.stage import Frames, Scope, Shards, stage
from warehouse.fingerprints import checkpoint_content
from warehouse.registrations import registered

POOL_FACTOR = 2
"""Windows whose stratum is looked up for each that is screened: enough to find what is scarce, cheap beside a model."""
SHARD_WINDOWS = 2000
CALIBRATION_WINDOWS = 64
_DRAW = {
    "prefix_length", "continuation_length", "minimum_unique_share", "filter_words", "filter_token_sets", "seed",
    "screen",
}  # fmt: skip


def is_screened(profile: Profile) -> bool:
    """Whether the profile asks a checkpoint before it draws its sample."""
    return profile.paragraphs.screen is not None


def screen_subject(scope: Scope) -> str:
    """The checkpoint that is asked: the one the profile names, else the one asked before, else the latest.

    A sample that moved with every checkpoint that arrives would be no sample to compare them on.

    Raises:
        RequestError: it is not registered, or there is none.
    """
    named, corpus = scope.profile.paragraphs.screen_checkpoint, scope.profile.corpus_id
    known = {n: f for n, f in registered(scope.home, "checkpoints").items() if f.get("corpus_id", corpus) == corpus}
    if named is not None and named not in known:
        raise RequestError(
            f"paragraphs.screen_checkpoint is {named!r}, which is not among the checkpoints of corpus {corpus} "
            f"({', '.join(known) or 'none yet'}); add it with `rarecall checkpoints add`."
        )
    if not known:
        raise RequestError(
            f"the profile {scope.profile.name} screens windows of corpus {corpus} and there is no checkpoint to ask; "
            "name one under `checkpoints`, or add it with `rarecall checkpoints add`."
        )
    asked = None if scope.content("screened_windows") is None else _asked_before(scope)
    latest = max(known, key=lambda name: (known[name].get("training_step") or 0, name))
    return named or (asked if asked in known else latest)


def _asked_before(scope: Scope) -> str:
    return str(scope.read("screened_windows", ["screen_checkpoint_id"])["screen_checkpoint_id"][0])


def _evidence(scope: Scope) -> dict[str, Any]:
    name = screen_subject(scope)
    facts = registered(scope.home, "checkpoints")[name]
    return {
        "checkpoint": name,
        "registration": facts,
        "content": checkpoint_content(scope.home, name, Path(str(facts["source"]))),
    }


@stage(
    tables=("screening_windows",),
    reads=("corpora", "documents", "unigrams"),
    settings=lambda profile: {"paragraphs": settings_named(profile.paragraphs, _DRAW)},
    group="corpus",
    kinds={"numpy", "parquet"},
    applies=is_screened,
)
def screening_windows(scope: Scope) -> Shards:
    """Windows of the corpus in strata of occurrences, kind and rarity; small strata are drawn more densely."""
    return Shards(1, lambda _: {"screening_windows": _drawn(scope)}, "corpora")


def _drawn(scope: Scope) -> pl.DataFrame:
    from corpus_stats.paragraphs.facts import paragraph_ids
    from corpus_stats.paragraphs.sampling import pooled_windows
    from corpus_stats.paragraphs.two_phase import drawn_from_strata, screening_strata
    from corpus_stats.tokens.shards import TokenStream

    stream, settings = TokenStream(tokens_folder(scope)), scope.profile.paragraphs
    screened = settings.screen or 0
    pool, stands_for = pooled_windows(
        stream, scope.read("documents"), settings.length, POOL_FACTOR * screened, settings.seed,
        settings.minimum_unique_share, filter_sets(scope),
    )  # fmt: skip
    ids = stream.windows(pool["token_offset"].to_numpy(), settings.length).astype(np.int32)
    facts = _facts(scope, stream, ids)
    strata = screening_strata(
        facts["occurrence_count"].to_numpy(), facts["content_kind"].to_list(), facts["prefix_rarity_bits"].to_numpy()
    )
    rows, weights = drawn_from_strata(strata, screened, settings.seed)
    drawn = pl.concat([pool, facts], how="horizontal").with_columns(
        paragraph_id=pl.Series(paragraph_ids(ids), dtype=pl.String), stratum=pl.Series(strata, dtype=pl.String)
    )[rows]
    return _distinct(drawn.with_columns(weight=pl.Series(weights * stands_for)))


def _distinct(drawn: pl.DataFrame) -> pl.DataFrame:
    """Windows of equal contents as one, which stands for what all of them stand for."""
    others = [name for name in drawn.columns if name not in ("paragraph_id", "weight")]
    return drawn.group_by("paragraph_id", maintain_order=True).agg(
        *(pl.col(name).first() for name in others), window_count=pl.len().cast(pl.Int64), weight=pl.col("weight").sum()
    )


def _facts(scope: Scope, stream: Any, ids: np.ndarray) -> pl.DataFrame:
    """Occurrences, kind and rarity of windows, [window, position]: what their strata are made of."""
    from corpus_stats.counts.occurrences import count_occurrences_together
    from corpus_stats.paragraphs.kinds import content_kinds
    from corpus_stats.tokens.tokenizer import paragraph_texts

    with progress.task("occurrences", stream.token_count, "tokens") as task:
        (occurrences,) = count_occurrences_together(stream, [ids], on_progress=task.advance)
    bits = scope.read("unigrams", ["token_id", "surprisal_bits"]).sort("token_id")["surprisal_bits"]
    prefix = ids[:, : scope.profile.paragraphs.prefix_length]
    kinds = content_kinds(paragraph_texts(load_corpus_tokenizer(scope), ids))["content_kind"]
    rarity = bits.fill_null(0.0).to_numpy()[prefix].mean(axis=1)
    return pl.DataFrame({"content_kind": kinds, "occurrence_count": occurrences, "prefix_rarity_bits": rarity})


@stage(
    tables=("screened_windows",),
    reads=("corpora", "tokenizers", "screening_windows"),
    settings=lambda profile: {
        "paragraphs": settings_named(profile.paragraphs, {"prefix_length", "continuation_length", "screen_checkpoint"}),
        "probes": settings_named(profile.probes, {"device", "dtype", "batch_size", "beginning_of_sequence"}),
    },
    outside=_evidence,
    spreads=True,
    group="corpus",
    kinds={"pytorch", "parquet"},
    applies=is_screened,
)
def screened_windows(scope: Scope) -> Shards:
    """Leading exact match of every window by the cascade, which drops a window at its first miss."""
    from corpus_stats.tokens.shards import TokenStream

    windows, subject = scope.read("screening_windows", ["paragraph_id", "token_offset"]), screen_subject(scope)
    stream, length = TokenStream(tokens_folder(scope)), scope.profile.paragraphs.length
    load = functools.cache(functools.partial(_model, scope, subject))
    bound = functools.cache(lambda: _margin_bound(scope, load, _ids(stream, windows.head(CALIBRATION_WINDOWS), length)))

    def _compute(shard: int) -> Frames:
        from probes.scoring.half_precision import extractable_with_rescoring

        rows = shard_of(windows, shard, SHARD_WINDOWS)
        prefix = scope.profile.paragraphs.prefix_length
        found = extractable_with_rescoring(
            load(), lambda: load("float32"), _ids(stream, rows, length), prefix, [prefix], bound(),
            batch_size=scope.profile.probes.batch_size,
        )  # fmt: skip
        columns = [rows.select("paragraph_id"), found.select("exact_match", "top2_margin")]
        named = pl.concat(columns, how="horizontal").with_columns(screen_checkpoint_id=pl.lit(subject))
        return {"screened_windows": named}

    return Shards(shard_count(windows.height, SHARD_WINDOWS), _compute)


def _ids(stream: Any, windows: pl.DataFrame, length: int) -> np.ndarray:
    """Token ids of windows, [window, position]."""
    return np.asarray(stream.windows(windows["token_offset"].to_numpy(), length), dtype=np.int64)


def _model(scope: Scope, name: str, dtype: str | None = None) -> Any:
    """The checkpoint that is asked, after the same refusals as before any measurement."""
    from corpus_stats.tokens.tokenizer import load_tokenizer
    from probes.checkpoints.hub import resolve_folder
    from probes.checkpoints.inspect import inspect_checkpoint
    from probes.checkpoints.load import load_model

    facts, probes = registered(scope.home, "checkpoints")[name], scope.profile.probes
    folder = str(resolve_folder(facts["source"], facts.get("revision")))
    tokenizer = load_tokenizer(folder)
    if reason := why_another_tokenizer(scope, name, tokenizer):
        raise RequestError(reason)
    found = inspect_checkpoint(folder)
    beginning = vocabulary_row(scope, found.architecture, found.vocabulary_size, tokenizer)["beginning_id"]
    return load_model(
        facts["source"],
        facts.get("revision"),
        device=probes.device,
        dtype=dtype or probes.dtype,
        beginning_id=beginning,
    )


def _margin_bound(scope: Scope, load: Any, ids: np.ndarray) -> float:
    from probes.scoring.half_precision import measure_margin_bound

    return measure_margin_bound(load(), lambda: load("float32"), ids, scope.profile.paragraphs.prefix_length)


def _shares_add_up(_: Scope, frames: Frames) -> list[str]:
    """Whatever is singled out was kept for certain."""
    rows = frames["paragraph_weights"]
    bad = rows.filter((pl.col("sampling_group") != "other") & (pl.col("inclusion_probability") != 1))
    return [f"paragraph {name} is singled out and has a probability below 1" for name in bad["paragraph_id"]]


@stage(
    tables=("paragraph_weights",),
    reads=("screening_windows", "screened_windows"),
    settings=lambda profile: {
        "paragraphs": settings_named(profile.paragraphs, {"continuation_length", "count", "seed"})
    },
    checks={"paragraph_weights.what_is_singled_out_is_certain": _shares_add_up},
    group="corpus",
    kinds={"polars", "parquet"},
    applies=is_screened,
)
def paragraph_weights(scope: Scope) -> Shards:
    """Everything recited or nearly so, with others of the same strata, and how much of the corpus each stands for."""
    return Shards(1, lambda _: {"paragraph_weights": _kept(scope)}, "samples")


def _kept(scope: Scope) -> pl.DataFrame:
    from corpus_stats.paragraphs.two_phase import kept_of_screened

    settings = scope.profile.paragraphs
    windows = scope.read("screening_windows", ["paragraph_id", "stratum", "weight"])
    screened = windows.join(scope.read("screened_windows"), on="paragraph_id", maintain_order="left")
    kept = kept_of_screened(screened, settings.continuation_length, settings.count, settings.seed)
    return kept.rename({"exact_match": "screened_exact_match"}).drop("top2_margin", "corpus_id", strict=False)


def kept_windows(scope: Scope) -> pl.DataFrame:
    """document_id, token_offset and subset of the windows that became paragraphs, in stream order."""
    windows = scope.read("screening_windows", ["paragraph_id", "document_id", "token_offset", "subset"])
    kept = windows.join(scope.read("paragraph_weights", ["paragraph_id"]), on="paragraph_id", how="semi")
    return kept.sort("token_offset").drop("paragraph_id")
