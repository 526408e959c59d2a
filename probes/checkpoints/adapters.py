"""Adapters such as LoRA: merged into their base model by peft, which is an optional extra, and written as a checkpoint.

What is measured is the sum of both, in float32, so its weights, hash and parameter count are those of the merged model.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.checkpoints.files import ADAPTER, read_json
from probes.errors import ProbeError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ADAPTER_WEIGHTS = "adapter_model.safetensors"


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and no model of its own."""
    return (folder / ADAPTER).is_file() and not (folder / "config.json").is_file()


def base_of(folder: Path) -> tuple[str, str | None]:
    """Base model of an adapter, a folder or a hub id, and its revision; a relative path is tried beside the adapter.

    Raises:
        ProbeError: the extra peft is not installed, the weights are no safetensors, or no base is named.
    """
    if importlib.util.find_spec("peft") is None:
        raise ProbeError(
            f"checkpoint {folder} holds an adapter ({ADAPTER}), which the extra peft merges into its base model; "
            "install it with `pip install 'rarecall[peft]'`, or give a folder with the merged model."
        )
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise ProbeError(f"adapter {folder} has no {ADAPTER_WEIGHTS}; save it again with peft's save_pretrained.")
    config = read_json(folder / ADAPTER)
    base, revision = config.get("base_model_name_or_path"), config.get("revision")
    if not isinstance(base, str) or not base:
        raise ProbeError(f"{folder / ADAPTER} names no base model; write it as base_model_name_or_path.")
    beside = folder / base
    return str(beside.resolve()) if beside.is_dir() else base, revision if isinstance(revision, str) else None


def merged_model(folder: Path, base: PreTrainedModel) -> PreTrainedModel:
    """The base model with the adapter's changes in its weights.

    Args:
        folder: adapter_config.json and adapter_model.safetensors.
        base: the model that the adapter was trained on, in float32; it is changed.

    Raises:
        ProbeError: the adapter is of another model, changes no weights (prompts, prefixes), or holds a NaN.
    """
    from peft import PeftModel
    from peft.utils import load_peft_weights

    stored = load_peft_weights(str(folder), device="cpu", use_safetensors=True)
    if not stored or not all(bool(tensor.isfinite().all()) for tensor in stored.values()):
        raise ProbeError(f"{folder / ADAPTER_WEIGHTS} is empty or holds a NaN or an infinity; use another adapter.")
    try:
        whole: Any = PeftModel.from_pretrained(base, str(folder), is_trainable=False)
        _refuse_unplaced(whole, stored, folder)
        merged: PreTrainedModel = whole.merge_and_unload(safe_merge=True)
    except ProbeError:
        raise
    except Exception as error:  # peft has a dozen kinds of adapters, each with its own words
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ProbeError(
            f"adapter {folder} cannot be merged into its base model ({reason}); merge it with the program that trained "
            "it and give the merged model."
        ) from error
    return merged.eval().requires_grad_(False)


def _refuse_unplaced(whole: Any, stored: dict[str, Any], folder: Path) -> None:
    """peft passes over tensors for which the base has no place, with a warning."""
    from peft import get_peft_model_state_dict

    if lost := sorted(set(stored) - set(get_peft_model_state_dict(whole))):
        raise ProbeError(
            f"adapter {folder} does not fit its base model, which has no place for {lost[0]}; correct "
            f"base_model_name_or_path in {ADAPTER}."
        )
