"""Beginning of sequence: the token that a suite put before every text it trained on, or none.

The class of a model says little, since SmolLM2 and Hubble are Llamas without one and Comma is a Llama with one. What
the tokenizer beside the weights adds by itself says most; the ids in config.json are often a class' defaults.
"""

from __future__ import annotations

from typing import Literal

from probes.errors import ProbeError

Beginning = Literal["auto", "never", "always"] | int

ALWAYS = frozenset({"gemma", "gemma2", "gemma3", "gemma3_text", "gemma3n_text", "vaultgemma", "recurrent_gemma"})
"""Families that were trained with one without exception."""
NEVER = frozenset({"gpt_neo", "gpt_neox", "gpt2", "gptj", "bloom", "olmo", "olmo2", "olmo3"})
"""Families whose suites (GPT-Neo, Pythia, GPT-2, OLMo) were trained without."""
_LIKE_LLAMA = frozenset({"llama", "mistral", "ministral", "mixtral"})
_DEDICATED = frozenset({"<s>", "<bos>", "<|begin_of_text|>"})
"""Tokens that mean nothing else; `<|endoftext|>` ends texts, too, and `<|im_start|>` begins a turn of a chat."""


def beginning_of_suite(
    architecture: str, added_id: int | None, bos_id: int | None = None, bos_token: str | None = None
) -> tuple[int | None, str]:
    """Token that goes before every text, and the reason in a few words.

    Args:
        architecture: model_type.
        added_id: the special token that the tokenizer adds by itself.
        bos_id: its beginning-of-sequence token.
        bos_token: the same as text.
    """
    if architecture in NEVER:
        return None, f"suites of the family {architecture} were trained without"
    if added_id is not None:
        return added_id, "its tokenizer puts it before every text"
    if architecture in ALWAYS and bos_id is not None:
        return bos_id, f"the family {architecture} was trained with it"
    if architecture in _LIKE_LLAMA and bos_id is not None and bos_token in _DEDICATED:
        return bos_id, f"its tokenizer has {bos_token}, which means nothing else"
    return None, "its tokenizer adds none"


def beginning_asked_for(
    asked: Beginning, row_count: int, bos_id: int | None, suite: tuple[int | None, str]
) -> tuple[int | None, str]:
    """What a profile's setting makes of what the suite trained with.

    Args:
        asked: auto (as the suite), never, always (the tokenizer's own), or a token id.
        row_count: rows of the embedding.
        bos_id: the tokenizer's beginning-of-sequence token.
        suite: from `beginning_of_suite`.

    Raises:
        ProbeError: there is no such token.
    """
    if asked == "auto":
        is_there = suite[0] is None or suite[0] < row_count
        return suite if is_there else (None, f"its tokenizer's {suite[0]} is beyond the model's {row_count} rows")
    if asked == "never":
        return None, "the profile says never"
    found = suite[0] if asked == "always" and suite[0] is not None else bos_id if asked == "always" else int(asked)
    if found is None:
        raise ProbeError(
            "the tokenizer names no beginning-of-sequence token; give its id in probes.beginning_of_sequence."
        )
    if not 0 <= found < row_count:
        raise ProbeError(
            f"beginning-of-sequence token {found} is none of the model's 0..{row_count - 1}; correct "
            "probes.beginning_of_sequence."
        )
    return found, f"the profile says {asked}"
