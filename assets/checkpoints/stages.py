"""Checkpoint stage: inspect what is registered, and refuse what could only give wrong numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from assets.checkpoints.vocabulary import load_tokenizer_of, vocabulary_row, why_another_tokenizer
from assets.framework.errors import RequestError
from assets.framework.stage import Frames, Scope, Shards, no_rows, stage
from warehouse.fingerprints import checkpoint_content
from warehouse.registrations import registration


def registered_source(scope: Scope) -> dict[str, Any]:
    """Registration of the scope's checkpoint."""
    return registration(scope.home, "checkpoints", scope.checkpoint_id or "")


def _signature(scope: Scope) -> dict[str, Any]:
    """The registration, and the content of a local checkpoint's files.

    A checkpoint replaced in place is another one; a folder that is gone counts as what it was, so results stay.
    """
    facts = registered_source(scope)
    return {
        "registration": facts,
        "content": checkpoint_content(scope.home, scope.checkpoint_id or "", Path(facts["source"])),
    }


def _tokenizer_matches(scope: Scope, frames: Frames) -> list[str]:
    facts = frames["checkpoints"].row(0, named=True)
    theirs = load_tokenizer_of(facts["source"], facts["revision"])
    reason = why_another_tokenizer(scope, str(scope.checkpoint_id), theirs)
    return [] if reason is None else [reason.rstrip(".")]


def _context_long_enough(scope: Scope, frames: Frames) -> list[str]:
    length, needed = frames["checkpoints"]["context_length"][0], scope.profile.paragraphs.length
    return (
        []
        if length >= needed
        else [f"checkpoint {scope.checkpoint_id} reads {length} tokens, paragraphs have {needed}"]
    )


@stage(
    tables=("checkpoints", "vocabularies"),
    reads=("tokenizers", "unigrams", "paragraphs"),
    settings=lambda profile: {"beginning_of_sequence": profile.probes.beginning_of_sequence},
    outside=_signature,
    checks={
        "checkpoints.tokenizer_is_the_corpus_tokenizer": _tokenizer_matches,
        "checkpoints.context_holds_a_paragraph": _context_long_enough,
    },
    group="checkpoints",
    kinds={"huggingface", "parquet"},
    files=("training_steps",),
)
def checkpoints(scope: Scope) -> Shards:
    """Complete files, known architecture, finite weights, a tokenizer that gives the corpus' ids; hashes over the
    weights; what stands before every paragraph, and which tokens stand for no text."""
    return Shards(1, lambda _: inspect_registered(scope))


def inspect_registered(scope: Scope) -> Frames:
    """The rows of the scope's checkpoint, after every check that needs no forward pass."""
    from corpus_stats.tokens.tokenizer import load_tokenizer, tokenizer_sha256
    from probes.checkpoints.hub import resolve_folder
    from probes.checkpoints.inspect import inspect_checkpoint, refuse_non_finite_weights, weights_sha256

    facts = registered_source(scope)
    if facts.get("corpus_id", scope.profile.corpus_id) != scope.profile.corpus_id:
        raise RequestError(
            f"checkpoint {scope.checkpoint_id} is registered for corpus {facts['corpus_id']}, the profile "
            f"{scope.profile.name} reads {scope.profile.corpus_id}; choose the profile that fits."
        )
    folder = resolve_folder(facts["source"], facts.get("revision"))
    tokenizer = load_tokenizer(str(folder))
    found = inspect_checkpoint(str(folder))
    refuse_non_finite_weights(str(folder))
    row = {
        "corpus_id": scope.profile.corpus_id,
        "source": facts["source"],
        "revision": facts.get("revision"),
        "training_step": facts.get("training_step"),
        "architecture": found.architecture,
        "layer_count": found.layer_count,
        "head_count": found.head_count,
        "hidden_size": found.hidden_size,
        "context_length": found.context_length,
        "parameter_count": found.parameter_count,
        "weights_sha256": weights_sha256(folder),
        "tokenizer_sha256": tokenizer_sha256(tokenizer),
    }
    schema = {"revision": pl.String, "training_step": pl.Int64}
    vocabulary = vocabulary_row(scope, found.architecture, found.vocabulary_size, tokenizer)
    ids: dict[str, Any] = {"beginning_id": pl.Int32, "undrawn_ids": pl.List(pl.Int32)}
    return {
        "checkpoints": pl.DataFrame([row], schema_overrides=schema),
        "vocabularies": pl.DataFrame([vocabulary], schema_overrides=ids),
    }


@stage(
    tables=("edited_checkpoints",),
    reads=("checkpoints",),
    outside=lambda scope: {"edit": registered_source(scope).get("edit")},
    group="checkpoints",
    kinds={"parquet"},
)
def edited_checkpoints(scope: Scope) -> Shards:
    """Read from the registration that `rarecall edit --save` writes."""
    facts = registered_source(scope).get("edit")
    empty = no_rows("edited_checkpoints")
    frame = pl.DataFrame([facts], schema=empty.schema) if facts else empty
    return Shards(1, lambda _: {"edited_checkpoints": frame}, "checkpoints")
