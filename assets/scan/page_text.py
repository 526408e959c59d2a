"""Text of a scanned document as runs of one shade, and the strip that shows where passages lie."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from assets.report.redaction import redact
from assets.scan.command import Scanned
from warehouse.home import Home
from warehouse.record.frames import read_frame
from warehouse.record.parts import TableStore

if TYPE_CHECKING:
    from corpus_stats.tokens.placed import PlacedTokens

SHOWN_TOKENS = 300_000
"""Tokens up to which a document is shown as a whole; of a longer one only what lies around passages."""

AROUND_TOKENS = 200
LEAST_BAR = 2.0  # thousandths of the strip; a shorter bar could not be hit


class RedactedDocument:
    """The same document with every sensitive span hidden; characters keep their places."""

    def __init__(self, document: PlacedTokens) -> None:
        self._document = document
        self._text = redact(document.characters(0, document.character_count))

    def __len__(self) -> int:
        return len(self._document)

    def text(self, first: int, stop: int) -> str:
        """Text of the tokens first … stop - 1."""
        return self._text[self._document.character(first) : self._document.character(stop)]

    @property
    def lines(self) -> np.ndarray:
        """Line of each token."""
        return self._document.lines


def cover_of(home: Home, scanned: Scanned, token_count: int, passages: pl.DataFrame) -> np.ndarray:
    """Tokens of the longest recital that covers each token, 0 where none does, int32 [token].

    A passage that is written in one go from its first prefix counts with all that is written.
    """
    from probes.scan.passages import longest_cover

    store = TableStore.of(home, "scan_positions")
    frames = (read_frame([f], store.table, ["position", "exact_match"]) for f in store.files(scanned.scan_id))
    least = scanned.rows(home, "scans")["least_match"][0]
    cover = longest_cover(pl.concat([frame.filter(pl.col("exact_match") >= least) for frame in frames]), token_count)
    for first, count, run in passages.select("first_position", "token_count", "free_run_count").iter_rows():
        stretch = cover[first : first + min(count, run)]
        np.maximum(stretch, run, out=stretch)
    return cover


def shade(tokens: int, facts: dict[str, Any]) -> int:
    """Shade of a recital, 1 to 4; 0 for none."""
    whole = facts["continuation_length"]
    return sum(tokens >= least for least in (1, max(facts["least_match"], whole * 3 // 5), whole, 2 * whole))


def level(share: float) -> int:
    """Shade of a share of the largest, 0 to 4."""
    return int(np.ceil(max(0.0, share) * 4))


def strip_bars(passages: pl.DataFrame, cover: np.ndarray, facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Bars of the strip in thousandths of the document, one per passage."""
    scale, found = 1000 / max(1, facts["token_count"]), []
    for row in passages.iter_rows(named=True):
        first, count = row["first_position"], row["token_count"]
        width = max(LEAST_BAR, count * scale)
        found.append(
            {
                "passage": row["passage"],
                "tokens": count,
                "line": row["first_line"],
                "x": round(min(first * scale, 1000 - width), 2),
                "width": round(width, 2),
                "level": shade(int(cover[first : first + count].max()), facts),
            }
        )
    return found


def runs(
    document: Any, cover: np.ndarray, passages: pl.DataFrame, facts: dict[str, Any]
) -> tuple[list[dict[str, Any]], bool]:
    """The text cut where shade or passage changes, and whether parts of it were left out."""
    is_cut = len(document) > SHOWN_TOKENS
    found: list[dict[str, Any]] = []
    at = 0
    for row in passages.iter_rows(named=True):
        first, stop = row["first_position"], row["first_position"] + row["token_count"]
        found += _plain(document, at, first, is_cut)
        found += _shaded(document, cover, row, first, stop, facts)
        at = stop
    return found + _plain(document, at, len(document), is_cut), is_cut


def _plain(document: Any, first: int, stop: int, is_cut: bool) -> list[dict[str, Any]]:
    if is_cut and stop - first > 2 * AROUND_TOKENS:
        before, behind = document.text(first, first + AROUND_TOKENS), document.text(stop - AROUND_TOKENS, stop)
        return [{"passage": None, "text": f"{before}\n…\n{behind}"}]
    return [{"passage": None, "text": document.text(first, stop)}] if stop > first else []


def _shaded(
    document: Any, cover: np.ndarray, row: dict[str, Any], first: int, stop: int, facts: dict[str, Any]
) -> list[dict[str, Any]]:
    """Runs of one passage."""
    values = cover[first:stop]
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return [
        {
            "passage": row["passage"],
            "is_first": begin == 0,
            "guessable": row["guessable"],
            "level": shade(int(values[begin]), facts),
            "tokens": int(values[begin]),
            "line": int(document.lines[first + begin]),
            "text": document.text(first + begin, first + end),
        }
        for begin, end in pairwise(edges)
    ]
