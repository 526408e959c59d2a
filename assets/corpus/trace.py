"""Text traced to the corpus: which of its stretches stand there verbatim, how often, and in which documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from assets.corpus.text import tokens_folder
from assets.corpus.tokenizers import load_corpus_tokenizer
from assets.framework.errors import RequestError
from assets.framework.stage import Scope

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def trace_text(
    scope: Scope, text: str, minimum_tokens: int, on_progress: Callable[[int], None] | None = None
) -> pl.DataFrame:
    """Longest stretches of a text that the scope's corpus holds.

    Args:
        scope: home and profile; the corpus must have been read.
        text: tokenized as the corpus was.
        minimum_tokens: shorter stretches are of no interest.
        on_progress: called with the tokens of each scanned piece; the corpus is scanned twice.

    Returns:
        One row per stretch in order of the text: token_count, occurrence_count, text, document (name and subset of the
        first document that holds it; empty where it lies across two), token_offset.

    Raises:
        RequestError: the corpus was not read yet, or the text is shorter than the stretches.
    """
    from corpus_stats.counts.trace import longest_stretches
    from corpus_stats.tokens.shards import TokenStream
    from corpus_stats.tokens.tokenizer import encoder

    if scope.content("corpora") is None:
        raise RequestError(f"corpus {scope.profile.corpus_id} has not been read yet; run `rarecall run` first.")
    tokenizer = load_corpus_tokenizer(scope)
    ids = np.array(encoder(tokenizer).encode(text, add_special_tokens=False).ids, dtype=np.int64)
    if len(ids) < minimum_tokens:
        raise RequestError(f"the text has {len(ids)} tokens; give a longer one, or a smaller --minimum.")
    stretches = longest_stretches(TokenStream(tokens_folder(scope)), [ids], minimum_tokens, 1, on_progress)
    return _told(scope, stretches, ids, tokenizer)


def corpus_tokens(scope: Scope) -> int:
    """Tokens of the scope's corpus; 0 where it was not read."""
    return int(scope.read("corpora")["token_count"][0]) if scope.content("corpora") is not None else 0


def _told(scope: Scope, stretches: pl.DataFrame, ids: np.ndarray, tokenizer: PreTrainedTokenizerFast) -> pl.DataFrame:
    """Stretches with their text and the document they first stand in."""
    documents = scope.read("documents", ["name", "subset", "token_offset", "token_count"])
    starts, counts = documents["token_offset"].to_numpy(), documents["token_count"].to_numpy()
    rows = []
    for offset, length, count, places in stretches.select(
        "query_offset", "token_count", "occurrence_count", "token_offsets"
    ).iter_rows():
        found = int(np.searchsorted(starts, places[0], side="right")) - 1
        is_inside = found >= 0 and places[0] + length <= starts[found] + counts[found]
        name, subset = (documents["name"][found], documents["subset"][found]) if is_inside else (None, None)
        rows.append((length, count, tokenizer.decode(ids[offset : offset + length]), name, subset, places[0]))
    schema = {
        "token_count": pl.Int64,
        "occurrence_count": pl.Int64,
        "text": pl.String,
        "document": pl.String,
        "subset": pl.String,
        "token_offset": pl.Int64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")
