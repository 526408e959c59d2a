"""From a corpus of any kind to token shards: text is tokenized, token files stay in place, a release is laid out."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.corpora import kind_of, reader_of
from assets.errors import RequestError
from assets.released import RELEASED, read_released
from assets.stage import Scope

if TYPE_CHECKING:
    from corpus_stats.token_shards import TokenizedCorpus


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
    from corpus_stats.token_shards import write_id_documents, write_token_shards
    from corpus_stats.tokenizer import load_tokenizer

    settings, tokenizer = scope.profile.corpus, load_tokenizer(tokenizer_source)
    kind = kind_of(scope.profile)
    if kind == PRETOKENIZED:
        return _registered_in_place(scope, tokenizer, folder, advance)
    if kind == RELEASED:
        from corpus_stats.importers.corpus_text import corpus_text_documents

        documents = corpus_text_documents(read_released(scope), tokenizer.eos_token_id)
        return write_id_documents(documents, tokenizer, folder, settings.shard_tokens)
    return write_token_shards(reader_of(scope.profile), tokenizer, folder, settings.shard_tokens, advance)


def _registered_in_place(scope: Scope, tokenizer: Any, folder: Path, advance: Callable[[int], None]) -> TokenizedCorpus:
    from corpus_stats.pretokenized import register_token_files

    options = scope.profile.corpus.options
    known = list(inspect.signature(register_token_files).parameters)[3:-1]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise RequestError(f"token files have no option {unknown[0]!r}; they take {', '.join(known)}.")
    return register_token_files(scope.profile.corpus.source, tokenizer, folder, on_progress=advance, **options)
