"""Placement of stored tensors: the parameter of the model that each becomes, decided on a model without storage.

The model's own class says which names it has, which of them are one matrix (tied), which old names it renames and
which it leaves alone; files may carry more than it reads, such as the causal masks that GPT-Neo, GPT-2 and Pythia were
published with and the rotary frequencies of the first Llama checkpoints. A parameter without a place is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.checkpoints.files import StoredTensor, stored_tensors
from probes.errors import ProbeError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

FLOATING = ("F16", "BF16", "F32", "F64")
_OLD_BUFFER = re.compile(
    r"(?:^|\.)(?:masked_bias|(?:attn|attention)\.bias|rotary_emb\.(?:inv_freq|cos_cached|sin_cached)|position_ids"
    r"|embed_positions)$"
)


@dataclass(frozen=True)
class Placement:
    """What the model reads.

    `read` holds stored tensors by their name in the file, `tied` pairs of names in the file that the configuration
    makes one parameter though the file holds both.
    """

    read: Mapping[str, StoredTensor]
    tied: tuple[tuple[str, str], ...]


def hollow_model(folder: Path, config: PretrainedConfig) -> PreTrainedModel:
    """The model that the configuration describes, without storage (torch's meta device).

    Raises:
        ProbeError: the configuration describes no model that can be built.
    """
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)
    except Exception as error:  # an unknown activation is a KeyError, a wrong width an assertion, and so on
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ProbeError(
            f"{folder / 'config.json'} describes no model that can be built ({type(error).__name__}: {reason}); "
            "use the configuration that was saved with the weights."
        ) from error


def is_old_buffer(name: str, shape: tuple[int, ...] | None = None) -> bool:
    """Whether a name is a constant that earlier versions of transformers saved; None where the shape is not known.

    A mask is [1, 1, position, position] and masked_bias a single number; the bias of a linear map is neither.
    """
    if _OLD_BUFFER.search(name) is None:
        return False
    is_mask = name.endswith(("attn.bias", "attention.bias"))
    return shape is None or not is_mask or (len(shape) == 4 and shape[:2] == (1, 1))


def place_tensors(folder: Path, model: PreTrainedModel) -> Placement:
    """Find the place of every stored tensor.

    Raises:
        ProbeError: a parameter gets nothing, a tensor has no place or another shape or no floating-point values.
    """
    stored, state, rename = stored_tensors(folder), model.state_dict(), _renaming(model)
    read: dict[str, StoredTensor] = {}
    source_of: dict[str, str] = {}
    for name, tensor in stored.items():
        targets, is_converted = rename(name)
        places = [target for target in targets if target in state]
        if not places:
            _refuse_unplaced(folder, model, tensor, targets[0])
            continue
        read[name] = tensor
        source_of.update(dict.fromkeys(places, name))
        _refuse_misfit(tensor, state[places[0]], is_converted)
    _refuse_missing(folder, model, set(source_of))
    pairs = ((source_of.get(a), source_of.get(b)) for a, b in model.all_tied_weights_keys.items())
    return Placement(read, tuple((a, b) for a, b in pairs if a is not None and b is not None and a != b))


def _renaming(model: PreTrainedModel) -> Any:
    """A function from a stored name to the names it fills and whether its values are rearranged on the way.

    The same steps as `convert_and_load_state_dict_in_model` of transformers.
    """
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

    mapping, state, prefix = get_model_conversion_mapping(model), model.state_dict(), model.base_model_prefix
    renamings = [step for step in mapping if isinstance(step, WeightRenaming)]
    converters = [step for step in mapping if isinstance(step, WeightConverter)]
    by_pattern = {pattern: step for step in converters for pattern in step.source_patterns}

    def rename(name: str) -> tuple[list[str], bool]:
        target, pattern = rename_source_key(name, renamings, converters, prefix, state)
        if target not in state and name in state:
            target, pattern = rename_source_key(name, [], [], prefix, state)
        if pattern is None:
            return [target], False
        patterns = by_pattern[pattern].target_patterns
        return [target, *(target.replace(patterns[0], other) for other in patterns[1:])], True

    return rename


def _refuse_unplaced(folder: Path, model: PreTrainedModel, tensor: StoredTensor, target: str) -> None:
    if is_old_buffer(tensor.name, tensor.shape) or any(re.search(p, target) for p in _ignored(model)):
        return
    raise ProbeError(
        f"the weights of checkpoint {folder} do not load: the model has no place for {tensor.name}; its config.json "
        "and its weights do not belong together."
    )


def _ignored(model: PreTrainedModel) -> Iterator[str]:
    """Patterns of names that the class itself leaves alone, with the one that transformers adds for all classes."""
    yield from model._keys_to_ignore_on_load_unexpected or ()
    if any(name.endswith("position_ids") for name, _ in model.named_buffers()):
        yield r"(^|\.)position_ids$"


def _refuse_misfit(tensor: StoredTensor, place: Any, is_converted: bool) -> None:
    """A converted tensor is split, stacked or turned on the way, so its shape says nothing by itself."""
    if not is_converted and tuple(place.shape) != tensor.shape:
        raise ProbeError(
            f"tensor {tensor.name} of {tensor.file} has the shape {list(tensor.shape)} where config.json asks for "
            f"{list(place.shape)}; its config.json and its weights do not belong together."
        )
    if place.is_floating_point() and tensor.dtype not in FLOATING:
        raise ProbeError(
            f"tensor {tensor.name} of {tensor.file} holds {tensor.dtype} values, which is a quantized format; give "
            "the checkpoint it was quantized from (float32, bfloat16 or float16)."
        )


def _refuse_missing(folder: Path, model: PreTrainedModel, filled: set[str]) -> None:
    """A tied parameter is filled by any of those it is one with."""
    tied: dict[str, set[str]] = {}
    for target, source in model.all_tied_weights_keys.items():
        tied.setdefault(source, {source}).add(target)
    for group in tied.values():
        filled = filled | group if filled & group else filled
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    missing = sorted(set(model.state_dict()) - filled)
    ignored = tuple(model._keys_to_ignore_on_load_missing or ())
    lacking = [name for name in missing if name in parameters or not any(re.search(p, name) for p in ignored)]
    if lacking:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise ProbeError(
            f"the weights of checkpoint {folder} do not load: the file lacks {lacking[0]}{more}; its config.json and "
            "its weights do not belong together."
        )
