"""Corpus stages: the tokenizer, and the text as token shards with the place of every document."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from assets import plots
from assets.execute import Shards, materialize, stage_asset
from assets.profile import Profile, settings_of
from assets.resources import Workspace
from assets.stage import Frames, Scope, Stage
from warehouse.atomic import digest


def reader_of(profile: Profile) -> Any:
    """A fresh reader over the profile's corpus."""
    from corpus_stats.readers import open_source

    return open_source(profile.corpus.source, profile.corpus.kind, on_bad=profile.corpus.on_bad)


def source_signature(scope: Scope) -> dict[str, Any]:
    """Cheap evidence that the source is unchanged: names, sizes and times of its files."""
    return {"source": reader_of(scope.profile).source, "files": _files_signature(reader_of(scope.profile).source)}


@cache
def _files_signature(source: str) -> str | None:
    """Digest over the files below a path; None for what is no path. Asked once per process: a run sees one corpus."""
    root = Path(source)
    if not root.exists():
        return None
    stats: list[tuple[str, int, int]] = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(set(subfolders) - {"site-packages", "dist-packages", "__pycache__"})
        stats += [(f"{folder}/{n}", *_size_and_time(Path(folder, n))) for n in sorted(names)]
    return digest(stats or [_size_and_time(root)])


def _size_and_time(path: Path) -> tuple[int, int]:
    """Links that lead nowhere count as empty files."""
    facts = path.lstat()
    return facts.st_size, facts.st_mtime_ns


def _tokenizer_settings(profile: Profile) -> dict[str, Any]:
    return settings_of(profile.corpus, "shard_tokens")


def tokenizer_source(scope: Scope) -> str:
    """Folder or hub id of the corpus' tokenizer."""
    return scope.profile.corpus.tokenizer or str(scope.corpus_folder() / "tokenizer")


def _local_tokenizer(scope: Scope) -> list[Path]:
    return [] if scope.profile.corpus.tokenizer else [scope.corpus_folder() / "tokenizer" / "tokenizer.json"]


TOKENIZERS = Stage(("tokenizers",), settings=_tokenizer_settings, outside=source_signature, artifacts=_local_tokenizer)


@stage_asset(TOKENIZERS, group="corpus", kinds={"huggingface", "parquet"})
def tokenizers(context: dg.AssetExecutionContext, workspace: Workspace) -> Any:
    """Given by the profile, or a byte-level BPE trained on the whole corpus."""
    yield from materialize(context, TOKENIZERS, workspace.scope(context), _tokenizer_shard)


def _tokenizer_shard(scope: Scope) -> Shards:
    def compute(_: int) -> Frames:
        from corpus_stats.tokenizer import load_tokenizer, tokenizer_sha256, train_tokenizer, vocabulary_count

        if scope.profile.corpus.tokenizer is None:
            texts = (document.text for document in reader_of(scope.profile))
            train_tokenizer(texts, scope.profile.corpus.vocabulary_size).save_pretrained(tokenizer_source(scope))
        tokenizer = load_tokenizer(tokenizer_source(scope))
        row = {
            "source": tokenizer_source(scope),
            "is_trained_here": scope.profile.corpus.tokenizer is None,
            "vocabulary_count": vocabulary_count(tokenizer),
            "tokenizer_sha256": tokenizer_sha256(tokenizer),
        }
        return {"tokenizers": pl.DataFrame([row])}

    return Shards(1, compute)


def tokens_folder(scope: Scope) -> Path:
    """Folder of the token shards."""
    return scope.corpus_folder() / "tokens"


def _no_document_out_of_place(_: Scope, frames: Frames) -> list[str]:
    documents = frames["documents"].sort("document_id")
    ends = documents["token_offset"] + documents["token_count"]
    gaps = documents.filter(documents["token_offset"] != ends.shift(1, fill_value=0))
    return [f"document {row['name']} does not begin where the one before it ends" for row in gaps.iter_rows(named=True)]


def _tokens_add_up(_: Scope, frames: Frames) -> list[str]:
    total, parts = frames["corpora"]["token_count"].sum(), frames["documents"]["token_count"].sum()
    return [] if total == parts else [f"the corpus has {total} tokens, its documents {parts}"]


CORPORA = Stage(
    ("corpora", "documents"),
    upstream=("tokenizers",),
    settings=lambda profile: settings_of(profile.corpus),
    outside=source_signature,
    artifacts=lambda scope: [tokens_folder(scope) / "tokens.json"],
    checks={
        "corpora.tokens_equal_sum_of_documents": _tokens_add_up,
        "documents.documents_are_contiguous": _no_document_out_of_place,
    },
)


@stage_asset(CORPORA, group="corpus", kinds={"numpy", "parquet"})
def corpora(context: dg.AssetExecutionContext, workspace: Workspace) -> Any:
    """Text read in a fixed order and fingerprinted; token ids as memory-mapped shards."""

    def shards(scope: Scope) -> Shards:
        return Shards(1, lambda _: _tokenize(context, scope))

    drawn = {"documents": plots.tokens_by_subset}
    yield from materialize(context, CORPORA, workspace.scope(context), shards, drawn)


def _tokenize(context: dg.AssetExecutionContext, scope: Scope) -> Frames:
    from corpus_stats.token_shards import write_token_shards
    from corpus_stats.tokenizer import load_tokenizer

    reader = reader_of(scope.profile)
    facts = scope.read("tokenizers").row(0, named=True)
    corpus = write_token_shards(
        reader, load_tokenizer(facts["source"]), tokens_folder(scope), shard_tokens=scope.profile.corpus.shard_tokens
    )
    context.log.info(f"{corpus.document_count} documents, {corpus.token_count} tokens, skipped {dict(reader.skipped)}")
    row = {
        "source": reader.source,
        "tokenizer": facts["source"],
        "tokenizer_sha256": facts["tokenizer_sha256"],
        "vocabulary_count": corpus.vocabulary_count,
        "document_count": corpus.document_count,
        "skipped_document_count": corpus.skipped_document_count,
        "token_count": corpus.token_count,
        "byte_count": corpus.byte_count,
        "fingerprint": corpus.fingerprint,
        "tokens_folder": str(tokens_folder(scope)),
    }
    return {"corpora": pl.DataFrame([row]), "documents": corpus.documents}
