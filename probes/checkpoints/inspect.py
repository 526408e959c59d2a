"""Facts of a checkpoint read from its files: completeness, hash and finiteness, without loading the model."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from probes.architectures.refused import why_refused
from probes.checkpoints.files import (
    StoredTensor,
    advice,
    pickle_files,
    read_json,
    require_complete,
    weight_files,
    why_no_weights,
)
from probes.checkpoints.head_trial import try_head
from probes.checkpoints.hub import resolve_folder
from probes.checkpoints.placement import FLOATING, Placement, hollow_model, place_tensors
from probes.errors import ProbeError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig


@dataclass(frozen=True)
class CheckpointFacts:
    """One checkpoint as its files describe it; the columns of the table `checkpoints` of the same names."""

    architecture: str
    layer_count: int
    head_count: int
    hidden_size: int
    context_length: int
    vocabulary_size: int
    parameter_count: int


def weights_sha256(folder: Path) -> str:
    """Hash over the files that transformers reads, names and bytes, in the order of their names; pickles count where
    there is no safetensors file.

    Raises:
        ProbeError: the folder has no weights, or two sets of them.
    """
    files = weight_files(folder) or sorted(pickle_files(folder))
    if not files:
        raise ProbeError(why_no_weights(folder))
    digest = hashlib.sha256()
    for file in files:
        if not file.is_file():
            raise ProbeError(f"checkpoint {folder} has no {file.name}; {advice(folder)}")
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 22):
                digest.update(chunk)
    return digest.hexdigest()


def inspect_checkpoint(source: str, revision: str | None = None) -> CheckpointFacts:
    """Facts of a checkpoint from its configuration and the headers of its weight files; no weight is loaded.

    Parameters are counted on the model that is measured, without storage (torch's meta device): tied weights count
    once, and what files carry beside the model's own does not count.

    Raises:
        ProbeError: the checkpoint is missing, incomplete, pickled only or of an unknown architecture, or its weights
            are not those that its configuration describes.
    """
    folder = resolve_folder(source, revision)
    require_complete(folder)
    config = read_config(folder)
    _refuse_more_than_text(folder, config)
    model = hollow_model(folder, config)
    _refuse_differing_ties(folder, place_tensors(folder, model))
    try_head(folder, config)
    return CheckpointFacts(
        architecture=config.model_type,
        layer_count=config.num_hidden_layers,
        head_count=_number(config, "num_attention_heads") or 0,
        hidden_size=config.hidden_size,
        context_length=context_length(config),
        vocabulary_size=config.vocab_size,
        parameter_count=sum(parameter.numel() for parameter in model.parameters()),
    )


def _refuse_differing_ties(folder: Path, placement: Placement) -> None:
    """transformers 5 unties them and says so in a log; earlier versions read one and forgot the other."""
    import torch

    for target, source in placement.tied:
        pair = [_read_tensor(placement.read[name]) for name in (target, source)]
        if not torch.equal(*pair):
            raise ProbeError(
                f"{folder / 'config.json'} ties {target} to {source}, but the weights hold different values for the "
                "two; set tie_word_embeddings to false in config.json if both are meant, else save the model again."
            )


def _refuse_more_than_text(folder: Path, config: PretrainedConfig) -> None:
    missing = lacks_of_text(config)
    if missing:
        raise ProbeError(
            f"checkpoint {folder} of architecture {config.model_type!r} has no {missing}; rarecall measures models "
            "of text alone, such as GPT-Neo, GPT-NeoX, GPT-2 and the Llama family."
        )


def lacks_of_text(config: PretrainedConfig) -> str | None:
    """The first size that a configuration does not say; models of several inputs keep those of text apart."""
    names = ("num_hidden_layers", "hidden_size", "vocab_size")
    return next((name for name in names if _number(config, name) is None), None)


NO_LIMIT = 2**31 - 1


def context_length(config: PretrainedConfig) -> int:
    """Positions the model was made for; `NO_LIMIT` for families that say none, such as state-space models.

    Families without position embeddings, such as BLOOM, say what they saw.
    """
    names = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
    return next((value for name in names if (value := _number(config, name)) is not None), NO_LIMIT)


def _number(config: PretrainedConfig, name: str) -> int | None:
    value = getattr(config, name, None)
    return value if isinstance(value, int) else None


def read_config(folder: Path) -> PretrainedConfig:
    """Configuration of a checkpoint folder whose architecture transformers knows as a causal language model.

    Raises:
        ProbeError: unknown architecture, no causal language model, or code of its own that would have to be run.
    """
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    written = read_json(folder / "config.json")
    model_type = written.get("model_type")
    if model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise ProbeError(
            f"checkpoint {folder} is of architecture {model_type!r}, which transformers does not know as a causal "
            "language model; rarecall runs no code that comes with a checkpoint."
        )
    if reason := why_refused(model_type, written):
        raise ProbeError(f"checkpoint {folder} is of architecture {model_type!r}, which {reason}; it is not measured.")
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # transformers validates configurations with its own and foreign exception types
        raise ProbeError(
            f"{folder / 'config.json'} is no valid {model_type} configuration ({_first_line(error)})."
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def refuse_non_finite_weights(source: str, revision: str | None = None) -> None:
    """Read every tensor that the model reads once, one at a time, and refuse the first with a NaN or an infinity.

    Raises:
        ProbeError: names the tensor and the file; also whatever `inspect_checkpoint` objects to.
    """
    folder = resolve_folder(source, revision)
    require_complete(folder)
    placement = place_tensors(folder, hollow_model(folder, read_config(folder)))
    for tensor in placement.read.values():
        if tensor.dtype in FLOATING and not _is_finite(tensor):
            raise ProbeError(
                f"tensor {tensor.name} of {tensor.file} holds a NaN or an infinity; use another checkpoint or look at "
                "the run that wrote this one."
            )


def _read_tensor(stored: StoredTensor) -> Tensor:
    from safetensors import safe_open

    with safe_open(stored.file, framework="pt") as tensors:
        return tensors.get_tensor(stored.name)


def _is_finite(stored: StoredTensor) -> bool:
    """Least and greatest value say it; a NaN anywhere makes both NaN."""
    import torch

    values = _read_tensor(stored).flatten()
    return not values.numel() or all(math.isfinite(float(end)) for end in torch.aminmax(values))
