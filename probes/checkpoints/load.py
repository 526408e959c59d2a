"""Load a causal language model for measurement: safetensors, eval mode, gradients off, nothing left unsaid."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from probes.checkpoints.files import require_complete, weight_files
from probes.checkpoints.hub import resolve_folder
from probes.checkpoints.inspect import read_config
from probes.checkpoints.placement import hollow_model, is_old_buffer, place_tensors
from probes.errors import ProbeError
from probes.forward.beginning import begin_with

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from transformers import PreTrainedModel

DTYPES = ("float32", "bfloat16", "float16")
ATTENTIONS = ("eager", "sdpa")


def resolve_device(name: str = "auto") -> torch.device:
    """Device of a name; "auto" takes the first of cuda, mps and cpu that is there.

    Raises:
        ProbeError: the name is unknown or the device is not there.
    """
    import torch

    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in present.items() if there))
    kind, _, index = name.partition(":")
    if kind not in present or (index and not index.isdigit()):
        raise ProbeError(f"device {name!r} is unknown; choose auto, cuda, cuda:N, mps or cpu.")
    if not present[kind] or (kind == "cuda" and index and int(index) >= torch.cuda.device_count()):
        raise ProbeError(f"device {name!r} is not there on this machine; choose auto or cpu.")
    return torch.device(name)


def load_model(
    source: str,
    revision: str | None = None,
    device: str = "auto",
    dtype: str = "float32",
    attention: str = "eager",
    allow_pickle: bool = False,
    beginning_id: int | None = None,
) -> PreTrainedModel:
    """The checkpoint as an ordinary transformers model, in eval mode with gradients off.

    Args:
        source: local folder, or hub id.
        revision: branch, tag or commit of a hub id.
        device: auto (cuda, mps, cpu in this order), cuda, cuda:N, mps or cpu.
        dtype: float32, bfloat16 or float16.
        attention: eager (attention weights can be read) or sdpa (faster where the architecture has it).
        allow_pickle: also read weights that are a pickle; only for files whose author you trust.
        beginning_id: token that every measurement puts before a paragraph (`probes.forward.beginning`).

    Raises:
        ProbeError: the folder is missing or incomplete, its architecture unknown, its weights a pickle, or they
            do not fill exactly the parameters of the model. Code that comes with a checkpoint is never run.
    """
    if dtype not in DTYPES:
        raise ProbeError(f"dtype {dtype!r} is unknown; choose one of {', '.join(DTYPES)}.")
    if attention not in ATTENTIONS:
        raise ProbeError(f"attention {attention!r} is unknown; choose one of {', '.join(ATTENTIONS)}.")
    target = resolve_device(device)
    folder = resolve_folder(source, revision, allow_pickle)
    require_complete(folder, allow_pickle)
    config = read_config(folder)
    if weight_files(folder):  # the headers of pickles cannot be read without opening them
        place_tensors(folder, hollow_model(folder, config))
    model: Any = _read_weights(folder, dtype, attention, allow_pickle)  # transformers' `to` loses its type
    begin_with(model, beginning_id)
    return model.to(target).eval().requires_grad_(False)


def _read_weights(folder: Path, dtype: str, attention: str, allow_pickle: bool) -> PreTrainedModel:
    from transformers import AutoModelForCausalLM

    try:
        with _quiet():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=dtype,
                attn_implementation=attention,
                use_safetensors=None if allow_pickle else True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, ImportError, KeyError, UnpicklingError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ProbeError(f"checkpoint {folder} cannot be loaded: {reason}.") from error
    model, report = loaded
    _refuse_partial_load(folder, report)
    return model


def _refuse_partial_load(folder: Path, report: dict) -> None:
    """transformers warns and goes on with random weights where names do not fit; a measurement must not.

    Constants of earlier versions, such as causal masks, are no weights; `place_tensors` has looked at their shapes.
    """
    for kind, verb in (
        ("missing_keys", "lacks"),
        ("unexpected_keys", "has no place for"),
        ("mismatched_keys", "misfits"),
    ):
        names = sorted(str(key[0] if isinstance(key, tuple) else key) for key in report.get(kind) or ())
        keys = [name for name in names if not (kind == "unexpected_keys" and is_old_buffer(name))]
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            subject = "the model" if kind == "unexpected_keys" else "the file"
            raise ProbeError(
                f"the weights of checkpoint {folder} did not load: {subject} {verb} {keys[0]}{more}; "
                "its config.json and its weights do not belong together."
            )


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar and no loading table: what they would say is raised as one sentence."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
