"""Corpus stages: the tokenizer, and the text as token shards with the place of every document."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.corpus import evidence
from assets.corpus.releases import RELEASED, counted_text, released_content
from assets.corpus.sliced import tokenized_in_slices
from assets.corpus.tokenizers import load_corpus_tokenizer, pinned_commit, tokenizer_artifacts, tokenizer_place
from assets.figures import previews
from assets.framework import progress
from assets.framework.checkpoint_names import split_revision
from assets.framework.errors import RequestError
from assets.framework.profile import CorpusSettings, Profile, roles_key, settings_of
from assets.framework.stage import Frames, Scope, Shards, stage

if TYPE_CHECKING:
    from corpus_stats.tokens.shards import TokenizedCorpus


PYTHON = "python-installation"


def kind_of(profile: Profile) -> str:
    """Kind of the profile's corpus: a reader's, token files, or a release."""
    from corpus_stats.readers import detect_kind

    settings = profile.corpus
    key = (settings.source, repr(sorted(settings.options.items())))
    if settings.kind is None and key not in _kinds:
        _kinds[key] = detect_kind(settings.source, **settings.options)
    return settings.kind or _kinds[key]


_kinds: dict[tuple[str, str], str] = {}
"""Kinds by source and options: files are looked at once per process."""


def is_text(profile: Profile) -> bool:
    """Whether the corpus comes as text rather than as token ids."""
    from corpus_stats.readers import ID_LINES, PRETOKENIZED

    return kind_of(profile) not in (PRETOKENIZED, ID_LINES, RELEASED)


def reader_of(profile: Profile) -> Any:
    """A fresh reader over the profile's text."""
    from corpus_stats.readers import open_source

    settings = profile.corpus
    return open_source(settings.source, kind_of(profile), on_bad=settings.on_bad, **settings.options)


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
    """Asked once per process: a run sees one corpus. Of a data set of the hub the commit."""
    key = (str(scope.home.root), scope.profile.corpus_id, source)
    if key not in _contents:
        files = [evidence.ReadFile(*file) for file in source_files(scope.profile)]
        _contents[key] = (
            evidence.content_of(scope.home, scope.profile.corpus_id, files)
            if files
            else evidence.data_set_commit(source, scope.profile.corpus.options.get("revision"))
        )
    return _contents[key]


_contents: dict[tuple[str, str, str], str | None] = {}


def forget_contents() -> None:
    """Look at the source again in this process."""
    _contents.clear()
    _kinds.clear()


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
    note, (name, revision) = f"{scope.profile.corpus_id}.tokenizer", split_revision(source)
    return pinned_commit(scope, source) or evidence.tokenizer_content(scope.home, note, name, revision)


def _corpora_evidence(scope: Scope) -> dict[str, Any]:
    """The source and the tokenizer, also one that was trained here: its files lie in the home for anybody to change."""
    known = source_signature(scope)
    return known if "tokenizer" in known else {**known, "tokenizer": _tokenizer_in(scope, tokenizer_source(scope))}


def _earlier_signature(scope: Scope) -> dict[str, Any] | None:
    """What earlier versions hold about the source, where that saw all that is read and the tokenizer is as it was.

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


def _earlier_corpora(scope: Scope) -> dict[str, Any] | None:
    """As for the tokenizer, unless a text named a special token: such names are text now and were ids before."""
    return None if is_text(scope.profile) and _holds_special_ids(scope) else _earlier_signature(scope)


def _holds_special_ids(scope: Scope) -> bool:
    """Whether special ids were counted in the text; yes where nothing was counted yet."""
    if scope.content("unigrams") is None:
        return True
    special = load_corpus_tokenizer(scope).all_special_ids
    counts = scope.read("unigrams", ["token_id", "token_count"])
    return bool(counts.filter(pl.col("token_id").is_in(special))["token_count"].sum())


def _was_made_before(scope: Scope) -> bool:
    """Whether one of the two tables holds evidence of the old form."""
    manifests = [scope.store(name).manifest(scope.profile.corpus_id) for name in ("tokenizers", "corpora")]
    outside = [manifest.inputs.get("outside", {}) for manifest in manifests if manifest is not None]
    return any("files" in facts or set(facts) == {"released"} for facts in outside)


def _has_same_tokenizer(scope: Scope) -> bool:
    """Whether the tokenizer that the record names is the one that would be loaded today."""
    from corpus_stats.tokens.tokenizer import tokenizer_sha256

    return tokenizer_sha256(load_corpus_tokenizer(scope)) == scope.read("tokenizers")["tokenizer_sha256"][0]


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
    return tokenizer_artifacts(scope)


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
        tokenizer = load_tokenizer(tokenizer_place(scope, source))
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
    earlier=_earlier_corpora,
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
    from corpus_stats.readers import ID_LINES, PRETOKENIZED

    kind = kind_of(scope.profile)
    if kind != PRETOKENIZED:
        return 0, "rows" if kind == ID_LINES else "documents"
    vocabulary = int(scope.read("tokenizers")["vocabulary_count"][0])
    return token_files_of(scope.profile.corpus, vocabulary).token_count, "tokens"


def token_files_of(settings: CorpusSettings, vocabulary_size: int | None = None) -> Any:
    """The token files of a source, looked at from outside; see `corpus_stats.tokens.layouts.TokenFiles`."""
    from corpus_stats.readers import PRETOKENIZED
    from corpus_stats.tokens.pretokenized import look_at_token_files

    options = token_options(PRETOKENIZED, settings.options)
    known = {name: options[name] for name in ("dtype", "include", "exclude", "split") if name in options}
    return look_at_token_files(settings.source, vocabulary_size=vocabulary_size, **known)


def token_options(kind: str, options: dict[str, Any]) -> dict[str, Any]:
    """Options of a corpus of token ids as the types they have.

    Raises:
        CorpusError: an option is unknown or of another type.
    """
    from corpus_stats.readers import PRETOKENIZED
    from corpus_stats.readers.id_lines import IdLinesReader
    from corpus_stats.readers.registry import checked_options
    from corpus_stats.tokens.pretokenized import register_token_files

    if kind == PRETOKENIZED:
        without = ("source", "tokenizer", "folder", "on_progress")
        return checked_options("The reader of token files", register_token_files, options, without)
    return checked_options("The reader of token lines", IdLinesReader.__init__, options, ("self", "source", "on_bad"))


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
    from corpus_stats.readers import ID_LINES, PRETOKENIZED
    from corpus_stats.readers.base import FileReader
    from corpus_stats.tokens.shards import write_id_documents, write_token_shards
    from corpus_stats.tokens.tokenizer import load_tokenizer

    settings, tokenizer = scope.profile.corpus, load_tokenizer(tokenizer_place(scope, tokenizer_source))
    kind = kind_of(scope.profile)
    if kind == PRETOKENIZED:
        return _registered_in_place(scope, tokenizer, folder, advance)
    if kind == ID_LINES:
        return _written_rows(scope, tokenizer, folder, advance)
    if kind == RELEASED:
        from corpus_stats.importers.corpus_text import corpus_text_documents

        documents = corpus_text_documents(counted_text(scope), tokenizer.eos_token_id)
        return write_id_documents(documents, tokenizer, folder, settings.shard_tokens)
    reader = reader_of(scope.profile)
    if isinstance(reader, FileReader):
        return tokenized_in_slices(scope, reader, tokenizer, source_signature(scope), folder, advance)
    return write_token_shards(reader, tokenizer, folder, settings.shard_tokens, advance)


def _registered_in_place(scope: Scope, tokenizer: Any, folder: Path, advance: Callable[[int], None]) -> TokenizedCorpus:
    from corpus_stats.readers import PRETOKENIZED
    from corpus_stats.tokens.pretokenized import register_token_files

    settings = scope.profile.corpus
    options = token_options(PRETOKENIZED, settings.options)
    return register_token_files(settings.source, tokenizer, folder, on_progress=advance, **options)


def _written_rows(scope: Scope, tokenizer: Any, folder: Path, advance: Callable[[int], None]) -> TokenizedCorpus:
    """Rows of ids in JSON lines, written as shards."""
    from corpus_stats.readers import ID_LINES
    from corpus_stats.readers.id_lines import IdLinesReader
    from corpus_stats.tokens.shards import write_id_rows

    settings = scope.profile.corpus
    reader = IdLinesReader(settings.source, settings.on_bad, **token_options(ID_LINES, settings.options))
    return write_id_rows(
        reader.rows(), tokenizer, folder, settings.shard_tokens, on_progress=advance,
        left_out=lambda: (reader.skipped, reader.first_skipped),
    )  # fmt: skip
