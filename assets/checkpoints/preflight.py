"""Refusals before any work starts: device, engine, checkpoints asked for by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assets.checkpoints.vocabulary import vocabulary_row, why_another_tokenizer
from assets.framework.errors import RequestError
from assets.framework.stage import Scope
from assets.framework.workers import engine_settings

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerFast


def refuse_unfit(scope: Scope, checkpoints: dict[str, dict[str, Any]]) -> None:
    """Look at configuration, file headers and tokenizers of checkpoints; of the weights only heads tied to embeddings.

    Args:
        scope: home and profile.
        checkpoints: what is registered, or would be, by name: source and perhaps revision.

    Raises:
        RequestError: the first thing that does not fit, in one sentence.
    """
    if not checkpoints:
        return
    try:
        _refuse_machine(scope)
        for name, facts in checkpoints.items():
            _refuse_checkpoint(scope, name, facts)
    except RequestError:
        raise
    except _room_errors() as error:
        raise RequestError(str(error)) from error


def _room_errors() -> tuple[type[Exception], ...]:
    from corpus_stats.errors import CorpusError
    from probes.errors import ProbeError

    return CorpusError, ProbeError


def _refuse_machine(scope: Scope) -> None:
    from probes.checkpoints.load import resolve_device

    engine_settings(scope.profile.engine)
    if scope.profile.probes.device not in ("auto", "cpu"):  # these are always there, and torch is slow to import
        resolve_device(scope.profile.probes.device)


def _refuse_checkpoint(scope: Scope, name: str, facts: dict[str, Any]) -> None:
    from corpus_stats.tokens.tokenizer import load_tokenizer
    from probes.checkpoints.files import require_complete
    from probes.checkpoints.hub import resolve_folder
    from probes.checkpoints.inspect import inspect_checkpoint, read_config

    folder = resolve_folder(facts["source"], facts.get("revision"))
    require_complete(folder)
    config = read_config(folder)
    _refuse_context(scope, name, config)
    tokenizer = load_tokenizer(str(folder))
    _refuse_vocabulary(name, config, tokenizer)
    _refuse_tokenizer(scope, name, tokenizer)
    found = inspect_checkpoint(str(folder))
    vocabulary_row(scope, found.architecture, found.vocabulary_size, tokenizer)


def _refuse_context(scope: Scope, name: str, config: PretrainedConfig) -> None:
    from probes.checkpoints.inspect import context_length

    context, needed = context_length(config), scope.profile.paragraphs.length
    if context < needed:
        raise RequestError(
            f"checkpoint {name} reads {context} tokens at most, but the paragraphs of profile {scope.profile.name} "
            f"have {needed}; shorten paragraphs.prefix_length or paragraphs.continuation_length."
        )


def _refuse_vocabulary(name: str, config: PretrainedConfig, tokenizer: PreTrainedTokenizerFast) -> None:
    largest = max(tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False).values(), default=-1)
    size = getattr(config, "vocab_size", None)
    if isinstance(size, int) and largest >= size:
        raise RequestError(
            f"checkpoint {name} knows token ids 0..{size - 1}, but the tokenizer beside it gives ids up to {largest}; "
            "its config.json and its tokenizer do not belong together."
        )


def _refuse_tokenizer(scope: Scope, name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    if reason := why_another_tokenizer(scope, name, tokenizer):
        raise RequestError(reason)
