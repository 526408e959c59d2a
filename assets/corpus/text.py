"""Corpus stages: the tokenizer, and the text as token shards with the place of every document."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.corpus import evidence
from assets.corpus.releases import RELEASED, counted_text, released_content
from assets.figures import previews
from assets.framework import progress
from assets.framework.errors import RequestError
from assets.framework.profile import Profile, roles_key, settings_of
from assets.framework.stage import Frames, Scope, Shards, stage

if TYPE_CHECKING:
    from corpus_stats.tokens.shards import TokenizedCorpus


PYTHON = "python-installation"


def kind_of(profile: Profile) -> str:
    """Kind of the profile's corpus: a reader's, token files, or a release."""
    from corpus_stats.readers import detect_kind

    return profile.corpus.kind or detect_kind(profile.corpus.source, **profile.corpus.options)


def is_text(profile: Profile) -> bool:
    """Whether the corpus comes as text rather than as token ids."""
    from corpus_stats.readers import ID_LINES, PRETOKENIZED

    return kind_of(profile) not in (PRETOKENIZED, ID_LINES, RELEASED)


def reader_of(profile: Profile) -> Any:
    """A fresh reader over the profile's text."""
    from corpus_stats.readers import open_source

    settings = profile.corpus
    return open_source(settings.source, settings.kind, on_bad=settings.on_bad, **settings.options)


def corpus_source(profile: Profile) -> str:
    """Where the corpus comes from, paths resolved."""
    source = profile.corpus.source
    if is_text(profile):
        return str(reader_of(profile).source)
    return source if profile.releases else str(Path(source).expanduser().resolve())


def source_signature(scope: Scope) -> dict[str, Any]:
    """Content of everything that is read of the source, and of the tokenizer where one is given."""
    if kind_of(scope.profile) == RELEASED:
        return {"released": released_content(scope), **_tokenizer_evidence(scope)}
    source = corpus_source(scope.profile)
    return {"source": source, "content": _source_content(scope, source), **_tokenizer_evidence(scope)}


def _source_content(scope: Scope, source: str) -> str | None:
    """Asked once per process: a run sees one corpus."""
    key = (str(scope.home.root), scope.profile.corpus_id, source)
    if key not in _contents:
        files = [evidence.ReadFile(*file) for file in source_files(scope.profile)]
        _contents[key] = evidence.content_of(scope.home, scope.profile.corpus_id, files) if files else None
    return _contents[key]


_contents: dict[tuple[str, str, str], str | None] = {}


def forget_contents() -> None:
    """Look at the source again in this process."""
    _contents.clear()


def source_files(profile: Profile) -> list[Any]:
    """Files that are read of the source, by their name within it; none for what is no path."""
    if is_text(profile):
        return reader_of(profile).listing().files
    from corpus_stats.readers.files import FileChoice, existing_path, list_files

    options = profile.corpus.options
    chosen = FileChoice(tuple(options.get("include", ())), tuple(options.get("exclude", ())), options.get("split"))
    return list_files(existing_path(profile.corpus.source, "token"), chosen).files


def _tokenizer_evidence(scope: Scope) -> dict[str, Any]:
    source = scope.profile.corpus.tokenizer
    return {} if source is None else {"tokenizer": _tokenizer_in(scope, source)}


def _tokenizer_in(scope: Scope, source: str) -> str | None:
    return evidence.tokenizer_content(scope.home, f"{scope.profile.corpus_id}.tokenizer", source)


def _corpora_evidence(scope: Scope) -> dict[str, Any]:
    """The source and the tokenizer, also one that was trained here: its files lie in the home for anybody to change."""
    known = source_signature(scope)
    return known if "tokenizer" in known else {**known, "tokenizer": _tokenizer_in(scope, tokenizer_source(scope))}


def _earlier_signature(scope: Scope) -> dict[str, Any] | None:
    """What homes made before 0.3 hold about the source, where that saw all that is read and the tokenizer is as it was.

    Their evidence was names, sizes and times of files without link targets, and nothing about the tokenizer.
    """
    if not _was_made_before(scope) or not _has_same_tokenizer(scope):
        return None
    if kind_of(scope.profile) == RELEASED:
        return {"released": released_content(scope)}
    source = corpus_source(scope.profile)
    if kind_of(scope.profile) != PYTHON and not evidence.signature_was_sound(Path(source)):
        return None
    return {"source": source, "files": evidence.files_signature(source)}


def _was_made_before(scope: Scope) -> bool:
    """Whether one of the two tables holds evidence of the old form."""
    manifests = [scope.store(name).manifest(scope.profile.corpus_id) for name in ("tokenizers", "corpora")]
    outside = [manifest.inputs.get("outside", {}) for manifest in manifests if manifest is not None]
    return any("files" in facts or set(facts) == {"released"} for facts in outside)


def _has_same_tokenizer(scope: Scope) -> bool:
    """Whether the tokenizer that the record names is the one that would be loaded today."""
    from corpus_stats.tokens.tokenizer import load_tokenizer, tokenizer_sha256

    facts = scope.read("tokenizers").row(0, named=True)
    return tokenizer_sha256(load_tokenizer(facts["source"])) == facts["tokenizer_sha256"]


def _tokenizer_settings(profile: Profile) -> dict[str, Any]:
    return settings_of(profile.corpus, "shard_tokens")


def tokenizer_source(scope: Scope) -> str:
    """Folder or hub id of the corpus' tokenizer.

    Raises:
        RequestError: the corpus comes as token ids and the profile does not say which tokenizer made them.
    """
    if scope.profile.corpus.tokenizer is None and not is_text(scope.profile):
        raise RequestError(
            f"corpus {scope.profile.corpus_id} holds token ids and no tokenizer is named; say which one made them, in "
            "the profile or with `rarecall corpus add --tokenizer`."
        )
    return scope.profile.corpus.tokenizer or str(scope.corpus_folder() / "tokenizer")


def _local_tokenizer(scope: Scope) -> list[Path]:
    return [] if scope.profile.corpus.tokenizer else [scope.corpus_folder() / "tokenizer" / "tokenizer.json"]


@stage(
    tables=("tokenizers",),
    settings=_tokenizer_settings,
    outside=source_signature,
    earlier=_earlier_signature,
    artifacts=_local_tokenizer,
    group="corpus",
    kinds={"huggingface", "parquet"},
)
def tokenizers(scope: Scope) -> Shards:
    """Given by the profile, or a byte-level BPE trained on the whole corpus."""

    def _compute(_: int) -> Frames:
        from corpus_stats.tokens.tokenizer import load_tokenizer, tokenizer_sha256, train_tokenizer, vocabulary_count

        source = tokenizer_source(scope)
        if scope.profile.corpus.tokenizer is None:
            texts = (document.text for document in reader_of(scope.profile))
            train_tokenizer(texts, scope.profile.corpus.vocabulary_size).save_pretrained(source)
        tokenizer = load_tokenizer(source)
        row = {
            "source": source,
            "is_trained_here": scope.profile.corpus.tokenizer is None,
            "vocabulary_count": vocabulary_count(tokenizer),
            "tokenizer_sha256": tokenizer_sha256(tokenizer),
        }
        return {"tokenizers": pl.DataFrame([row])}

    return Shards(1, _compute)


def tokens_folder(scope: Scope) -> Path:
    """Folder of the token shards."""
    return scope.corpus_folder() / "tokens"


def _no_document_out_of_place(_: Scope, frames: Frames) -> list[str]:
    """Tokens may stand between documents, documents may not stand in each other."""
    documents = frames["documents"].sort("document_id")
    ends = (documents["token_offset"] + documents["token_count"]).shift(1, fill_value=0)
    bad = documents.filter(documents["token_offset"] < ends)
    return [f"document {row['name']} begins before the one before it ends" for row in bad.iter_rows(named=True)]


def _tokens_add_up(_: Scope, frames: Frames) -> list[str]:
    facts, parts = frames["corpora"].row(0, named=True), frames["documents"]["token_count"].sum()
    if facts["token_count"] == parts + facts["separator_count"]:
        return []
    return [
        f"the corpus has {facts['token_count']} tokens, its documents {parts} and {facts['separator_count']} stand "
        "between them"
    ]


def _every_skip_is_counted(_: Scope, frames: Frames) -> list[str]:
    skipped, listed = frames["corpora"]["skipped_document_count"][0], frames["skipped_documents"]["document_count"]
    return [] if skipped == listed.sum() else [f"{skipped} documents were skipped, {listed.sum()} are listed"]


@stage(
    tables=("corpora", "documents", "skipped_documents"),
    reads=("tokenizers",),
    settings=lambda profile: settings_of(profile.corpus) | roles_key(profile),
    outside=_corpora_evidence,
    earlier=_earlier_signature,
    artifacts=lambda scope: [tokens_folder(scope) / "tokens.json"],
    checks={
        "corpora.tokens_equal_sum_of_documents": _tokens_add_up,
        "documents.documents_do_not_overlap": _no_document_out_of_place,
        "skipped_documents.every_skip_has_a_reason": _every_skip_is_counted,
    },
    group="corpus",
    kinds={"numpy", "parquet"},
    files=("released_paragraphs",),
    plots={"documents": previews.tokens_by_subset},
)
def corpora(scope: Scope) -> Shards:
    """Text read in a fixed order and fingerprinted; token ids as memory-mapped shards. Token files stay in place."""
    return Shards(1, lambda _: _corpus_frames(scope))


def _corpus_frames(scope: Scope) -> Frames:

    facts = scope.read("tokenizers").row(0, named=True)
    with progress.task("corpora", *_amount(scope)) as task:
        corpus = tokenized(scope, facts["source"], tokens_folder(scope), task.advance)
    progress.say(f"{corpus.document_count} documents, {corpus.token_count} tokens, skipped {corpus.skipped}")
    names = ("tokenizer_sha256", "vocabulary_count", "document_count", "skipped_document_count", "token_count")
    row = {
        "source": corpus_source(scope.profile),
        "tokenizer": facts["source"],
        "tokens_folder": str(tokens_folder(scope)),
        **{name: getattr(corpus, name) for name in (*names, "separator_count", "byte_count", "fingerprint")},
    }
    schema = {"reason": pl.String, "document_count": pl.Int64, "first_example": pl.String}
    skipped = [(reason, count, corpus.first_skipped[reason]) for reason, count in sorted(corpus.skipped.items())]
    return {
        "corpora": pl.DataFrame([row]),
        "documents": corpus.documents,
        "skipped_documents": pl.DataFrame(skipped, schema=schema, orient="row"),
    }


def _amount(scope: Scope) -> tuple[int, str]:
    """Units of work and their name; 0 where nobody knows before reading."""
    from corpus_stats.readers import PRETOKENIZED
    from corpus_stats.tokens.pretokenized import token_file_count

    if kind_of(scope.profile) != PRETOKENIZED:
        return 0, "documents"
    dtype = scope.profile.corpus.options.get("dtype", "uint16")
    return token_file_count(scope.profile.corpus.source, dtype), "tokens"


def tokenized(scope: Scope, tokenizer_source: str, folder: Path, advance: Callable[[int], None]) -> TokenizedCorpus:
    """Makes the token stream of the scope's corpus in `folder`.

    Args:
        scope: home and profile.
        tokenizer_source: folder or hub id.
        folder: where `tokens.json`, `documents.parquet` and, unless they exist already, the shards go.
        advance: called with the units of each finished piece.

    Raises:
        CorpusError: the source is broken.
    """
    from corpus_stats.readers import PRETOKENIZED
    from corpus_stats.tokens.shards import write_id_documents, write_token_shards
    from corpus_stats.tokens.tokenizer import load_tokenizer

    settings, tokenizer = scope.profile.corpus, load_tokenizer(tokenizer_source)
    kind = kind_of(scope.profile)
    if kind == PRETOKENIZED:
        return _registered_in_place(scope, tokenizer, folder, advance)
    if kind == RELEASED:
        from corpus_stats.importers.corpus_text import corpus_text_documents

        documents = corpus_text_documents(counted_text(scope), tokenizer.eos_token_id)
        return write_id_documents(documents, tokenizer, folder, settings.shard_tokens)
    return write_token_shards(reader_of(scope.profile), tokenizer, folder, settings.shard_tokens, advance)


def _registered_in_place(scope: Scope, tokenizer: Any, folder: Path, advance: Callable[[int], None]) -> TokenizedCorpus:
    from corpus_stats.tokens.pretokenized import register_token_files

    options = scope.profile.corpus.options
    known = list(inspect.signature(register_token_files).parameters)[3:-1]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise RequestError(f"token files have no option {unknown[0]!r}; they take {', '.join(known)}.")
    return register_token_files(scope.profile.corpus.source, tokenizer, folder, on_progress=advance, **options)
