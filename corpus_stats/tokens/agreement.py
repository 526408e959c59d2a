"""Agreement of two tokenizers: the same ids for the vocabulary of a corpus and for a sample of its text.

Files say little: a tokenizer saved by a later version, or with a padding token that no text holds, gives the same ids,
and one with the same vocabulary and merges but another normalizer or pre-tokenizer does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from corpus_stats.tokens.tokenizer import encoder, special_ids

if TYPE_CHECKING:
    import numpy as np
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

SHOWN_IDS = 8
SHOWN_CHARACTERS = 60
_UNDECODABLE = "�"


@dataclass(frozen=True)
class Disagreement:
    """A text and the token ids that either tokenizer gives for it."""

    text: str
    ours: tuple[int, ...]
    theirs: tuple[int, ...]

    def sentence(self) -> str:
        """`'Text' is [1, 2] in one and [3] in the other`, long ones cut."""
        shown = self.text if len(self.text) <= SHOWN_CHARACTERS else self.text[:SHOWN_CHARACTERS] + "…"
        return f"{shown!r} is {_shown(self.ours)} there and {_shown(self.theirs)} here"


def _shown(ids: tuple[int, ...]) -> str:
    more = ", …" if len(ids) > SHOWN_IDS else ""
    return f"[{', '.join(map(str, ids[:SHOWN_IDS]))}{more}]"


def first_disagreement(
    ours: PreTrainedTokenizerFast,
    theirs: PreTrainedTokenizerFast,
    token_ids: Sequence[int] | np.ndarray,
    texts: Iterable[str],
) -> Disagreement | None:
    """The first text to which two tokenizers give different ids, as short as it can be shown; None where they agree.

    Args:
        ours: the tokenizer of the corpus.
        theirs: the other one.
        token_ids: ids of `ours` that occur; each is asked as the text it stands for.
        texts: text of the corpus.
    """
    if ours.backend_tokenizer.to_str() == theirs.backend_tokenizer.to_str():
        return None
    pair = encoder(ours), encoder(theirs)
    tokens = [ours.backend_tokenizer.decode([int(i)], skip_special_tokens=False) for i in token_ids]
    alone = zip(token_ids, tokens, strict=True)
    special = set(special_ids(ours))  # their names are text where they stand in a text
    pieces = [int(token_id) for token_id, token in alone if _UNDECODABLE in token or int(token_id) in special]
    return _differing_text(*pair, [*texts, *filter(None, tokens)]) or _differing_pieces(*pair, pieces)


def _differing_pieces(ours: Tokenizer, theirs: Tokenizer, token_ids: list[int]) -> Disagreement | None:
    """Parts of a character and special tokens, which no text shows: written alike, they have the same id."""
    for token_id in token_ids:
        piece = ours.id_to_token(token_id) or ""
        found = theirs.token_to_id(piece)
        if found != token_id:
            return Disagreement(piece, (token_id,), () if found is None else (found,))
    return None


def _differing_text(ours: Tokenizer, theirs: Tokenizer, texts: list[str]) -> Disagreement | None:
    both = (tokenizer.encode_batch(texts, add_special_tokens=False) for tokenizer in (ours, theirs))
    for text, one, other in zip(texts, *both, strict=True):
        if one.ids != other.ids:
            return next(_shorter(ours, theirs, text), Disagreement(text, tuple(one.ids), tuple(other.ids)))
    return None


def _shorter(ours: Tokenizer, theirs: Tokenizer, text: str) -> Iterator[Disagreement]:
    """Parts of a text that differ by themselves: words with what stands before them, then lines."""
    for part in (*re.findall(r"\s*\S+", text), *text.splitlines()):
        one, other = (tuple(t.encode(part, add_special_tokens=False).ids) for t in (ours, theirs))
        if one != other:
            yield Disagreement(part, one, other)
