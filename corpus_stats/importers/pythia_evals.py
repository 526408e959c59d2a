"""Pythia's memorized sequences (EleutherAI/pythia-memorized-evals): 32 + 32 tokens of the Pile that a model recites."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from corpus_stats.errors import CorpusError
from corpus_stats.importers.lm_extraction import id_lists
from corpus_stats.paragraphs.facts import paragraph_ids, unique_token_count
from corpus_stats.readers import contents
from corpus_stats.readers.files import list_files
from corpus_stats.readers.tables import first_line

_SHARD = re.compile(r"-\d+-of-\d+.*$")
_LENGTH = 64


def import_pythia_memorized_evals(folder: str | Path) -> pl.DataFrame:
    """Sequences of every Parquet file below a folder: the first half is the prefix, the second what the model recites.

    The name of a file begins with the name of its split, which is a model's: `deduped.1.4b-00000-of-00001-….parquet`.

    Args:
        folder: a clone of the data set, or a part of it; columns `index` (of the training sequence) and `tokens`.

    Returns:
        One row per released row, in order of file and row: paragraph_id, split, source_file, source_row, token_ids,
        prefix_length, continuation_length, unique_token_count, continuation_origin ("corpus"), is_corpus_text,
        exact_match_lowest and exact_match_highest (32: recited in full), exact_match, released_id (the index).

    Raises:
        CorpusError: there is no such file, or one is damaged.
    """
    root = Path(folder).expanduser()
    if not root.exists():
        raise CorpusError(f"{root} does not exist; give the folder of the data set.")
    files = [file for file in list_files(root).files if contents.kind_of_file(file.path) == contents.PARQUET]
    if not files:
        raise CorpusError(
            f"There is no Parquet file in {root}; give a clone of pythia-memorized-evals, with its data/."
        )
    return pl.concat([_frame(file.path, file.name) for file in files])


def _frame(file: Path, name: str) -> pl.DataFrame:
    try:
        table = pl.read_parquet(file, columns=["index", "tokens"])
        token_ids = _matrix(table["tokens"])
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise CorpusError(f"{file} holds no columns index and tokens ({first_line(error)}); leave it out.") from error
    if token_ids.size and int(token_ids.min()) < 0:
        raise CorpusError(f"{file} holds the negative token id {int(token_ids.min())}; get it again.")
    half = token_ids.shape[1] // 2
    constant: dict[str, tuple[Any, Any]] = {
        "split": (_SHARD.sub("", Path(name).stem), pl.String),
        "source_file": (name, pl.String),
        "prefix_length": (half, pl.Int32),
        "continuation_length": (half, pl.Int32),
        "continuation_origin": ("corpus", pl.String),
        "is_corpus_text": (True, pl.Boolean),
        "exact_match_lowest": (half, pl.Int32),
        "exact_match_highest": (half, pl.Int32),
        "exact_match": (float(half), pl.Float64),
    }
    return pl.DataFrame(
        {
            "paragraph_id": pl.Series(paragraph_ids(token_ids), dtype=pl.String),
            "source_row": pl.Series(range(len(token_ids)), dtype=pl.Int64),
            "token_ids": id_lists(token_ids),
            "unique_token_count": unique_token_count(token_ids),
            "released_id": table["index"].cast(pl.Int64),
            **{key: pl.Series([value] * len(token_ids), dtype=dtype) for key, (value, dtype) in constant.items()},
        }
    )


def _matrix(lists: pl.Series) -> np.ndarray:
    """Lists of one even length as int64 [row, position]."""
    lengths = lists.list.len().unique().to_list()
    if len(lengths) > 1 or any(not length or length % 2 for length in lengths):
        raise ValueError(f"sequences of {lengths} tokens, not of one even length")
    flat = lists.explode().to_numpy() if lengths else np.zeros(0)
    return np.asarray(flat, dtype=np.int64).reshape(len(lists), lengths[0] if lengths else _LENGTH)
