"""Writing token shards under temporary names, and describing them once all of them are there."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from corpus_stats.errors import CorpusError
from corpus_stats.tokens.stream import DESCRIPTION, FORMAT


class ShardWriter:
    """Appends ids to shards under temporary names; `publish` gives them their names."""

    def __init__(self, folder: Path, dtype: str, shard_tokens: int) -> None:
        if shard_tokens < 1:
            raise CorpusError(f"Shards of {shard_tokens} tokens are impossible; ask for at least one.")
        self.folder = folder
        self.dtype = np.dtype(dtype)
        self.token_count = 0
        self._shard_tokens = shard_tokens
        self._open: IO[bytes] | None = None
        self._counts: list[int] = []
        self._hashes: list[Any] = []
        for debris in folder.glob(".tokens-*.bin.partial"):  # of a run that was killed
            debris.unlink()

    def write(self, ids: np.ndarray) -> None:
        """Appends ids, beginning new shards as the old ones fill."""
        array = np.asarray(ids, dtype=self.dtype)
        while len(array):
            if self._open is None or self._counts[-1] == self._shard_tokens:
                self._next_shard()
            taken = array[: self._shard_tokens - self._counts[-1]]
            assert self._open is not None
            data = taken.tobytes()
            self._open.write(data)
            self._hashes[-1].update(data)
            self._counts[-1] += len(taken)
            self.token_count += len(taken)
            array = array[len(taken) :]

    def _next_shard(self) -> None:
        self._close()
        self._counts.append(0)
        self._hashes.append(hashlib.sha256())
        self._open = self._partial(len(self._counts) - 1).open("wb")

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def _partial(self, index: int) -> Path:
        return self.folder / f".tokens-{index:05d}.bin.partial"

    def discard(self) -> None:
        """Removes what was written."""
        self._close()
        for index in range(len(self._counts)):
            with suppress(FileNotFoundError):
                self._partial(index).unlink()

    def publish(self) -> list[dict[str, Any]]:
        """Gives the shards their names, in place of older ones, and returns their entries in `tokens.json`."""
        self._close()
        for stale in self.folder.glob("tokens-*.bin"):
            stale.unlink()
        entries = []
        for index, (count, digest) in enumerate(zip(self._counts, self._hashes, strict=True)):
            name = f"tokens-{index:05d}.bin"
            self._partial(index).replace(self.folder / name)
            entries.append({"file": name, "token_count": count, "sha256": digest.hexdigest()})
        return entries


def write_description(folder: Path, summary: dict[str, Any], shards: list[dict[str, Any]]) -> None:
    """Writes `tokens.json`, the last act of a tokenization: without it the folder holds no corpus."""
    partial = folder / f".{DESCRIPTION}.partial"
    content = json.dumps({"format": FORMAT, **summary, "shards": shards}, indent=1)
    partial.write_text(content + "\n", encoding="utf-8")
    partial.replace(folder / DESCRIPTION)
