"""Byte-level BPE tokenizers: train one, load one, tell whether two are the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from corpus_stats.errors import CorpusError

if TYPE_CHECKING:
    import numpy as np
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"
_BYTE_COUNT = 256


def train_tokenizer(texts: Iterable[str], vocabulary_size: int) -> PreTrainedTokenizerFast:
    """Trains a byte-level BPE tokenizer as GPT-2's: every byte is a token, so every text can be encoded.

    Id 0 is `<|endoftext|>`. The result depends on the texts and their order only.

    Args:
        texts: the corpus, read once.
        vocabulary_size: ids of the tokenizer; fewer when the texts are too small to merge that often.

    Raises:
        CorpusError: the vocabulary cannot hold all bytes and the end-of-text token.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    if vocabulary_size <= _BYTE_COUNT:
        raise CorpusError(
            f"A vocabulary of {vocabulary_size} cannot hold {_BYTE_COUNT} bytes and {END_OF_TEXT}; ask for more."
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        unk_token=END_OF_TEXT,
        clean_up_tokenization_spaces=False,
    )


def load_tokenizer(source: str, revision: str | None = None) -> PreTrainedTokenizerFast:
    """Tokenizer of a folder or hub id; code that comes with it is not run.

    Raises:
        CorpusError: there is no tokenizer, it needs code of its own, or it has no fast implementation.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(source), revision=revision, trust_remote_code=False)
    except Exception as error:  # transformers raises OSError, ValueError, KeyError, TypeError, tokenizers' own …
        cause = str(error).strip().split("\n")[0][:200]
        raise CorpusError(
            f"No tokenizer could be loaded from {source} ({cause}); give a folder with a tokenizer.json or a hub id "
            "that is reachable."
        ) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise CorpusError(f"The tokenizer of {source} has no fast implementation; convert it to a tokenizer.json.")
    return tokenizer


def tokenizer_sha256(tokenizer: PreTrainedTokenizerFast) -> str:
    """Fingerprint of the vocabulary by id and of the merges in order.

    Equal for any two files and wrapper classes that encode with the same tokens, e.g. GPT-2's and GPT-Neo's.
    """
    backend = tokenizer.backend_tokenizer
    vocabulary = sorted((token_id, token) for token, token_id in backend.get_vocab(with_added_tokens=True).items())
    merges = [_merge_pair(merge) for merge in json.loads(backend.to_str())["model"].get("merges") or []]
    record = json.dumps({"vocabulary": vocabulary, "merges": merges}, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(record.encode("ascii")).hexdigest()


def _merge_pair(merge: str | list[str]) -> list[str]:
    """Both spellings of tokenizer files, "a b" and ["a", "b"], as a pair."""
    return merge.split(" ", 1) if isinstance(merge, str) else list(merge)


def vocabulary_count(tokenizer: PreTrainedTokenizerFast) -> int:
    """One more than the largest id the tokenizer can emit."""
    return max(tokenizer.backend_tokenizer.get_vocab(with_added_tokens=True).values()) + 1


def special_ids(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Ids that stand for no text: beginning and end of text, padding, unknown and all that are marked as special."""
    marked = {i for i, added in tokenizer.added_tokens_decoder.items() if added.special}
    return sorted(marked | {int(i) for i in tokenizer.all_special_ids})


def beginning_added(tokenizer: PreTrainedTokenizerFast) -> int | None:
    """The special id that the tokenizer puts before a text by itself, as Llama's does; None where it adds none.

    `add_bos_token` in its configuration counts as well, which not every file's post-processor follows.
    """
    plain, whole = (tokenizer.encode("a", add_special_tokens=added) for added in (False, True))
    if len(whole) > len(plain) and whole[: len(plain)] != plain and whole[0] in special_ids(tokenizer):
        return int(whole[0])
    asked = tokenizer.init_kwargs.get("add_bos_token") is True
    return tokenizer.bos_token_id if asked else None


def token_strings(tokenizer: PreTrainedTokenizerFast, ids: Sequence[int] | np.ndarray) -> list[str]:
    """Each id decoded alone; bytes that are no UTF-8 become U+FFFD, ids without a token the empty string."""
    return tokenizer.backend_tokenizer.decode_batch([[int(i)] for i in ids], skip_special_tokens=False)


def paragraph_texts(tokenizer: PreTrainedTokenizerFast, token_ids: np.ndarray) -> list[str]:
    """Each row of `token_ids`, [paragraph, position], as text for people; it need not encode back to the same ids."""
    rows: Any = token_ids.tolist()
    return tokenizer.backend_tokenizer.decode_batch(rows, skip_special_tokens=False)


def encoder(tokenizer: PreTrainedTokenizerFast) -> Tokenizer:
    """A private copy of the fast tokenizer that neither truncates nor pads, whatever its files ask for.

    The name of a special token that stands in a text is text, as in the original corpora: only their writers put
    end-of-text ids between documents.
    """
    from tokenizers import Tokenizer

    copy = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    copy.encode_special_tokens = True
    return copy


def token_byte_counts(tokenizer: PreTrainedTokenizerFast) -> np.ndarray:
    """Bytes of text behind each token of a byte-level BPE, int64 [token_id]; special tokens stand for no text."""
    import numpy as np

    sizes = np.zeros(vocabulary_count(tokenizer), dtype=np.int64)
    for token, token_id in tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False).items():
        sizes[token_id] = len(token)  # the byte-level alphabet writes every byte as one character
    for token_id, added in tokenizer.added_tokens_decoder.items():
        sizes[token_id] = 0 if added.special else len(added.content.encode("utf-8"))
    return sizes
