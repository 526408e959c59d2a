"""Reading token shards as one long stream of ids, memory mapped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from corpus_stats.errors import CorpusError

FORMAT = "rarecall-tokens-1"
DESCRIPTION = "tokens.json"


class TokenStream:
    """The token ids of a corpus in order, across shards.

    Attributes:
        token_count: tokens of the corpus.
        shards: memory maps in stream order, [token].
        starts: stream position of each shard's first token, [shard].
        description: the contents of `tokens.json`.
    """

    def __init__(self, folder: Path, description: dict[str, Any] | None = None) -> None:
        self.folder = Path(folder)
        self.description = description or _description(self.folder)
        dtype = np.dtype(self.description["dtype"])
        self.shards = [_mapped(self.folder, shard, dtype) for shard in self.description["shards"]]
        ends = np.cumsum([len(shard) for shard in self.shards], dtype=np.int64)
        self.starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
        self.token_count = int(ends[-1]) if len(ends) else 0

    def verify(self) -> None:
        """Reads every shard and compares it with the hash taken when it was written.

        Raises:
            CorpusError: a shard's bytes have changed. Shards registered in place have no hash and are not compared.
        """
        for shard in self.description["shards"]:
            if "sha256" not in shard:
                continue
            with (self.folder / shard["file"]).open("rb") as data:
                if hashlib.file_digest(data, "sha256").hexdigest() != shard["sha256"]:
                    raise CorpusError(
                        f"{self.folder / shard['file']} has changed since it was written; delete {DESCRIPTION} beside "
                        "it, and the next run tokenizes the corpus again."
                    )

    def read(self, offset: int, length: int) -> np.ndarray:
        """Ids at stream positions offset … offset + length − 1, int64 [token].

        Raises:
            CorpusError: the range leaves the stream.
        """
        return self._raw(offset, length).astype(np.int64)

    def windows(self, offsets: np.ndarray, length: int) -> np.ndarray:
        """Windows of `length` ids that start at `offsets`, int64 [window, position].

        Raises:
            CorpusError: a window leaves the stream.
        """
        starts = np.asarray(offsets, dtype=np.int64)
        out = np.empty((len(starts), length), dtype=np.int64)
        if not len(starts):
            return out
        self._check(int(starts.min()), int(starts.max()) - int(starts.min()) + length)
        for index, (shard, begin) in enumerate(zip(self.shards, self.starts, strict=True)):
            local = starts - begin
            inside = np.flatnonzero((local >= 0) & (local + length <= len(shard)))
            out[inside] = shard[local[inside, None] + np.arange(length)]
            if index + 1 < len(self.shards):
                for row in np.flatnonzero((local >= 0) & (local < len(shard)) & (local + length > len(shard))):
                    out[row] = self._raw(int(starts[row]), length)
        return out

    def chunks(
        self, chunk_tokens: int = 1 << 22, overlap: int = 0, token_range: tuple[int, int] | None = None
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Pieces of the stream in order, in the shards' own integers, with the first `overlap` tokens of what follows.

        With overlap = window length − 1 every window of the stream lies in exactly one piece, whatever the shards.

        Args:
            chunk_tokens: tokens of a piece without the overlap.
            overlap: tokens of the following piece that are added, as far as the stream goes.
            token_range: first position and the one after the last, for one worker's part; None takes all.

        Yields:
            stream position of the piece's first token, ids [token].
        """
        first, end = token_range or (0, self.token_count)
        self._check(first, end - first)
        for begin in range(first, end, chunk_tokens):
            inside = min(chunk_tokens, end - begin)
            yield begin, self._raw(begin, min(inside + overlap, self.token_count - begin))

    def _raw(self, offset: int, length: int) -> np.ndarray:
        """Ids in the shards' own integers: a view where one shard holds them all, else a copy."""
        self._check(offset, length)
        first = max(int(np.searchsorted(self.starts, offset, side="right")) - 1, 0)
        parts, wanted = [], length
        for index in range(first, len(self.shards)):
            local = offset + length - wanted - int(self.starts[index])
            parts.append(self.shards[index][local : local + wanted])
            wanted -= len(parts[-1])
            if not wanted:
                break
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _check(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.token_count:
            raise CorpusError(
                f"Tokens {offset} to {offset + length} leave the stream of {self.token_count} in {self.folder}; "
                "the sample belongs to another corpus."
            )


def _description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CorpusError(
            f"There is no {DESCRIPTION} in {folder}; tokenize the corpus (again), its shards are incomplete."
        ) from error
    except ValueError as error:
        raise CorpusError(f"{path} is not JSON; tokenize the corpus again.") from error
    if description.get("format") != FORMAT:
        raise CorpusError(
            f"{path} has the format {description.get('format')!r} instead of {FORMAT}; tokenize the corpus again."
        )
    return description


def _mapped(folder: Path, shard: dict[str, Any], dtype: np.dtype) -> np.memmap:
    path = folder / shard["file"]
    if not path.is_file():
        raise CorpusError(f"The token shard {path} is missing; tokenize the corpus again.")
    header = shard.get("header_bytes", 0)
    expected = header + shard["token_count"] * dtype.itemsize
    if path.stat().st_size != expected:
        raise CorpusError(
            f"The token shard {path} has {path.stat().st_size} bytes instead of {expected}; tokenize the corpus again."
        )
    return np.memmap(path, dtype=dtype, mode="r", offset=header)


_PIECE_TOKENS = 1 << 18  # bincount widens ids to 64 bits; pieces keep that copy (2 MiB) in the cache


def count_tokens(ids: np.ndarray, vocabulary_size: int) -> np.ndarray:
    """Occurrences of each token id.

    Args:
        ids: unsigned or non-negative integers, any shape.
        vocabulary_size: ids run from 0 to vocabulary_size − 1.

    Returns:
        int64 counts, [token_id]; counts of shards add up.

    Raises:
        CorpusError: an id lies outside the vocabulary.
    """
    flat = np.asarray(ids).reshape(-1)
    if flat.dtype.kind not in "ui":
        raise CorpusError(f"Token ids are {flat.dtype}; give integers.")
    if flat.dtype.kind == "i" and flat.size and int(flat.min()) < 0:
        raise CorpusError(f"A token id is negative ({int(flat.min())}); the array holds no token ids.")
    if flat.size and int(flat.max()) >= vocabulary_size:
        raise _outside(int(flat.max()), vocabulary_size)
    counts = np.zeros(vocabulary_size, dtype=np.int64)
    for begin in range(0, flat.size, _PIECE_TOKENS):
        counts += np.bincount(flat[begin : begin + _PIECE_TOKENS], minlength=vocabulary_size)
    return counts


def _outside(token_id: int, vocabulary_size: int) -> CorpusError:
    return CorpusError(
        f"Token id {token_id} lies outside the vocabulary of {vocabulary_size}; "
        "use the tokenizer the corpus was tokenized with."
    )
