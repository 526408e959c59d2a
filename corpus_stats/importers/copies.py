"""Texts whose number of copies in training is known: a duplication ladder with a real cause.

Hubble publishes passages with a column of duplicates (0, 1, 4, 16, 64, 256), which its perturbed models saw that often
and their standard twins never; Apertus repeated books of Gutenberg 0 to 128 times, one folder or file for each count.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from corpus_stats.errors import CorpusError
from corpus_stats.importers.lm_extraction import id_lists
from corpus_stats.paragraphs.facts import paragraph_ids, unique_token_count
from corpus_stats.readers import contents
from corpus_stats.readers.compression import DamagedFileError, opened
from corpus_stats.readers.contents import field_of
from corpus_stats.readers.files import SourceFile, list_files

if TYPE_CHECKING:
    from tokenizers import Tokenizer

COPIES_FIELDS = ("duplicates", "copies", "num_copies", "repetitions", "exposures", "dup_count")
_IN_NAME = re.compile(
    r"(?<![A-Za-z])(?:rep|reps|repetitions?|copies|dup|duplicates|exposures?|x|seen)[_=-]?(\d+)(?![\dA-Za-z])", re.I
)
_OR_BEFORE = re.compile(r"(?<![\dA-Za-z])(\d+)[_-]?(?:x|reps?|copies|times|exposures?)(?![A-Za-z])", re.I)


class _Copied(NamedTuple):
    file: str
    row: int
    text: str
    copies: int


def import_texts_with_copies(
    folder: str | Path,
    encode: Tokenizer,
    prefix_length: int = 50,
    continuation_length: int = 50,
    text_field: str = "text",
    copies_field: str | None = None,
) -> tuple[pl.DataFrame, dict[str, int]]:
    """The beginning of every text as a paragraph, with the number of its copies in training.

    Args:
        folder: Parquet and JSON files below it.
        encode: tokenizer of the models.
        prefix_length: tokens of the prefix.
        continuation_length: tokens of the continuation.
        text_field: dotted path of the text.
        copies_field: dotted path of the count; None takes the first of `COPIES_FIELDS`, else the number that the path
            of the file names (`rep_16/a.jsonl`, `gutenberg_x128.parquet`).

    Returns:
        One row per text that is long enough, in order of file and row: paragraph_id, split (the file), source_file,
        source_row, token_ids, prefix_length, continuation_length, unique_token_count, continuation_origin ("corpus"),
        is_corpus_text, released_text, occurrence_count (the copies); and what was left out, counted by reason.

    Raises:
        CorpusError: there is no file of records, one is damaged, or nothing tells the copies.
    """
    root = Path(folder).expanduser()
    if not root.exists():
        raise CorpusError(f"{root} does not exist; give the folder of the texts.")
    found = list(_texts(root, text_field, copies_field))
    length, rows, ids, left_out = prefix_length + continuation_length, [], [], {"shorter than a paragraph": 0}
    for encoding, copied in zip(_encoded(encode, [text.text for text in found]), found, strict=True):
        if len(encoding) < length:
            left_out["shorter than a paragraph"] += 1
        else:
            rows.append(copied)
            ids.append(encoding[:length])
    if not rows:
        raise CorpusError(f"No text in {root} has {length} tokens; ask for shorter paragraphs.")
    return _frame(rows, np.array(ids, dtype=np.int64), prefix_length), {k: v for k, v in left_out.items() if v}


def _encoded(encode: Tokenizer, texts: list[str]) -> Iterator[list[int]]:
    for begin in range(0, len(texts), 256):
        for encoding in encode.encode_batch_fast(texts[begin : begin + 256], add_special_tokens=False):
            yield encoding.ids


def _frame(rows: list[_Copied], token_ids: np.ndarray, prefix_length: int) -> pl.DataFrame:
    count, length = token_ids.shape
    return pl.DataFrame(
        {
            "paragraph_id": pl.Series(paragraph_ids(token_ids), dtype=pl.String),
            "split": [row.file for row in rows],
            "source_file": [row.file for row in rows],
            "source_row": pl.Series([row.row for row in rows], dtype=pl.Int64),
            "token_ids": id_lists(token_ids),
            "prefix_length": pl.Series([prefix_length] * count, dtype=pl.Int32),
            "continuation_length": pl.Series([length - prefix_length] * count, dtype=pl.Int32),
            "unique_token_count": unique_token_count(token_ids),
            "continuation_origin": ["corpus"] * count,
            "is_corpus_text": [True] * count,
            "released_text": [row.text for row in rows],
            "occurrence_count": pl.Series([row.copies for row in rows], dtype=pl.Int64),
        }
    )


def _texts(root: Path, text_field: str, copies_field: str | None) -> Iterator[_Copied]:
    readable = {contents.PARQUET, contents.JSON_LINES}
    files = [file for file in list_files(root).files if contents.kind_of_file(file.path, text_field) in readable]
    if not files:
        raise CorpusError(f"There is no Parquet or JSON lines file with the field {text_field!r} in {root}; check it.")
    for file in files:
        for row, record in enumerate(_records(file)):
            text = field_of(record, text_field)
            if not isinstance(text, str):
                raise CorpusError(f"Row {row} of {file.path} has no text in {text_field!r}; pass text_field.")
            yield _Copied(file.name, row, text, _copies(record, copies_field, file, row))


def _records(file: SourceFile) -> Iterator[dict[str, Any]]:
    try:
        if contents.kind_of_file(file.path) == contents.PARQUET:
            yield from pl.read_parquet(file.path).iter_rows(named=True)
            return
        with opened(file.path) as lines:
            for line in lines:
                if not line.isspace():
                    yield json.loads(line)
    except (DamagedFileError, pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise CorpusError(f"{file.path} is damaged ({str(error)[:120]}); get it again.") from error


def _copies(record: dict[str, Any], copies_field: str | None, file: SourceFile, row: int) -> int:
    names = [copies_field] if copies_field is not None else COPIES_FIELDS
    told = next((value for name in names if (value := field_of(record, name)) is not None), None)
    if told is None and copies_field is None:
        told = _named(file.name)
    if isinstance(told, bool) or not isinstance(told, int | float | str) or not str(told).removesuffix(".0").isdigit():
        raise CorpusError(
            f"Nothing tells how often row {row} of {file.path} was in training; pass copies_field, or name the files "
            "rep_0, rep_1, rep_2 and so on."
        )
    return int(str(told).removesuffix(".0"))


def _named(name: str) -> int | None:
    """The count that the innermost part of a path names."""
    for part in reversed(name.split("/")):
        found = _IN_NAME.search(part) or _OR_BEFORE.search(part)
        if found:
            return int(found[1])
    return None
