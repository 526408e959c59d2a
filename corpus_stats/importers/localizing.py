"""The release of Stoehr et al. 2024 (googleinterns/localizing-paragraph-memorization): what GPT-Neo 125M wrote."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from corpus_stats.errors import CorpusError
from corpus_stats.importers.lm_extraction import id_lists
from corpus_stats.paragraphs.facts import paragraph_ids, unique_token_count

_BIN = re.compile(r"(\d+)_(\d+)_preds")
_COLUMNS = {"paragraph", "count", "em", "nll"}


def import_localizing_paragraph_memorization(
    folder: str | Path, prefix_length: int | None = None, notes: list[str] | None = None
) -> pl.DataFrame:
    """Paragraphs of every `*.pt` matrix of token ids, with the columns of the `.csv` that belongs to it.

    A row is a real prefix and **the model's own greedy continuation**; the two are the corpus' text only where exact
    match is complete. `continuation_origin` is "model" and `is_corpus_text` says whether it equals the corpus.

    Args:
        folder: holds `<lowest EM>_<highest EM>_preds.pt` and csv files with paragraph, count, em and nll; matrices of
            other names import without bounds. A csv belongs to the matrix with as many rows whose bounds hold its em.
            Or a folder above: the repository, `paragraphs`, or a model's folder, where the csv lies beside `preds`.
        prefix_length: tokens of the prefix; None takes half of the row.
        notes: gets a sentence for what is missing.

    Returns:
        One row per released row: paragraph_id, source_file, source_row, token_ids, prefix_length,
        continuation_length, unique_token_count, continuation_origin, exact_match_lowest, exact_match_highest,
        is_corpus_text, and, null where no csv belongs, released_id, released_text, occurrence_count, exact_match,
        nll_nats.

    Raises:
        CorpusError: there is no matrix, a pickle wants to run code, a file is damaged, or a csv belongs nowhere.
    """
    root = matrix_folder(folder)
    files = sorted(root.glob("*.pt"))
    frames = {file: _frame(file, _load_matrix(file), prefix_length) for file in files}
    for table in sorted(root.glob("*.csv")):
        if not _joined(frames, table):
            raise CorpusError(f"{table} belongs to no matrix in {root}; check that both are whole.")
    beside = sorted(root.parent.glob("*.csv")) if root.name == "preds" else []
    joined = [_joined(frames, table) for table in beside if _has_columns(table)]
    if notes is not None and not any(joined) and not list(root.glob("*.csv")):
        notes.append(f"no csv with counts, exact match and NLL lies in {root} or beside it; these columns are empty")
    _note_others(notes, Path(folder).expanduser(), root)
    return pl.concat([frame.select(next(iter(frames.values())).columns) for frame in frames.values()])


def _note_others(notes: list[str] | None, given: Path, read: Path) -> None:
    """Says which tensors of the release are not read."""
    others = sorted(file for file in given.rglob("*.pt") if file.parent != read)
    if notes is not None and others:
        notes.append(f"{len(others)} other .pt files are left out, such as {others[0].relative_to(given)}")


def matrix_folder(folder: str | Path) -> Path:
    """The folder of the released `*_preds.pt`: the one that is given, or the one `preds` somewhere below it.

    Raises:
        CorpusError: there is none, or several, one for each model of the release.
    """
    root = Path(folder).expanduser()
    if any(root.glob("*.pt")):
        return root
    found = sorted({file.parent for file in root.rglob("*_preds.pt")})
    if not found:
        raise CorpusError(f"There is no .pt file in {root}; give the folder with the released *_preds.pt.")
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(root)) for path in found)
        raise CorpusError(f"{root} holds the paragraphs of several models: {names}; give one of these folders.")
    return found[0]


def _joined(frames: dict[Path, pl.DataFrame], table: Path) -> bool:
    """Adds a csv's columns to the matrix it belongs to; whether there is one."""
    rows = _read_csv(table)
    owner = _owner(frames, rows)
    if owner is not None:
        frames[owner] = frames[owner].drop(rows.columns).hstack(rows)
    return owner is not None


def _has_columns(table: Path) -> bool:
    with table.open(encoding="utf-8", errors="replace", newline="") as lines:
        return set(next(csv.reader(lines), ())) >= _COLUMNS


def _load_matrix(file: Path) -> np.ndarray:
    """[paragraph, position] from a torch file, loaded without running anything in it."""
    import pickle
    import zipfile

    import torch

    try:
        loaded: Any = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CorpusError(f"{file} holds more than tensors and may run code; it was not loaded.") from error
    except (RuntimeError, EOFError, OSError, zipfile.BadZipFile, ValueError) as error:
        raise CorpusError(f"{file} is damaged ({str(error).splitlines()[0][:120]}); get it again.") from error
    if not isinstance(loaded, torch.Tensor) or loaded.ndim != 2 or loaded.is_floating_point() or not loaded.numel():
        raise CorpusError(f"{file} holds no matrix of token ids [paragraph, position]; leave it out.")
    matrix = loaded.numpy()
    if int(matrix.min()) < 0:
        raise CorpusError(f"{file} holds the negative token id {int(matrix.min())}; get it again.")
    return matrix


def _frame(file: Path, token_ids: np.ndarray, prefix_length: int | None) -> pl.DataFrame:
    count, length = token_ids.shape
    prefix = length // 2 if prefix_length is None else prefix_length
    if not 0 < prefix < length:
        raise CorpusError(f"A prefix of {prefix} tokens leaves no continuation in {file} of {length}; choose another.")
    bounds = _BIN.search(file.name)
    lowest, highest = (int(bounds[1]), int(bounds[2])) if bounds else (None, None)
    constant = {
        "exact_match_lowest": (lowest, pl.Int32),
        "exact_match_highest": (highest, pl.Int32),
        "is_corpus_text": (None if lowest is None else lowest >= length - prefix, pl.Boolean),
        "released_id": (None, pl.Int64),
        "released_text": (None, pl.String),
        "occurrence_count": (None, pl.Int64),
        "exact_match": (None, pl.Float64),
        "nll_nats": (None, pl.Float64),
    }
    return pl.DataFrame(
        {
            "paragraph_id": paragraph_ids(token_ids),
            "source_file": [file.name] * count,
            "source_row": pl.Series(range(count), dtype=pl.Int64),
            "token_ids": id_lists(token_ids),
            "prefix_length": pl.Series([prefix] * count, dtype=pl.Int32),
            "continuation_length": pl.Series([length - prefix] * count, dtype=pl.Int32),
            "unique_token_count": unique_token_count(token_ids),
            "continuation_origin": ["model"] * count,
            **{name: pl.Series([value] * count, dtype=dtype) for name, (value, dtype) in constant.items()},
        }
    )


def _read_csv(table: Path) -> pl.DataFrame:
    """The csv's columns under our names; texts hold line feeds and carriage returns, which csv keeps as they are."""
    try:
        with table.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            if not set(reader.fieldnames or ()) >= _COLUMNS:
                raise CorpusError(f"{table} lacks one of the columns {', '.join(sorted(_COLUMNS))}; leave it out.")
            rows = [_typed(row) for row in reader]
    except (csv.Error, UnicodeDecodeError, ValueError, TypeError) as error:
        if isinstance(error, CorpusError):
            raise
        raise CorpusError(f"{table} is damaged ({error}); get it again.") from error
    types = (pl.Int64, pl.String, pl.Int64, pl.Float64, pl.Float64)
    names = ("released_id", "released_text", "occurrence_count", "exact_match", "nll_nats")
    return pl.DataFrame(rows, schema=dict(zip(names, types, strict=True)), orient="row")


def _typed(row: dict[str, str]) -> tuple[int | None, str, int, float, float]:
    released_id = int(row["id"]) if row.get("id") else None
    return released_id, row["paragraph"], int(row["count"]), float(row["em"]), float(row["nll"])


def _owner(frames: dict[Path, pl.DataFrame], rows: pl.DataFrame) -> Path | None:
    for file, frame in frames.items():
        lowest, highest = frame["exact_match_lowest"][0], frame["exact_match_highest"][0]
        inside = lowest is None or rows["exact_match"].is_between(lowest, highest).all()
        if len(frame) == len(rows) and inside and frame["nll_nats"].is_null().all():
            return file
    return None
