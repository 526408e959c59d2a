"""The Training Data Extraction Challenge (google-research/lm-extraction-benchmark): real Pile text as GPT-2 ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from corpus_stats.errors import CorpusError
from corpus_stats.paragraphs.facts import paragraph_ids, unique_token_count
from corpus_stats.tokens.layouts import load_token_matrix

_PREFIX, _SUFFIX, _PREPREFIX = "prefix.npy", "suffix.npy", "preprefix.npy"


def import_lm_extraction_benchmark(folder: str | Path, notes: list[str] | None = None) -> pl.DataFrame:
    """Paragraphs of every `<split>_prefix.npy` with its `<split>_suffix.npy`, of any lengths and number of rows.

    Args:
        folder: holds the matrices, or is the repository that holds them in `datasets`; `<split>_preprefix.npy`, the
            tokens before each prefix, may be absent. A split whose suffixes were not released is left out.
        notes: gets a sentence for everything that is left out.

    Returns:
        One row per released row, in order of split and row, repeats included: paragraph_id, split, source_file,
        source_row, token_ids, prefix_length, continuation_length, preceding_token_ids (null without preprefix),
        unique_token_count, continuation_origin ("corpus").

    Raises:
        CorpusError: there is no pair of files, one is truncated or no matrix of ids, or their rows differ.
    """
    root = matrices_folder(folder)
    prefixes = _prefixes_in(root)
    if not prefixes:
        raise CorpusError(f"There is no *{_PREFIX} in {root}; give the folder of the benchmark's matrices.")
    lonely = [path for path in prefixes if not _suffix_of(path).exists()]
    if len(lonely) == len(prefixes):
        raise CorpusError(f"{_suffix_of(lonely[0])} does not exist, so there is no continuation; get it as well.")
    for path in lonely:
        _note(notes, f"{path.name} is left out: its suffixes, {_suffix_of(path).name}, are not there")
    return pl.concat([_split(path) for path in prefixes if path not in lonely])


def matrices_folder(folder: str | Path) -> Path:
    """The folder of the matrices: the one that is given, or `datasets` in it."""
    root = Path(folder).expanduser()
    inner = root / "datasets"
    return inner if not _prefixes_in(root) and _prefixes_in(inner) else root


def _prefixes_in(root: Path) -> list[Path]:
    return sorted(path for path in root.glob(f"*{_PREFIX}") if not path.name.endswith(_PREPREFIX))


def _suffix_of(prefix_file: Path) -> Path:
    return prefix_file.with_name(prefix_file.name.removesuffix(_PREFIX) + _SUFFIX)


def _note(notes: list[str] | None, sentence: str) -> None:
    if notes is not None:
        notes.append(sentence)


def _split(prefix_file: Path) -> pl.DataFrame:
    stem = prefix_file.name.removesuffix(_PREFIX)
    prefixes = load_token_matrix(prefix_file)
    suffixes = _matching(_suffix_of(prefix_file), prefixes)
    preceding_file = prefix_file.with_name(stem + _PREPREFIX)
    preceding = _matching(preceding_file, prefixes) if preceding_file.exists() else None
    token_ids = np.concatenate([prefixes, suffixes], axis=1)
    count = len(token_ids)
    return pl.DataFrame(
        {
            "paragraph_id": paragraph_ids(token_ids),
            "split": [stem.rstrip("_-") or "all"] * count,
            "source_file": [prefix_file.name] * count,
            "source_row": pl.Series(range(count), dtype=pl.Int64),
            "token_ids": id_lists(token_ids),
            "prefix_length": pl.Series([prefixes.shape[1]] * count, dtype=pl.Int32),
            "continuation_length": pl.Series([suffixes.shape[1]] * count, dtype=pl.Int32),
            "preceding_token_ids": pl.Series([None] * count, dtype=pl.List(pl.Int32))
            if preceding is None
            else id_lists(preceding),
            "unique_token_count": unique_token_count(token_ids),
            "continuation_origin": ["corpus"] * count,
        }
    )


def _matching(path: Path, prefixes: np.ndarray) -> np.ndarray:
    matrix = load_token_matrix(path)
    if len(matrix) != len(prefixes):
        raise CorpusError(f"{path} has {len(matrix)} rows but its prefixes have {len(prefixes)}; get both files again.")
    return matrix


def id_lists(token_ids: np.ndarray) -> pl.Series:
    """[paragraph, position] as a column of lists of 32-bit ids, the registry's type."""
    matrix = np.ascontiguousarray(token_ids, dtype=np.int32)
    return pl.Series(matrix, dtype=pl.Array(pl.Int32, matrix.shape[1])).arr.to_list()
