"""Long documents in pieces: where a text may be cut so that the ids of the pieces are those of the whole.

Encoding takes some fifty times the memory of a text, so a document longer than a batch is encoded piece by piece.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_GPT2_CUT = re.compile(r"(?<=\S)(?=[ \t\n\r\f\v])")  # not \s, which is wider in Python than in tokenizers
_SPACE_CUT = re.compile(r"(?<=\w)(?= \w)")
_OVERLAP_CHARACTERS = 4096
_AGREEING_TOKENS = 8


def cut_pattern(encode: Tokenizer) -> re.Pattern[str] | None:
    """Where a text may be cut: matches are empty and stand before the second piece; None where nothing is known.

    GPT-2's pre-tokenizer (GPT-Neo's and Pythia's, too) ends a token at the last visible sign before any white space,
    whatever stands around it. Other byte-level tokenizers are cut between a word and a single space, if no token of
    the vocabulary reaches over such a place: merges join neighbours into tokens, so none can cross it.
    """
    model = json.loads(encode.to_str())
    before: dict[str, Any] = model.get("pre_tokenizer") or {}
    is_plain = (model.get("normalizer") or {"type": "NFC"})["type"] == "NFC"
    if not is_plain or _adds_prefix_space(before):
        return None
    if before.get("type") == "ByteLevel" and before["use_regex"]:
        return _GPT2_CUT
    return _SPACE_CUT if _is_byte_level(before) and not _reaches_over_spaces(encode) else None


def _adds_prefix_space(before: dict[str, Any]) -> bool:
    parts = [before, *before.get("pretokenizers", [])]
    return any(part.get("add_prefix_space") for part in parts)


def _is_byte_level(before: dict[str, Any]) -> bool:
    return any(part.get("type") == "ByteLevel" for part in [before, *before.get("pretokenizers", [])])


def _reaches_over_spaces(encode: Tokenizer) -> bool:
    """Whether a token holds a visible sign and behind it a space, which byte-level tokenizers write as Ġ."""
    vocabulary = encode.get_vocab(with_added_tokens=False)
    return any(re.search("[^ĠĊčĉċČ]Ġ", token) for token in vocabulary)


def pieces_of(text: str, pattern: re.Pattern[str], length: int) -> Iterator[str]:
    """Pieces of a text between places that match, each at least `length` characters but the last."""
    begin = 0
    while begin < len(text):
        cut = pattern.search(text, begin + length) if begin + length < len(text) else None
        end = cut.start() if cut and cut.start() > begin else len(text)
        yield text[begin:end]
        begin = end


def encoded_long(encode: Tokenizer, text: str, length: int) -> np.ndarray:
    """Ids of a long text, uint32 [token], with the memory of pieces of about `length` characters.

    Pieces between safe places give exactly the ids of the whole. A stretch without such a place that is longer than
    two pieces, such as a sequence of letters without a space, is encoded in pieces that overlap, and joined where both
    agree on several tokens in a row.
    """
    pattern = cut_pattern(encode)
    pieces = pieces_of(text, pattern, length) if pattern is not None else iter([text])
    found = [ids for piece in pieces for ids in _encoded_piece(encode, piece, length)]
    return np.concatenate(found) if found else np.zeros(0, dtype=np.uint32)


def _encoded_piece(encode: Tokenizer, piece: str, length: int) -> Iterator[np.ndarray]:
    if len(piece) <= 2 * length:
        (encoding,) = encode.encode_batch_fast([piece], add_special_tokens=False)
        yield np.array(encoding.ids, dtype=np.uint32)
    else:
        yield from _overlapping(encode, piece, length)


def _overlapping(encode: Tokenizer, text: str, length: int) -> Iterator[np.ndarray]:
    """Ids of a text without a safe place: what two overlapping pieces agree on joins them."""
    overlap, begin = min(_OVERLAP_CHARACTERS, max(length // 2, 1)), 0
    ids, places = _with_places(encode, text[:length], 0)
    while begin + length < len(text):
        begin += length - overlap
        next_ids, next_places = _with_places(encode, text[begin : begin + length], begin)
        here, there = _joint(ids, places, next_ids, next_places, begin + overlap // 2)
        yield ids[:here]
        ids, places = next_ids[there:], next_places[there:]
    yield ids


def _with_places(encode: Tokenizer, text: str, begin: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids of a text and the character that each begins at, [token]."""
    encoding = encode.encode(text, add_special_tokens=False)
    places = np.array([place for place, _ in encoding.offsets], dtype=np.int64)
    return np.array(encoding.ids, dtype=np.uint32), places + begin


def _joint(
    ids: np.ndarray, places: np.ndarray, next_ids: np.ndarray, next_places: np.ndarray, middle: int
) -> tuple[int, int]:
    """Token of each side at which the second takes over: the agreeing one nearest to the middle of the overlap."""
    shared, here, there = np.intersect1d(places, next_places, return_indices=True)
    agree = [
        (abs(int(place) - middle), int(a), int(b))
        for place, a, b in zip(shared, here, there, strict=True)
        if _same(ids[a : a + _AGREEING_TOKENS], next_ids[b : b + _AGREEING_TOKENS])
    ]
    if agree:
        _, a, b = min(agree)
        return a, b
    a = int(np.searchsorted(places, next_places[0]))
    return a, int(np.searchsorted(next_places, places[a])) if a < len(places) else 0


def _same(first: np.ndarray, second: np.ndarray) -> bool:
    both = min(len(first), len(second))
    return both > 0 and bool((first[:both] == second[:both]).all())
