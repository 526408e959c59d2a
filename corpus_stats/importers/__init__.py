"""Data that other projects released, as frames with provenance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from corpus_stats.errors import CorpusError
from corpus_stats.importers.copies import import_texts_with_copies
from corpus_stats.importers.lm_extraction import import_lm_extraction_benchmark
from corpus_stats.importers.localizing import import_localizing_paragraph_memorization
from corpus_stats.importers.pythia_evals import import_pythia_memorized_evals

__all__ = [
    "COPIES",
    "RELEASES",
    "import_lm_extraction_benchmark",
    "import_localizing_paragraph_memorization",
    "import_pythia_memorized_evals",
    "import_release",
    "import_texts_with_copies",
]

COPIES = "texts-with-copies"
RELEASES = ("lm-extraction-benchmark", "localizing-paragraph-memorization", "pythia-memorized-evals", COPIES)
_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "source_file": pl.String,
    "source_row": pl.Int64,
    "split": pl.String,
    "paragraph_id": pl.String,
    "token_ids": pl.List(pl.Int32),
    "preceding_token_ids": pl.List(pl.Int32),
    "prefix_length": pl.Int32,
    "continuation_length": pl.Int32,
    "unique_token_count": pl.Int32,
    "continuation_origin": pl.String,
    "is_corpus_text": pl.Boolean,
    "exact_match_lowest": pl.Int32,
    "exact_match_highest": pl.Int32,
    "released_id": pl.Int64,
    "released_text": pl.String,
    "occurrence_count": pl.Int64,
    "exact_match": pl.Float64,
    "nll_nats": pl.Float64,
}


def import_release(
    release: str,
    folder: str | Path,
    prefix_length: int | None = None,
    notes: list[str] | None = None,
    tokenizer: str | None = None,
    **options: Any,
) -> pl.DataFrame:
    """Rows of one of `RELEASES` in one shape, columns a release does not have null.

    Args:
        release: its name.
        folder: where its files lie; their names and sizes may differ from the published ones.
        prefix_length: tokens of the prefix where the files do not say; None takes half of the row, 50 of a text.
        notes: gets a sentence for everything that is left out or missing.
        tokenizer: folder or hub id, for releases of text.
        **options: of `import_texts_with_copies`.

    Returns:
        One row per released row, repeats included: row, release, and the columns of the release's own importer.

    Raises:
        CorpusError: the release is unknown, or its importer cannot read the folder.
    """
    if release == RELEASES[0]:
        frame = import_lm_extraction_benchmark(folder, notes).with_columns(is_corpus_text=pl.lit(True))
    elif release == RELEASES[1]:
        frame = import_localizing_paragraph_memorization(folder, prefix_length, notes)
    elif release == RELEASES[2]:
        frame = import_pythia_memorized_evals(folder)
    elif release == COPIES:
        frame = _texts_with_copies(folder, tokenizer, prefix_length or 50, notes, options)
    else:
        raise CorpusError(f"There is no importer for {release!r}; choose one of {', '.join(RELEASES)}.")
    absent = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in _SCHEMA.items() if name not in frame.columns]
    shaped = frame.with_columns(absent).select(pl.col(name).cast(dtype) for name, dtype in _SCHEMA.items())
    rows = pl.Series("row", range(len(shaped)), dtype=pl.Int64)
    return shaped.select(rows, pl.lit(release).alias("release"), pl.all())


def _texts_with_copies(
    folder: str | Path, tokenizer: str | None, prefix_length: int, notes: list[str] | None, options: dict[str, Any]
) -> pl.DataFrame:
    from corpus_stats.tokens.tokenizer import encoder, load_tokenizer

    if tokenizer is None:
        raise CorpusError("Texts need the tokenizer of the models that were trained on them; name it.")
    encode = encoder(load_tokenizer(tokenizer))
    frame, left_out = import_texts_with_copies(folder, encode, prefix_length, **options)
    for reason, count in left_out.items():
        if notes is not None:
            notes.append(f"{count:,} texts are left out: {reason}")
    return frame
